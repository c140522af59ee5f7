"""P2: csvit2_old, and the weights of later versions on separate losses, in place of one mean."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

model.losses = dict(
    rotations=dict(type="pose_numbers", representation="rotvec", norm="l1", weight=3.0),
    betas=dict(type="betas", norm="l1", weight=3.0),
    wrist=dict(type="position", norm="l1", unit="mm", weight=0.001),
    joints=dict(type="root_joints", norm="l1", unit="mm", weight=0.012),
)
