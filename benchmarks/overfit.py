"""Lets a fresh copy of a model learn one batch by heart, and sees which weights hear of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.bench.cost import without_weights
from benchmarks.verdict import OVERFIT_AT_MOST, Overfit
from registry.layout import at
from registry.whole import build_model
from zoo.contracts import FrameBatch

HANDS, STEPS = 4, 60
LEAST_RATE = 3e-4  # a fine-tuning rate would not learn a batch by heart in sixty steps
LISTENING_STEPS = 3  # a read-out that starts at zero passes nothing back before its first update


def overfit_one_batch(
    config: Mapping[str, Any],
    frames: FrameBatch,
    *,
    trained: nn.Module | None = None,
    device: str = "cpu",
    steps: int = STEPS,
) -> Overfit:
    """How far the loss on a few hands falls when nothing else is learned.

    The model is built anew with random weights (so the answer does not depend on a checkpoint),
    without augmentation or dropout, and learns with AdamW at the config's rate, at least
    LEAST_RATE. It stops as soon as the criterion of the verdict is met. The caller's random state
    is left as it was.

    trained: gives its weights to the parts that the config freezes.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        model = build_model(without_weights(config)).to(device).eval()
        for part in getattr(trained, "frozen", ()):
            if (known := getattr(trained, part)) is not None:
                getattr(model, part).load_state_dict(known.state_dict())
        data = model.data_preprocessor(few(frames), False)
        learns = {n: p for n, p in model.named_parameters() if p.requires_grad}
        rate = max(at(config, "optim_wrapper.optimizer.lr") or 0.0, LEAST_RATE)
        optimizer = torch.optim.AdamW(learns.values(), lr=rate, weight_decay=0.0)
        silent, first, best = set(learns), math.nan, math.inf
        for step in range(steps):
            optimizer.zero_grad()
            loss = sum(model(**copy.copy(data), mode="loss").values())
            first = loss.item() if step == 0 else first
            best = min(best, loss.item())
            loss.backward()
            if step < LISTENING_STEPS:
                silent = {name for name in silent if not _hears(learns[name])}
                if step == LISTENING_STEPS - 1:
                    silent -= _fed_zeros(model, silent, data)
            elif best <= OVERFIT_AT_MOST * first or not math.isfinite(loss.item()):
                break
            torch.nn.utils.clip_grad_norm_(learns.values(), 1.0)
            optimizer.step()
    return Overfit(first=first, best=best, steps=step + 1, unreached=tuple(sorted(silent)))


@torch.no_grad()
def _fed_zeros(model: nn.Module, silent: set[str], data: Mapping[str, Any]) -> set[str]:
    """Those of the weights that multiply exact zeros, as in HaMeR's constant query: none can learn.

    Whatever made the zeros is not excused: if it is trained, it is silent itself.
    """
    owners = {name: model.get_submodule(name.rpartition(".")[0]) for name in silent}
    largest: dict[nn.Module, float] = {}

    def look(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        largest[module] = max(largest.get(module, 0.0), inputs[0].abs().max().item())

    linear = {module for module in owners.values() if isinstance(module, nn.Linear)}
    hooks = [module.register_forward_pre_hook(look) for module in linear]
    model(**copy.copy(data), mode="loss")
    for hook in hooks:
        hook.remove()
    return {
        name
        for name, module in owners.items()
        if name.endswith(".weight") and largest.get(module) == 0.0
    }


def few(batch: FrameBatch, hands: int = HANDS) -> FrameBatch:
    """The first hands of a batch, or its first clips."""
    if batch.rows is None:
        return FrameBatch(batch.frames[:hands])
    kept, rows = batch.rows[:hands].unique(return_inverse=True)
    return FrameBatch(
        tuple(batch.frames[i] for i in kept.tolist()),
        times=None if batch.times is None else batch.times[:hands],
        rows=rows,
        runs=None if batch.runs is None else batch.runs[kept],
    )


def _hears(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
