"""CS-ViT2 of April 2026: the wrist in metres instead of hand lengths, milder augmentation.

zoo train configs/csvit2_metres.py
"""

from mmengine.config import read_base

with read_base():
    from .csvit2 import *

model.head.camera.update(norm_by_hand=False)
model.losses.wrist.update(norm_by_hand=False, sigma=0.002, weight=0.001)
augmentation.view = dict(
    roll=dict(type="roll", max_degrees=180.0),
    tilt=dict(type="perspective_rotation", max_degrees=5.0),
)
augmentation.pixels = dict(
    color=dict(
        type="color_jitter", brightness=0.15, contrast=0.15, saturation=0.05, probability=0.5
    )
)
