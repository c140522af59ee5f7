"""CS-ViT2 whose head corrects its own estimate three times, from the mean hand (IEF, residual).

On two CPU cores the tiny size trains in minutes; docs/results.md has what it reached.
zoo train configs/csvit2_ief3.py
"""

from mmengine.config import read_base

with read_base():
    from .csvit2 import *

model.head.update(
    steps=3,
    residual=True,
    init="mean",
    representation="rot6d_columns",
    relative_to_mean=False,
    readout_gain=0.01,
    camera=dict(norm_by_hand=False),
)
model.losses.update(
    rotations=dict(
        type="pose_numbers", representation="rot6d_columns", norm="l2", part="hand", weight=6.0
    ),
    orientation=dict(
        type="pose_numbers", representation="rot6d_columns", norm="l2", part="global", weight=6.0
    ),
    betas=dict(type="betas", norm="l2", weight=0.05),
    unlabelled_betas=dict(type="betas", norm="l2", hands="unlabelled", weight=0.05),
    wrist=dict(type="heatmap", norm_by_hand=False, sigma=0.01, weight=0.05),
    joints=dict(type="root_joints", norm="l1", unit="mm", weight=0.005),
    reprojection=dict(type="reprojection", crop_width=None, weight=0.004),
)
# A small model from scratch underfits: dropout at 0.1 was measured to cost it 0.4 mm.
sizes.tiny.update({"custom_hooks.dropout.probability": 0.02})
