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
)
model.losses.rotations.update(kind="matrix_l1")
