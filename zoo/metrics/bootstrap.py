"""How far a mean over hands, or the difference of two, could be off by the choice of hands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

_HANDS_AT_ONCE = 4_000_000  # drawn numbers held in memory


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that holds it, in the unit of the values; NaN where unknown."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """The mean over labels and its percentile bootstrap interval over hands.

    values: (N,) one a hand. counts: (N,) labels behind each, 1 by default; hands without are left
    out. groups: (N,) whatever names the clip or person a hand belongs to; whole groups are drawn
    then, for frames of one clip say nearly the same.
    """
    values = np.asarray(values, np.float64)
    counts = np.ones_like(values) if counts is None else np.asarray(counts, np.float64)
    kept = counts > 0
    members = np.arange(len(values)) if groups is None else np.asarray(groups)
    _, member = np.unique(members[kept], return_inverse=True)
    totals = np.bincount(member, (values * counts)[kept])
    weights = np.bincount(member, counts[kept])
    if len(totals) < 2:
        mean = _ratio(totals, weights).item() if len(totals) else math.nan
        return Interval(mean, math.nan, math.nan)
    drawn = bootstrap(
        (totals, weights),
        _ratio,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=resamples,
        batch=max(1, _HANDS_AT_ONCE // len(totals)),
        confidence_level=confidence,
        rng=rng,
    ).confidence_interval
    return Interval(_ratio(totals, weights).item(), float(drawn.low), float(drawn.high))


def difference_interval(
    values: ArrayLike,
    others: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """The mean of values - others on the same hands, and its interval; below 0 is smaller errors.

    Hands are drawn in pairs, so what makes a hand hard for both models cancels. values, others:
    (N,) of the same hands in the same order; the rest as for `mean_interval`.
    """
    first, second = np.asarray(values, np.float64), np.asarray(others, np.float64)
    if first.shape != second.shape:
        raise ValueError(
            f"difference_interval got {first.shape} values and {second.shape} others; give both "
            "models' values of the same hands, in the same order."
        )
    return mean_interval(
        first - second,
        counts,
        rng=rng,
        groups=groups,
        confidence=confidence,
        resamples=resamples,
    )


def _ratio(totals: NDArray, weights: NDArray, axis: int = -1) -> NDArray:
    return totals.sum(axis) / weights.sum(axis)
