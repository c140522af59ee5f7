from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from zoo.mano.procedural.collision import count_intersections


def test_samples_are_rotations_of_mano_s_fifteen_joints(prior):
    pose = prior.sample(50, np.random.default_rng(0))
    assert pose.shape == (50, 45)
    assert np.isfinite(pose).all()
    assert (np.linalg.norm(pose.reshape(-1, 3), axis=1) < np.pi).all()


def test_the_same_generator_gives_the_same_poses(prior):
    first, again = (prior.sample(5, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - prior.sample(5, np.random.default_rng(4))).max() > 0.1


@pytest.mark.parametrize("source", ["samples", "pool", "named"])
def test_every_angle_stays_inside_its_limits(source, prior):
    angles = {
        "samples": prior.sample_angles(2000, np.random.default_rng(0)),
        "pool": prior.pool,
        "named": np.stack(list(prior.named_angles.values())),
    }[source]
    assert (angles >= prior.low - 1e-6).all()
    assert (angles <= prior.high + 1e-6).all()


def test_samples_reach_most_of_every_range(prior):
    angles = prior.sample_angles(4000, np.random.default_rng(0))
    covered = np.ptp(np.percentile(angles, [0.5, 99.5], axis=0), axis=0)
    assert (covered > 0.5 * (prior.high - prior.low)).all()


def test_a_fist_cannot_spread_its_fingers(prior):
    angles = np.zeros((2, 21))
    angles[:, 1::4][:, :4] = 14
    angles[1, 0:16:4] = 90
    open_hand, fist = prior.clamp(angles)[:, 1:16:4]
    assert (open_hand == 14).all()
    assert (fist < 2.2).all()


def test_rotations_compose_about_the_joint_s_own_axes(prior):
    angles = prior.sample_angles(20, np.random.default_rng(1))
    rotvec = prior.rotvec(angles).reshape(20, 15, 3)
    for joint in range(15):
        expected = Rotation.identity(20)
        for axis, angle in zip(prior.axes[joint], prior.axis_angle[joint], strict=True):
            if angle >= 0:
                expected = expected * Rotation.from_rotvec(
                    np.radians(angles[:, angle, None]) * axis
                )
        np.testing.assert_allclose(rotvec[:, joint], expected.as_rotvec(), atol=1e-9)


def test_every_angle_turns_exactly_one_joint(prior):
    used = prior.axis_angle[prior.axis_angle >= 0]
    assert sorted(used) == list(range(21))
    rest = prior.rotvec(np.zeros((1, 21)))
    np.testing.assert_array_equal(rest, 0)


def test_an_unknown_pose_lists_the_known_ones(prior):
    with pytest.raises(ValueError, match=r"no pose 'wave'; it has .*fist.*pinch"):
        prior.named("wave")


def test_a_named_pose_is_a_hand_pose(prior):
    np.testing.assert_array_equal(
        prior.named("fist"), prior.rotvec(prior.named_angles["fist"][None])[0]
    )


def test_neighbours_are_other_poses_and_closer_than_strangers(prior):
    ids = np.arange(len(prior.pool))
    assert (prior.neighbours != ids[:, None]).all()
    near = np.linalg.norm(prior.pool[prior.neighbours[:, 0]] - prior.pool, axis=1)
    far = np.linalg.norm(np.roll(prior.pool, 1, 0) - prior.pool, axis=1)
    assert np.median(near) < 0.7 * np.median(far)


def test_sampled_hands_hardly_run_into_themselves(hand, prior):
    angles = prior.sample_angles(100, np.random.default_rng(7))
    surfaces = [hand.posed(a) for a in angles]
    deepest = np.array([hand.penetration(v).max() for v in surfaces])
    assert np.median(deepest) < 0.5
    assert (deepest > 1.5).mean() < 0.10
    assert (deepest > 3.0).mean() < 0.05
    faces, parts = hand.mesh.faces, hand.parts
    hit = np.array([count_intersections(v, faces, parts).faces_hit for v in surfaces])
    assert hit.mean() < 0.02 * len(faces)
    assert (hit == 0).mean() > 0.3
