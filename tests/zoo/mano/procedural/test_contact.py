from __future__ import annotations

import numpy as np

from zoo.mano.procedural.contact import AIMS, settle


def test_settling_pulls_a_thumb_out_of_the_fingers(hand):
    """The fist before it was settled: the thumb 6 mm deep in the fingers."""
    angles = np.array(
        [78, -4, 100, 62, 84, 0, 102, 64, 86, 2, 102, 66, 88, 2, 98, 66, 42, 10, 55, 20, 55], float
    )
    aim = AIMS["fist"]
    settled = settle(hand, angles, aim, starts=1)
    before, after = (hand.penetration(hand.posed(a)).max() for a in (angles, settled))
    assert before > 4
    assert after < 1.2
    assert (settled >= hand.prior.low).all()
    assert (settled <= hand.prior.high).all()
    assert np.abs(settled - angles)[0:16:4].max() < 15  # still a fist


def test_every_aim_is_a_named_pose_and_touches_with_existing_skin(hand):
    assert set(AIMS) <= set(hand.prior.named_angles)
    for aim in AIMS.values():
        for first, second, _ in aim.touches:
            ids = [v for patch in (*first, *second) for v in patch.ids(hand)]
            assert len(set(ids)) == len(ids)
