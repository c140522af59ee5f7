"""UTNet as released, with every mistake of its network, losses and loaders: to be diagnosed.

docs/case_study_utnet.md tells what each does. zoo diagnose utnet_as_released
"""

from mmengine.config import read_base

with read_base():
    from .utnet import *

model.update(
    hand=dict(asset="clayhand", tips="manopth", missing="zeros"),
    losses=dict(
        reprojection=dict(
            type="ordered_reprojection", order="as_released", reduction="sum", weight=0.01
        ),
        joints=dict(
            type="ordered_joints", order="as_released", unit="mm", reduction="sum", weight=0.05
        ),
        shape_prior=dict(type="shape_prior", weight=0.001),
        coarse=dict(type="coarse_hand", representation="rotvec", weight=0.001),
    ),
    backbone=dict(
        type="utnet",
        pretrained="hamer_training_data/vitpose_backbone.pth",
        image_size=(256, 256),
        dim=1280,
        depth=32,
        num_heads=16,
        drop_path=0.55,
        grid="as_released",
        mean_root="as_released",
        representation="rotvec",
    ),
    head=dict(
        type="graph_refiner",
        channels=640,
        hidden_dim=512,
        query_dim=256,
        sampling="as_released",
        rotations="as_released",
        mean_root="as_released",
        representation="rotvec",
        camera=dict(type="utnet", projection="as_released", width="as_released"),
    ),
)
augmentation.update(
    crop=dict(
        type="moved_hand", size=(256, 256), expand=2.0, expand_jitter=0.2, moving="as_released"
    ),
    view=dict(
        roll=dict(type="roll", max_degrees=180.0, probability=0.25, labels="as_released"),
        axes=dict(type="label_axes"),
    ),
)
optim_wrapper.update(
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=1.0), deccam=dict(lr_mult=1.0), naf_upsampler=dict(lr_mult=1.0)
        )
    )
)
sizes.tiny.update(
    {
        "model.losses.direction.representation": "rotvec",
        "model.losses.fingers.representation": "rotvec",
    }
)
