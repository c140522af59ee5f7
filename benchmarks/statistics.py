"""How sure a measured ratio or difference is: intervals that say what they cover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A value and the interval that holds it, in the unit of the value; NaN where unknown."""

    value: float
    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


def median_interval(
    values: ArrayLike, *, confidence: float = 0.95, comparisons: int = 1
) -> Estimate:
    """The median and its exact interval between two order statistics, whatever the distribution.

    comparisons: intervals that shall hold all together with this confidence (Bonferroni).
    Too few values for the confidence give an infinite interval, never a narrow one.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if not len(ordered):
        return Estimate(math.nan, math.nan, math.nan)
    outside = _outside(len(ordered), (1 - confidence) / comparisons)
    middle = float(np.median(ordered))
    if outside < 1:
        return Estimate(middle, -math.inf, math.inf)
    return Estimate(middle, float(ordered[outside - 1]), float(ordered[-outside]))


@cache
def _outside(count: int, wrong: float) -> int:
    """The largest k for which the k-th smallest and k-th largest value enclose the median.

    The median lies below the k-th smallest of n values with the chance of fewer than k heads.
    """
    below = stats.binom.cdf(np.arange(count), count, 0.5)
    return int(np.searchsorted(below, wrong / 2, side="right"))


def paired_ratio(
    times: ArrayLike, others: ArrayLike, *, confidence: float = 0.95, comparisons: int = 1
) -> Estimate:
    """The median of times / others, pair by pair, and its interval.

    times, others: (N,) measured alternately, so that whatever slows the machine for a while slows
    both halves of a pair and cancels.
    """
    first, second = np.asarray(times, np.float64), np.asarray(others, np.float64)
    if first.shape != second.shape:
        raise ValueError(
            f"paired_ratio got {len(first)} and {len(second)} measurements; pairs are needed."
        )
    return median_interval(first / second, confidence=confidence, comparisons=comparisons)


def mean_of_runs(
    values: Sequence[float], *, hands_error: float = 0.0, confidence: float = 0.95
) -> Estimate:
    """The mean over training seeds and its interval, the choice of hands included.

    values: (S,) one a seed. hands_error: standard error of the same mean by the choice of hands.
    Student's t, its degrees of freedom by Welch and Satterthwaite, for both errors are estimates.
    One seed gives the interval over hands alone; without either error there is none (NaN).
    """
    runs = np.asarray(values, np.float64)
    if not len(runs) or not np.isfinite(runs).all():
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(runs.mean())
    seeds = float(runs.var(ddof=1) / len(runs)) if len(runs) > 1 else 0.0
    total = seeds + hands_error**2
    if len(runs) == 1 and not hands_error > 0:
        return Estimate(mean, math.nan, math.nan)
    if total == 0:
        return Estimate(mean, mean, mean)
    freedom = total**2 / (seeds**2 / (len(runs) - 1)) if seeds else math.inf
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(total)
    return Estimate(mean, mean - half, mean + half)


def standard_error(values: ArrayLike, counts: ArrayLike | None = None) -> float:
    """The standard error of the mean of values over labels, by the choice of hands.

    values: (N,) one a hand. counts: (N,) labels behind each, 1 by default; hands without any are
    left out. The mean of labels is a ratio of two sums, so its error is the linearised one.
    """
    values = np.asarray(values, np.float64)
    counts = np.ones_like(values) if counts is None else np.asarray(counts, np.float64)
    values, counts = values[counts > 0], counts[counts > 0]
    if len(values) < 2:
        return math.nan
    mean = (values * counts).sum() / counts.sum()
    spread = np.square(counts * (values - mean)).sum() * len(values) / (len(values) - 1)
    return float(math.sqrt(spread) / counts.sum())


def relative_slope(values: ArrayLike) -> float:
    """The change of a straight line through the values, end to end, as a share of their mean."""
    values = np.asarray(values, np.float64)
    if len(values) < 3 or not np.isfinite(values).all() or values.mean() == 0:
        return math.nan
    slope = stats.linregress(np.arange(len(values)), values).slope
    return float(slope * (len(values) - 1) / abs(values.mean()))
