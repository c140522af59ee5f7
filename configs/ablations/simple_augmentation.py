"""P2: csvit2_old, and only a roll and a jitter of colours, close to what HaMeR does."""

from mmengine.config import read_base

with read_base():
    from ..csvit2_old import *

augmentation.view = dict(roll=dict(type="roll", max_degrees=180.0))
augmentation.pixels = dict(
    color=dict(type="color_jitter", brightness=0.2, contrast=0.2, saturation=0.1, probability=0.5)
)
