"""P0: csvit2_old, and the query starts at the mean hand instead of at fixed random numbers."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

model.head.update(init="mean", relative_to_mean=False)
