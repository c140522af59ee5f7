"""UTNet as released, repaired one mistake at a time, in the order that would have found them.

First what the network is shown, then whether a perfect hand costs nothing, then what it reads.
zoo ladder utnet_repaired
"""

start = "utnet_as_released"
goal = "utnet"
rungs = dict(
    hand=["model.hand"],
    axes=["augmentation.view.axes"],
    crop=["augmentation.crop"],
    roll=["augmentation.view.roll"],
    order=["model.losses.joints.order", "model.losses.reprojection"],
    projection=["model.head.camera.projection"],
    width=["model.head.camera.width"],
    units=["model.losses.joints.unit"],
    grid=["model.backbone.grid"],
    sampling=["model.head.sampling"],
    start=["model.backbone.mean_root", "model.head.mean_root"],
    rotations=["model.head.rotations"],
    representation=[
        "model.backbone.representation",
        "model.head.representation",
        "model.losses.coarse",
        "model.losses.direction",
        "model.losses.fingers",
    ],
    keys=["optim_wrapper"],
)
