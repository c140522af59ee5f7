"""CS-ViT2, Stage 2: seven frames, the last one refined by real time (TRoPE) on a frozen Stage 1.

Stage 1 is found beside this run or trained first. zoo train configs/csvit2_stage2.py
"""

from mmengine.config import read_base

with read_base():
    from .csvit2 import *

stage1 = dict(config="csvit2", checkpoint=None)
model.update(
    temporal=dict(
        type="rotary",
        depth=2,
        num_heads=16,
        head_dim=64,
        mlp_dim=2048,
        tau=0.020,
        attends="last",
        dropout=0.1,
    ),
    frozen=("backbone", "neck", "head"),
)
data.update(clip=dict(frames=7, stride=1, windows="random"))
data.synthetic.update(sequences=1.0, clip_frames=16)
