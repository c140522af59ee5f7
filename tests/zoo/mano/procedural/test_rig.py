from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from zoo.mano.procedural.anatomy import DIGITS, FIRST_JOINT
from zoo.mano.procedural.rig import joint_regressor, pose, rest_joints, skin
from zoo.mano.procedural.shape_space import shape_space


def test_joints_stand_inside_the_hand_in_mano_s_order(hand):
    joints = rest_joints()
    np.testing.assert_array_equal(joints[0], 0)
    for name in DIGITS:
        first = FIRST_JOINT[name]
        assert (np.diff(joints[first : first + 3, 0]) < 0).all()  # ever further from the wrist


@pytest.mark.parametrize("name", DIGITS)
def test_all_vertices_of_a_ring_bend_alike(name, hand):
    for ring in hand.mesh.tubes[name].rings[2:]:
        weights = hand.weights[ring]
        np.testing.assert_allclose(weights, np.broadcast_to(weights[0], weights.shape), atol=1e-9)


@pytest.mark.parametrize("name", DIGITS)
def test_a_fingertip_follows_its_last_bone_alone(name, hand):
    tube = hand.mesh.tubes[name]
    assert hand.weights[tube.pole, FIRST_JOINT[name] + 2] == pytest.approx(1)


def test_a_finger_never_pulls_another_finger_s_skin(hand):
    for name in DIGITS:
        others = [v for other in DIGITS if other != name for v in hand.mesh.tubes[other].ids[10:]]
        first = FIRST_JOINT[name]
        assert hand.weights[np.array(others), first : first + 3].max() == 0


def test_turning_the_wrist_turns_everything(hand):
    turn = Rotation.from_rotvec([0.3, -0.8, 1.2]).as_matrix()
    rotmats = np.broadcast_to(np.eye(3), (16, 3, 3)).copy()
    rotmats[0] = turn
    turns, joints, shift = pose(hand.joints, rotmats)
    np.testing.assert_allclose(joints, hand.joints @ turn.T, atol=1e-9)
    moved = skin(hand.mesh.points, hand.weights, turns, shift)
    np.testing.assert_allclose(moved, hand.mesh.points @ turn.T, atol=1e-9)


def test_regressed_joints_follow_every_shape(hand):
    shape = shape_space(hand.mesh.points, hand.weights, hand.joints)
    rows = joint_regressor(
        hand.mesh.points, hand.weights, hand.joints, shape.shapedirs, shape.joint_dirs
    )
    assert rows.min() >= 0
    np.testing.assert_allclose(rows.sum(1), 1)
    np.testing.assert_allclose(rows @ hand.mesh.points, hand.joints, atol=2e-3)
    read = np.einsum("jv,vck->kjc", rows, shape.shapedirs)
    np.testing.assert_allclose(read, shape.joint_dirs, atol=0.15)  # mm per standard deviation
