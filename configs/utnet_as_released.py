"""UTNet as released, with every mistake of its network and losses: what a diagnosis should find.

docs/case_study_utnet.md tells what each does. zoo diagnose utnet_as_released
"""

from mmengine.config import read_base

with read_base():
    from .utnet import *

model.hand.update(tips="manopth")
model.backbone.update(grid="as_released", mean_root="as_released")
model.head.update(
    sampling="as_released",
    rotations="as_released",
    mean_root="as_released",
    camera=dict(type="utnet", projection="as_released", width="as_released"),
)
model.losses.update(
    reprojection=dict(
        type="ordered_reprojection", order="as_released", reduction="sum", weight=0.01
    ),
    joints=dict(
        type="ordered_joints", order="as_released", unit="mm", reduction="sum", weight=0.05
    ),
)
