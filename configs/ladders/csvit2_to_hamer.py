"""CS-ViT2 of January to HaMeR: first what its analysis ranks first, then every other part.

P0 is the residual from the mean hand, P1 the learning rates and the loss in the picture, P2 the
weights of losses, augmentation and crop. HaMeR takes one step, so P1's IEF is no rung here: it is
configs/ablations/ief.py.
zoo ladder csvit2_to_hamer
"""

start = "csvit2_old"
goal = "hamer"
rungs = dict(
    residual=["model.head.residual"],
    mean_init=["model.head.init", "model.head.relative_to_mean", "model.head.readout_gain"],
    rotations=["model.head.representation"],
    learning_rate=["optim_wrapper", "param_scheduler", "custom_hooks", "model.precision"],
    loss_2d=["model.losses.reprojection"],
    losses=["model.losses", "model.detach_betas", "model.supervise_earlier"],
    augmentation=["augmentation.view", "augmentation.pixels"],
    crop=["augmentation.crop"],
    backbone=["model.backbone"],
    neck=["model.neck"],
    camera=["model.head.camera"],
    head=["model"],
)
