"""Intervals hold what they promise on data whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.statistics import (
    mean_of_runs,
    median_interval,
    paired_ratio,
    relative_slope,
    standard_error,
)
from zoo.metrics.bootstrap import mean_interval

TRIALS = 2000  # the standard error of a coverage of 95 % is then 0.5 %


def coverage(intervals, truth: float) -> float:
    return np.mean([interval.low <= truth <= interval.high for interval in intervals])


def test_the_bootstrap_over_hands_covers_the_mean_of_a_skewed_error():
    rng = np.random.default_rng(0)
    errors = rng.lognormal(3.0, 0.5, (800, 120))
    found = [mean_interval(row, rng=rng, resamples=250) for row in errors]
    assert 0.93 <= coverage(found, math.exp(3.0 + 0.125)) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_over_runs_covers_the_truth_where_seeds_and_hands_both_vary(seeds):
    rng = np.random.default_rng(1)
    hands, found = 200, []
    for _ in range(TRIALS):
        of_hands = rng.normal(0, 8, hands)
        of_seeds = rng.normal(0, 0.7, (seeds, 1))
        scores = 2.0 + of_hands + of_seeds + rng.normal(0, 1, (seeds, hands))
        error = standard_error(scores.mean(0))
        found.append(mean_of_runs(scores.mean(1), hands_error=error))
    assert 0.93 <= coverage(found, 2.0) <= 0.97


def test_the_interval_over_runs_covers_the_truth_where_only_seeds_vary():
    rng = np.random.default_rng(2)
    found = [mean_of_runs(row) for row in rng.normal(2.0, 1.0, (TRIALS, 3))]
    assert 0.93 <= coverage(found, 2.0) <= 0.97


def test_the_interval_of_the_median_covers_it_at_least_as_often_as_it_says():
    rng = np.random.default_rng(3)
    found = [median_interval(row) for row in rng.standard_cauchy((TRIALS, 25))]
    assert 0.945 <= coverage(found, 0.0) <= 0.97


def test_intervals_of_many_comparisons_hold_together():
    rng = np.random.default_rng(4)
    together = [
        all(0.0 in median_interval(row, comparisons=12) for row in rng.normal(0, 1, (12, 25)))
        for _ in range(300)
    ]
    assert np.mean(together) >= 0.93


def test_the_error_over_hands_is_that_of_repeated_draws():
    rng = np.random.default_rng(5)
    means, errors = [], []
    for _ in range(TRIALS):
        counts = rng.integers(0, 22, 120)
        values = rng.gamma(4.0, 3.0, 120)
        means.append((values * counts).sum() / counts.sum())
        errors.append(standard_error(values, counts))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.05)


def test_a_planted_slowdown_is_outside_and_equal_timings_are_inside_the_interval():
    rng = np.random.default_rng(6)
    drift = 1 + 0.5 * rng.random(30)  # the machine is busy now and then, for both

    def timings(factor: float) -> np.ndarray:
        return factor * drift * rng.normal(1.0, 0.03, 30)

    assert 1.0 in paired_ratio(timings(1.0), timings(1.0), comparisons=20)
    slower = paired_ratio(timings(1.1), timings(1.0), comparisons=20)
    assert slower.low > 1.0
    assert 1.1 in slower


def test_too_few_values_give_no_narrow_interval():
    assert median_interval([1.0, 1.1]).low == -math.inf
    assert math.isnan(mean_of_runs([1.0]).low)
    assert math.isnan(mean_of_runs([1.0, math.nan]).value)
    assert math.isnan(standard_error([1.0]))
    with pytest.raises(ValueError, match="pairs are needed"):
        paired_ratio([1.0, 2.0], [1.0])


def test_runs_that_agree_to_the_bit_differ_by_exactly_nothing():
    nothing = mean_of_runs([0.0, 0.0, 0.0], hands_error=0.0)
    assert (nothing.value, nothing.low, nothing.high) == (0.0, 0.0, 0.0)


def test_the_slope_is_a_share_of_the_mean():
    assert relative_slope(np.linspace(1.1, 0.9, 40)) == pytest.approx(-0.2)
    assert math.isnan(relative_slope([1.0, math.nan, 1.0]))
