"""Every number of a config that counts steps, fitted to another budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from registry.difference import Change, apply
from registry.layout import at

# What is written in steps and therefore shrinks and grows with the budget.
COUNTS_STEPS = (
    "train_cfg.val_interval",
    "param_scheduler.warmup",
    "default_hooks.checkpoint.interval",
    "custom_hooks.dropout.start_step",
)
AVERAGE = "custom_hooks.ema.momentum"  # the share of the newest weights; 1 / it is in steps
IN_STEPS = ("train_cfg.max_iters", *COUNTS_STEPS, AVERAGE)
_LARGEST_SHARE = 0.5


def fit_budget(config: Mapping[str, Any], steps: int, said: Sequence[str] = ()) -> dict[str, Any]:
    """A copy of the config that trains for `steps` steps with a schedule of the same shape.

    said: what `--set` was given; a number that the user wrote is meant as it is.
    """
    if steps < 1:
        raise ValueError(f"--steps {steps}: training takes at least one step.")
    ratio = steps / config["train_cfg"]["max_iters"]
    fitted = {"train_cfg.max_iters": steps}
    for path in COUNTS_STEPS:
        if before := at(config, path):
            fitted[path] = max(1, round(before * ratio))
    if share := at(config, AVERAGE):  # a shorter run would be measured at its start
        fitted[AVERAGE] = min(_LARGEST_SHARE, share / ratio)
    written = {change.partition("=")[0].strip() for change in said}
    changes = [
        Change(path, at(config, path), value)
        for path, value in fitted.items()
        if path == "train_cfg.max_iters" or not _within(path, written)
    ]
    return apply(config, [change for change in changes if change.before != change.after])


def written_in_steps(said: Sequence[str]) -> list[str]:
    """Those of the changes of `--set` that write a number which counts steps."""
    return [change for change in said if change.partition("=")[0].strip() in IN_STEPS[1:]]


def _within(path: str, written: set[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in written)
