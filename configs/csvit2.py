"""CS-ViT2, Stage 1 of February 2026: DINOv2, ray-aware tokens, one query, heat maps for the wrist.

As designed, its flaws corrected; docs/csvit2.md names each with the line that brings it back.
zoo train configs/csvit2.py
"""

from mmengine.config import read_base

with read_base():
    from ._base_.data import *
    from ._base_.runtime import *
    from ._base_.tiny import *

model = dict(
    hand=dict(asset="clayhand"),
    backbone=dict(type="dinov2", pretrained="facebook/dinov2-large", image_size=(224, 224)),
    neck=dict(type="ray_attention"),
    head=dict(
        type="mano_decoder",
        dim=1024,
        depth=4,
        num_heads=16,
        head_dim=64,
        mlp_dim=4096,
        dropout=0.1,
        steps=1,
        residual=False,
        init="random",
        representation="rotvec",
        relative_to_mean=True,
        camera=dict(type="heatmap", bins=(512, 512, 1024), norm_by_hand=True),
    ),
    temporal=None,
    losses=dict(
        rotations=dict(type="pose_numbers", representation="rotvec", norm="l1", weight=3.0),
        betas=dict(type="betas", norm="l1", weight=3.0),
        wrist=dict(type="heatmap", norm_by_hand=True, sigma=0.09, weight=0.05),
        joints=dict(type="root_joints", norm="l1", unit="mm", weight=0.012),
        reprojection=dict(type="reprojection", crop_width=None, weight=0.002),
    ),
    detach_betas=True,
    precision="bf16",
)
data.update(train=dict(shards=None, batch_size=32, shuffle=2000))
augmentation = dict(
    crop=dict(type="hand", size=(224, 224), expand=2.0),
    view=dict(
        roll=dict(type="roll", max_degrees=180.0),
        z_scale=dict(type="z_scale", scale=(0.9, 1.1), mano="rigid"),
        focal=dict(type="focal_scale", scale=(0.9, 1.1)),
    ),
    pixels=dict(
        color=dict(
            type="color_jitter", brightness=0.2, contrast=0.2, saturation=0.1, probability=0.5
        ),
        noise=dict(type="noise", std=0.03, probability=0.5),
    ),
)
optim_wrapper = dict(
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = dict(warmup=5000, cycles=0.4)
train_cfg = dict(max_iters=100000, val_interval=3000)
custom_hooks.update(
    dropout=dict(type="ProgressiveDropout", start_step=10000, probability=0.1, ramp="step")
)
sizes.update(
    small={
        "model.backbone.pretrained": "facebook/dinov2-small",
        "model.head.dim": 384,
        "model.head.num_heads": 6,
        "model.head.mlp_dim": 1536,
    }
)
