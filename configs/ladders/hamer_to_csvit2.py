"""HaMeR to CS-ViT2 of January: which part, put into the model that converges, stops it.

zoo ladder hamer_to_csvit2
"""

start = "hamer"
goal = "csvit2_old"
rungs = dict(
    backbone=["model.backbone"],
    neck=["model.neck"],
    camera=["model.head.camera"],
    head=["model.head"],
    losses=["model.losses", "model.detach_betas", "model.supervise_earlier"],
    crop=["augmentation.crop"],
    augmentation=["augmentation"],
    schedule=["optim_wrapper", "param_scheduler", "custom_hooks", "model"],
)
