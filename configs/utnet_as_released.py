"""UTNet as released, with every mistake of its network and losses: what a diagnosis should find.

docs/case_study_utnet.md tells what each does. zoo diagnose utnet_as_released
"""

from mmengine.config import read_base

with read_base():
    from .utnet import *

model.hand.update(tips="manopth")
model.backbone.update(grid="as_released", mean_root="as_released")
model.head.update(sampling="as_released", rotations="as_released", mean_root="as_released")
model.head.camera.update(projection="as_released", width="as_released")
model.losses.reprojection.update(order="as_released")
model.losses.joints.update(order="as_released", unit="mm")
