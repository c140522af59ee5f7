"""P1: csvit2_old, and a loss in the picture, with the weight that February gave it."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

model.losses.reprojection = dict(type="reprojection", crop_width=None, weight=0.002)
