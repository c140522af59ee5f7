"""CS-ViT2 on SwinV2-L of April 2026: 192 px, 36 tokens, no CLS, the wrist in metres.

zoo train configs/csvit2_swinv2.py
"""

from mmengine.config import read_base

with read_base():
    from .csvit2 import *

model.backbone = dict(
    type="swinv2",
    pretrained="microsoft/swinv2-large-patch4-window12-192-22k",
    image_size=(192, 192),
)
model.head.camera.update(norm_by_hand=False)
model.losses.wrist.update(norm_by_hand=False, sigma=0.002, weight=0.001)
augmentation.crop.update(size=(192, 192))
