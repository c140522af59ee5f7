"""How every run logs, saves and seeds; no number here belongs to a paper."""

default_hooks = dict(
    checkpoint=dict(
        type="BestCheckpoints",
        interval=3000,
        max_keep_ckpts=3,
        save_best=["root_mpjpe_mm", "mpjpe_mm", "rte_mm"],
        rule="less",
    ),
    logger=dict(interval=10),
)
custom_hooks = dict(guards=dict(type="zoo.app.guards.RunGuards", parameters_every=50, keep=3))
randomness = dict(seed=0)
visualizer = dict(backends=("tensorboard",))
evaluation = dict(
    metrics=dict(
        mpjpe=dict(type="mpjpe"),
        root_mpjpe=dict(type="root_mpjpe"),
        pa_mpjpe=dict(type="pa_mpjpe"),
        mpvpe=dict(type="mpvpe"),
        rte=dict(type="rte"),
        keypoint=dict(type="keypoint"),
    ),
)
