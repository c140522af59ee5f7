"""CS-ViT2 on its first backbone, ViT-MAE, which here sees every token; four layers fused.

zoo train configs/csvit2_mae.py
"""

from mmengine.config import read_base

with read_base():
    from .csvit2 import *

model.backbone = dict(
    type="vit_mae",
    pretrained="facebook/vit-mae-large",
    image_size=(224, 224),
    levels=(2, 8, 16, 24),
)
model.neck = dict(type="layer_fusion", then=dict(type="ray_attention"))
sizes.tiny.update({"model.backbone.levels": (1, 2)})
