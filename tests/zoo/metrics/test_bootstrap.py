from __future__ import annotations

import math

import numpy as np
import pytest

from zoo.metrics.bootstrap import difference_interval, mean_interval


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_mean_is_the_mean_over_labels():
    interval = mean_interval([10.0, 40.0], [30, 10], rng=rng())
    assert interval.mean == pytest.approx(17.5)
    assert interval.low <= interval.mean <= interval.high


def test_the_interval_has_the_width_theory_gives_it():
    values = rng(1).normal(20, 5, 400)
    interval = mean_interval(values, rng=rng())
    half = 1.96 * values.std() / math.sqrt(400)
    assert interval.high - interval.mean == pytest.approx(half, rel=0.15)
    assert interval.mean - interval.low == pytest.approx(half, rel=0.15)


def test_it_holds_the_true_mean_about_as_often_as_it_says():
    held = 0
    for seed in range(100):
        interval = mean_interval(rng(seed).exponential(10, 60), rng=rng(), resamples=300)
        held += interval.low <= 10 <= interval.high
    assert 85 <= held <= 99


def test_the_same_generator_gives_the_same_interval():
    values = rng(2).normal(size=50)
    assert mean_interval(values, rng=rng(3)) == mean_interval(values, rng=rng(3))
    assert mean_interval(values, rng=rng(3)) != mean_interval(values, rng=rng(4))


def test_pairing_removes_what_is_hard_for_both():
    hard = rng(5).normal(50, 20, 200)
    ours, theirs = hard - 1 + rng(6).normal(0, 0.5, 200), hard
    paired = difference_interval(ours, theirs, rng=rng())
    assert paired.mean == pytest.approx(-1, abs=0.2)
    assert paired.high < 0, "a millimetre is seen through 20 mm of difficulty"
    alone = mean_interval(ours, rng=rng())
    assert alone.high - alone.low > 10 * (paired.high - paired.low)


def test_frames_of_one_clip_are_one_witness():
    clips = rng(7).normal(20, 5, 20)
    frames, names = np.repeat(clips, 30), np.repeat(np.arange(20), 30)
    by_frame = mean_interval(frames, rng=rng())
    by_clip = mean_interval(frames, rng=rng(), groups=names)
    assert by_clip.mean == pytest.approx(by_frame.mean)
    assert by_clip.high - by_clip.low > 4 * (by_frame.high - by_frame.low)


def test_hands_without_labels_are_left_out_even_when_they_are_not_numbers():
    with_gap = mean_interval([1.0, math.nan, 3.0, 5.0], [1, 0, 1, 1], rng=rng())
    assert with_gap == mean_interval([1.0, 3.0, 5.0], rng=rng())


def test_too_few_hands_have_no_interval():
    assert math.isnan(mean_interval([], rng=rng()).mean)
    one = mean_interval([3.0], rng=rng())
    assert one.mean == 3
    assert math.isnan(one.low)


def test_lists_of_different_hands_cannot_be_paired():
    with pytest.raises(ValueError, match="same hands"):
        difference_interval([1.0, 2.0], [1.0], rng=rng())
