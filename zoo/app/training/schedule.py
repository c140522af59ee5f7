"""The learning-rate schedule and every other number that counts steps, fitted to a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from registry.difference import Change, apply
from registry.layout import at

# What is written in steps and therefore shrinks and grows with the budget.
_IN_STEPS = (
    "train_cfg.val_interval",
    "param_scheduler.warmup",
    "default_hooks.checkpoint.interval",
    "custom_hooks.dropout.start_step",
)
_AVERAGE = "custom_hooks.ema.momentum"  # the share of the newest weights; 1 / it is in steps
_LARGEST_SHARE = 0.5


def fit_budget(config: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """A copy of the config that trains for `steps` steps with a schedule of the same shape."""
    if steps < 1:
        raise ValueError(f"--steps {steps}: training takes at least one step.")
    ratio = steps / config["train_cfg"]["max_iters"]
    changes = [Change("train_cfg.max_iters", config["train_cfg"]["max_iters"], steps)]
    for path in _IN_STEPS:
        before = at(config, path)
        if before:
            changes.append(Change(path, before, max(1, round(before * ratio))))
    share = at(config, _AVERAGE)
    if share:  # a run shorter than the average's memory would be measured at its start
        changes.append(Change(_AVERAGE, share, min(_LARGEST_SHARE, share / ratio)))
    return apply(config, [change for change in changes if change.before != change.after])


def schedulers(recipe: Mapping[str, Any], steps: int) -> list[dict[str, Any]]:
    """Schedulers of mmengine for a linear warm-up and a cosine of `cycles` periods.

    recipe: warmup (steps) and cycles; the factor at progress p in [0, 1] after the warm-up is
    (1 + cos(2 pi cycles p)) / 2: 0.5 cycles end at 0, CS-ViT2's 0.4 at 0.0955. cycles 0 is a
    constant rate.
    """
    unknown = set(recipe) - {"warmup", "cycles"}
    if unknown:
        raise ValueError(
            f"param_scheduler has {sorted(unknown)}; it takes warmup (steps) and cycles."
        )
    warmup = min(recipe.get("warmup", 0), steps - 1)
    cycles = recipe.get("cycles", 0.5)
    result = []
    if warmup > 0:
        result.append(
            {
                "type": "LinearLR",
                "start_factor": 1 / (warmup + 1),
                "by_epoch": False,
                "begin": 0,
                "end": warmup + 1,
            }
        )
    if cycles:
        result.append(
            {
                "type": "CosineAnnealingLR",
                "T_max": (steps - warmup) / (2 * cycles),
                "by_epoch": False,
                "begin": warmup,
                "end": steps,
                "eta_min": 0.0,
            }
        )
    return result
