from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from zoo.mano.procedural.anatomy import FIRST_JOINT
from zoo.mano.procedural.collision import count_intersections
from zoo.mano.procedural.rig import pose, skin


def uncorrected(hand, angles):
    rotvec = hand.prior.rotvec(angles[None]).reshape(15, 3)
    rotmats = np.concatenate((np.eye(3)[None], Rotation.from_rotvec(rotvec).as_matrix()))
    turn, _, shift = pose(hand.joints, rotmats)
    return skin(hand.mesh.points, hand.weights, turn, shift)


def test_corrections_close_folds_that_plain_skinning_tears(hand, prior):
    faces, parts = hand.mesh.faces, hand.parts
    angles = prior.sample_angles(40, np.random.default_rng(2))
    plain = sum(count_intersections(uncorrected(hand, a), faces, parts).folds for a in angles)
    corrected = sum(count_intersections(hand.posed(a), faces, parts).folds for a in angles)
    assert corrected < 0.7 * plain


def test_a_bent_finger_keeps_its_thickness(hand):
    """Plain skinning flattens the knuckle of a sharp bend; the correction must not."""
    angles = np.zeros(21)
    angles[6] = 100  # middle finger's second joint
    ring = hand.mesh.tubes["middle"].rings[3]

    def girth(vertices):
        loop = vertices[ring]
        return np.linalg.norm(loop - np.roll(loop, 1, 0), axis=1).sum()

    rest = girth(hand.mesh.points)
    assert abs(girth(hand.posed(angles)) - rest) < abs(girth(uncorrected(hand, angles)) - rest)


@pytest.mark.parametrize("name", ["index", "thumb"])
def test_a_joint_corrects_only_its_own_surroundings(name, hand):
    joint = FIRST_JOINT[name] + 2
    block = hand.posedirs[:, :, 9 * (joint - 1) : 9 * joint]
    moved = np.abs(block).max((1, 2)) > 0
    away = np.linalg.norm(hand.mesh.points - hand.joints[joint], axis=1)
    assert moved.any()
    assert away[moved].max() <= 24


def test_corrections_stay_small_over_the_prior(hand, prior):
    angles = prior.sample_angles(50, np.random.default_rng(0))
    offsets = np.stack([hand.posed(a) - uncorrected(hand, a) for a in angles])
    size = np.linalg.norm(offsets, axis=-1)
    assert size.mean() < 0.4
    assert size.max() < 15
