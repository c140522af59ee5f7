"""UTNet, corrected, on colour and depth: depth is read wherever a hand has it.

docs/case_study_utnet.md tells how the cube around the hand is found. zoo train utnet_rgbd
"""

from mmengine.config import read_base

with read_base():
    from .utnet import *

model.backbone.update(modality="rgbd")
data.synthetic.update(depth="sensor")
