"""P2: csvit2_old, and HaMeR's crop: the stored box in its shape of 3:4, doubled, jittered."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

augmentation.crop.update(
    expand=2.0, box="stored", expand_jitter=0.3, shift_jitter=0.02, eval_aspect=(192, 256)
)
