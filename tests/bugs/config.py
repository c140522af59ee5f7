"""Faults of recipes: keys, schedules, switches, ranges, normalisation, grids."""

from __future__ import annotations

import copy
import dataclasses

from benchmarks.faults import Fault, with_config, with_settings
from benchmarks.subject import Subject


def added_key(subject: Subject) -> Subject:
    # Building refuses such a key; a loader that reads with defaults would not.
    config = copy.deepcopy(dict(subject.config))
    config["model"]["head"]["camera"]["heatmap_resulotion"] = (64, 64, 64)
    return dataclasses.replace(subject, config=config, _memory={})


def misspelt_group(config: dict) -> None:
    keys = config["optim_wrapper"]["paramwise_cfg"]["custom_keys"]
    keys["backbones"] = keys.pop("backbone")


def misspelt_decay(config: dict) -> None:
    optimizer = config["optim_wrapper"]["optimizer"]
    optimizer["weight_decy"] = optimizer.pop("weight_decay")


def validates_on_training(config: dict) -> None:
    config["data"]["train"]["shards"] = ["hands/000000.tar", "hands/000001.tar"]
    config["data"]["val"]["shards"] = ["hands/000001.tar"]


def decay_of_positions(config: dict) -> None:
    rules = config["optim_wrapper"]["paramwise_cfg"]["custom_keys"]
    rules["pos_embedding"] = {"decay_mult": 20000.0}


FAULTS = [
    Fault(
        "misspelt-key",
        added_key,
        ("config.keys", "model.head.camera"),
        "heatmap_resulotion leaves the default in place (P-09).",
    ),
    Fault(
        "rule-for-no-parameter",
        with_config(misspelt_group),
        ("config.keys", "optim_wrapper.paramwise_cfg.custom_keys"),
        "A rate meant for the backbone is given to nobody.",
    ),
    Fault(
        "misspelt-optimiser-argument",
        with_config(misspelt_decay),
        ("config.keys", "optim_wrapper.optimizer"),
        "The optimiser would refuse it hours later, or a wrapper swallow it.",
    ),
    Fault(
        "warm-up-longer-than-the-budget",
        with_settings("param_scheduler.warmup=5000"),
        ("config.schedule", "param_scheduler.warmup"),
        "A short run with the warm-up of a long one never reaches its rate.",
    ),
    Fault(
        "rate-that-rises-again",
        with_settings("param_scheduler.cycles=1.6"),
        ("config.schedule", "param_scheduler.cycles"),
        "Four times too fast a cosine: to zero and up again (P-12).",
    ),
    Fault(
        "rate-for-another-optimiser",
        with_settings("optim_wrapper.optimizer.lr=0.1"),
        ("config.schedule", "optim_wrapper.optimizer.lr"),
        "A rate of SGD given to AdamW.",
    ),
    Fault(
        "decay-that-erases",
        with_settings("optim_wrapper.optimizer.weight_decay=20.0"),
        ("config.schedule", "optim_wrapper.optimizer.weight_decay"),
        "A decay meant to be multiplied with the square of something: weights vanish.",
    ),
    Fault(
        "decay-that-erases-one-part",
        with_config(decay_of_positions),
        ("config.schedule", "optim_wrapper.paramwise_cfg.custom_keys.pos_embedding"),
        "A decay is written where its multiple is read: positions vanish and all else stays.",
    ),
    Fault(
        "pixels-divided-by-another-width",
        with_settings("model.losses.reprojection.crop_width=256"),
        ("config.contradictions", "model.losses.reprojection"),
        "Errors are divided by 256 in a crop of 128 (V12 has 192 for 256).",
    ),
    Fault(
        "validation-beyond-the-budget",
        with_settings("train_cfg.val_interval=3000"),
        ("config.schedule", "train_cfg.val_interval"),
        "The run ends before it is ever judged.",
    ),
    Fault(
        "dropout-beyond-the-budget",
        with_settings("custom_hooks.dropout.start_step=10000"),
        ("config.schedule", "custom_hooks.dropout"),
        "A milestone written for 100 000 steps in a run of 1000.",
    ),
    Fault(
        "average-that-never-moves",
        with_settings("custom_hooks.ema.momentum=0.000001"),
        ("config.schedule", "custom_hooks.ema"),
        "What is judged is an average that still holds the weights of the start.",
    ),
    Fault(
        "average-with-the-other-momentum",
        with_settings("custom_hooks.ema.momentum=0.999"),
        ("config.schedule", "custom_hooks.ema"),
        "The share of the old weights is given where that of the new ones is asked for.",
    ),
    Fault(
        "constant-query-with-steps",
        with_settings("model.head.query=zero"),
        ("config.contradictions", "model.head.query"),
        "Three steps make one correction three times.",
    ),
    Fault(
        "supervising-steps-that-are-not-there",
        with_settings("model.head.steps=1", "model.supervise_earlier=0.5"),
        ("config.contradictions", "model.supervise_earlier"),
        "A switch for earlier steps of a head that takes one.",
    ),
    Fault(
        "best-by-a-metric-nobody-computes",
        with_settings("evaluation.metrics.root_mpjpe=none"),
        ("config.contradictions", "default_hooks.checkpoint.save_best"),
        "The best checkpoint is never written, or the first stays the best for ever (P-26).",
    ),
    Fault(
        "best-is-largest-error",
        with_settings("default_hooks.checkpoint.rule=greater"),
        ("config.contradictions", "default_hooks.checkpoint.rule"),
        "The checkpoint with the largest error is kept.",
    ),
    Fault(
        "validates-on-training-shards",
        with_config(validates_on_training),
        ("config.contradictions", "data.val.shards"),
        "The same shards train and judge.",
    ),
]
