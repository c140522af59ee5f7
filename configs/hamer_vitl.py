"""HaMeR on ViT-L: less than half the size, for a GPU of 24 GB.

zoo train configs/hamer_vitl.py
"""

from mmengine.config import read_base

with read_base():
    from .hamer import *

model.backbone.update(pretrained="vitpose_large.pth", dim=1024, depth=24, drop_path=0.5)
