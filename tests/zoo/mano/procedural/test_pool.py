from __future__ import annotations

import numpy as np

from zoo.mano.procedural.pool import MAX_OVERLAP, candidates, fill, nearest


def test_no_pose_of_the_pool_sinks_into_itself(hand, prior):
    for angles in prior.pool[::100]:
        assert hand.penetration(hand.posed(angles)).max() <= MAX_OVERLAP + 0.05  # rounding


def test_a_pool_is_filled_to_size_and_depends_on_the_seed_alone(hand):
    first, again, other = (fill(hand, 9, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.pool.shape == (9, 21)
    np.testing.assert_array_equal(first.pool, again.pool)
    assert np.abs(first.pool - other.pool).max() > 1


def test_some_candidates_do_collide(hand):
    """Otherwise the test on the mesh would prove nothing."""
    angles = candidates(hand.prior, 40, np.random.default_rng(0))
    deep = np.array([hand.penetration(hand.posed(a)).max() for a in angles])
    assert 0.1 < (deep > MAX_OVERLAP).mean() < 0.7


def test_neighbours_come_nearest_first():
    pool = np.array([[0.0], [10.0], [1.0], [4.0]])
    assert nearest(pool, 2).tolist() == [[2, 3], [3, 2], [0, 3], [2, 0]]
