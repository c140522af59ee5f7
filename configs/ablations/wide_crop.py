"""P2: csvit2_old, and the crop is twice the hand's box instead of 1.1 times."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

augmentation.crop.update(expand=2.0)
