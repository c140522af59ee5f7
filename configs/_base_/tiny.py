"""What `--size tiny` sets beyond each part's own small widths: the budget of two CPU cores."""

sizes = dict(
    tiny={
        "data.train.batch_size": 32,
        "data.train.shuffle": 2000,
        "data.num_workers": 0,
        "data.synthetic.count": 24000,
        "data.synthetic.val_count": 512,
        "data.synthetic.image_size": 160,
        "optim_wrapper.optimizer.lr": 6e-4,
        "optim_wrapper.optimizer.weight_decay": 0.02,
        "optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult": 1.0,
        "param_scheduler.warmup": 60,
        "param_scheduler.cycles": 0.5,
        "train_cfg.max_iters": 1000,
        "train_cfg.val_interval": 250,
        "default_hooks.checkpoint.interval": 250,
        "custom_hooks.dropout.start_step": 500,
        "custom_hooks.ema": {"type": "EMAHook", "momentum": 0.01},
    },
)
