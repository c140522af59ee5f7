"""P1: csvit2_old, and the head corrects its estimate three times, from the mean hand (IEF)."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

model.head.update(steps=3, residual=True, init="mean")
