from __future__ import annotations

import numpy as np
import pytest

from zoo.metrics.motion import consecutive, motion_errors

KEYS = [f"a/b#0.{n}" for n in range(6)]


def moving(acceleration: float) -> np.ndarray:
    """Fingers that accelerate by so many mm/frame^2 along x; the wrist stands still."""
    time = np.arange(6.0)
    joints = np.zeros((6, 21, 3))
    joints[:, 1:, 0] = (acceleration / 2000 * time**2)[:, None]
    return joints


def test_steady_motion_and_a_moving_wrist_have_no_acceleration():
    still = np.zeros((6, 21, 3))
    drift = still + np.arange(6.0)[:, None, None] ** 3  # the whole hand, wildly
    errors = motion_errors(drift, still, np.ones((6, 21)), KEYS)
    np.testing.assert_allclose(errors.acceleration, 0, atol=1e-9)


@pytest.mark.parametrize("amount", [2.0, -3.0])
def test_the_error_is_the_difference_of_second_differences_in_mm(amount):
    errors = motion_errors(moving(5.0 + amount), moving(5.0), np.ones((6, 21)), KEYS)
    np.testing.assert_allclose(errors.acceleration, abs(amount))
    np.testing.assert_allclose(errors.jitter, amount)


def test_films_do_not_mix_and_gaps_break_them():
    keys = ["a#0.0", "a#0.1", "b#0.2", "a#1.2", "a#0.3", "a#0.4", "a#0.5", "single"]
    assert consecutive(keys).tolist() == [[4, 5, 6]]


def test_rows_may_come_in_any_order():
    order = np.random.default_rng(0).permutation(6)
    said, true = moving(7.0), moving(5.0)
    errors = motion_errors(
        said[order], true[order], np.ones((6, 21)), [KEYS[index] for index in order]
    )
    np.testing.assert_allclose(errors.acceleration, 2.0)


def test_a_frame_that_is_not_labelled_takes_no_part():
    valid = np.ones((6, 21))
    valid[2, 4] = 0
    said = moving(7.0)
    said[2] = np.nan
    errors = motion_errors(said, moving(5.0), valid, KEYS)
    assert len(errors.acceleration) == 1
    np.testing.assert_allclose(errors.acceleration, 2.0)


def test_without_films_there_is_nothing_to_say():
    errors = motion_errors(moving(1.0), moving(1.0), np.ones((6, 21)), ["single"] * 6)
    assert errors.acceleration.shape == (0,)
