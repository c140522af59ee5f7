"""Errors of hands read from `predictions.npz`, and of two models on the same hands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from registry.build import build_metrics
from zoo.contracts import HandMesh, HandTarget
from zoo.metrics.bootstrap import Interval, difference_interval, mean_interval
from zoo.metrics.summary import measure, names_of


class OtherHands(ValueError):
    """Two sets of predictions that are not of the same hands."""


@dataclass(frozen=True)
class Scores:
    """Every metric of every hand, in the order of the file."""

    keys: tuple[tuple[str, str], ...]  # (source, key) of each hand
    values: Mapping[str, NDArray]  # metric -> (N,)
    counts: Mapping[str, NDArray]  # metric -> (N,) labels behind each value


def read_scores(predictions: Path, config: Mapping[str, Any]) -> Scores:
    """The scores of a run's predictions by the metrics its config names; no model is needed."""
    with np.load(predictions, allow_pickle=False) as file:
        arrays = dict(file)
    return scores_of(arrays, config)


def scores_of(arrays: Mapping[str, NDArray], config: Mapping[str, Any]) -> Scores:
    """The scores of arrays as `predictions.npz` holds them."""
    mesh = HandMesh(**_tensors(arrays, "prediction", dataclasses.fields(HandMesh)))
    target = HandTarget(**_tensors(arrays, "target", dataclasses.fields(HandTarget)))
    metrics = build_metrics(config)
    hands = measure(metrics.values(), mesh, target)
    names = names_of(metrics)
    keys = zip(arrays["source"].tolist(), arrays["key"].tolist(), strict=True)
    return Scores(
        tuple(keys),
        {name: np.array([hand.values[name][0] for hand in hands]) for name in names},
        {name: np.array([hand.values[name][1] for hand in hands]) for name in names},
    )


def summaries(scores: Scores, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Each metric's mean over labels, its 95 % interval over hands and its number of hands."""
    found = {}
    for name, values in scores.values.items():
        counts = scores.counts[name]
        interval = mean_interval(values, counts, rng=np.random.default_rng(seed))
        found[name] = {**_numbers(interval), "count": int((counts > 0).sum())}
    return found


def differences(one: Scores, other: Scores, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Each metric's mean difference on the same hands, and its paired bootstrap interval.

    Below 0 the first has the smaller error. Raises OtherHands.
    """
    check_same_hands([one, other])
    found = {}
    for name in one.values.keys() & other.values.keys():
        counts = np.minimum(one.counts[name], other.counts[name])
        rng = np.random.default_rng(seed)
        interval = difference_interval(one.values[name], other.values[name], counts, rng=rng)
        found[name] = _numbers(interval)
    return dict(sorted(found.items()))


def check_same_hands(scores: Sequence[Scores]) -> None:
    """Raises OtherHands unless all were measured on the same hands in the same order."""
    for other in scores[1:]:
        if other.keys != scores[0].keys:
            raise OtherHands(
                f"{len(scores[0].keys)} and {len(other.keys)} hands were measured, and not the "
                "same ones; measure both on the same shards, with --data."
            )


def _numbers(interval: Interval) -> dict[str, float]:
    return {"value": interval.mean, "low": interval.low, "high": interval.high}


def _tensors(
    arrays: Mapping[str, NDArray], part: str, fields: Sequence[dataclasses.Field]
) -> dict[str, torch.Tensor]:
    names = [f.name for f in fields if f"{part}/{f.name}" in arrays]
    return {name: torch.from_numpy(arrays[f"{part}/{name}"]) for name in names}
