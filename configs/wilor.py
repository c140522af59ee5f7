"""WiLoR (Potamias et al., CVPR 2025): hand tokens in a ViT-H, refined at the hand's own vertices.

Published weights, their sampling: docs/wilor.md; tiny size: docs/decisions/0097. zoo train wilor
"""

from mmengine.config import read_base

with read_base():
    from ._base_.data import *
    from ._base_.runtime import *
    from ._base_.tiny import *

model = dict(
    hand=dict(asset="clayhand"),
    backbone=dict(
        type="hand_tokens",
        pretrained="hamer_training_data/vitpose_backbone.pth",
        image_size=(256, 256),
        dim=1280,
        depth=32,
        num_heads=16,
        mlp_ratio=4,
        drop_path=0.55,
        initial_camera=(4.0, 0.0, 0.0),
    ),
    neck=None,
    head=dict(
        type="vertex_refiner",
        query_dim=1120,
        sampling="fixed",
        representation="rot6d_columns",
        readout_gain=0.01,
        camera=dict(type="weak_perspective", focal=5000.0, initial=(4.0, 0.0, 0.0)),
    ),
    temporal=None,
    losses=dict(
        orientation=dict(type="rotations", part="global", reduction="sum", weight=0.001),
        rotations=dict(type="rotations", part="hand", reduction="sum", weight=0.001),
        betas=dict(type="betas", norm="l2", reduction="sum", weight=0.0005),
        unlabelled_betas=dict(type="betas", hands="unlabelled", reduction="sum", weight=0.0005),
        joints=dict(type="root_joints", reduction="sum", unlabelled_wrist="use", weight=0.05),
        reprojection=dict(type="reprojection", nearest=None, reduction="sum", weight=0.01),
        adversarial=dict(type="adversarial", weight=0.0005, lr=1e-5, weight_decay=1e-4),
    ),
    precision="bf16",
)
data.train.update(batch_size=32, shuffle=4000)
data.update(num_workers=8)
augmentation = dict(
    crop=dict(
        type="hand",
        size=(256, 256),
        expand=2.0,
        box="stored",
        expand_jitter=0.3,
        shift_jitter=0.02,
        eval_aspect=(192, 256),
        eval_blur=0.5,
    ),
    view=dict(roll=dict(type="roll", max_degrees=60.0, distribution="normal", probability=0.6)),
    pixels=dict(gain=dict(type="channel_scale", spread=0.2)),
)
optim_wrapper = dict(
    optimizer=dict(type="AdamW", lr=1e-5, weight_decay=1e-4, betas=(0.9, 0.999), eps=1e-8),
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=1.0), camera=dict(lr_mult=1.0), deccam=dict(lr_mult=1.0)
        )
    ),
)
param_scheduler = dict(warmup=0, cycles=0)
train_cfg = dict(max_iters=1000000, val_interval=1000)
default_hooks.checkpoint.update(interval=5000)
custom_hooks.update(dropout=dict(type="ProgressiveDropout", start_step=0, probability=0.0))
sizes.tiny.update({"model.detach_betas": True, "optim_wrapper.clip_grad": dict(max_norm=1.0)})
sizes.tiny.update({"optim_wrapper.paramwise_cfg.custom_keys.camera.lr_mult": 0.01})
sizes.tiny.update({"optim_wrapper.paramwise_cfg.custom_keys.deccam.lr_mult": 0.01})
sizes.tiny.update({"model.head.camera.readout_gain": 0.01})
sizes.tiny.update({"model.losses.direction": dict(type="pose_numbers", part="global", weight=19.2)})
sizes.tiny.update({"model.losses.fingers": dict(type="pose_numbers", part="hand", weight=28.8)})
