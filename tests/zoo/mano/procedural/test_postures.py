from __future__ import annotations

import numpy as np
import pytest

from zoo.mano.procedural.collision import count_intersections, vertex_normals
from zoo.mano.procedural.contact import AIMS
from zoo.mano.procedural.postures import ANGLE_NAMES, LIMITS, NAMED, named_angles


def pad(hand, digit: str) -> list[int]:
    side = 6 if digit == "thumb" else 7
    return [hand.mesh.tubes[digit].rings[ring][side] for ring in (8, 9)]


def test_every_named_pose_is_inside_the_limits(prior):
    low, high = np.array(list(LIMITS.values()), float).T
    for angles in named_angles().values():
        assert (angles >= low).all()
        assert (angles <= high).all()


def test_the_shipped_poses_are_these(prior):
    assert prior.names == ANGLE_NAMES
    assert list(prior.named_angles) == list(NAMED)
    for name, angles in named_angles().items():
        np.testing.assert_array_equal(prior.named_angles[name], angles)


@pytest.mark.parametrize("name", NAMED)
def test_no_part_of_a_named_pose_sinks_into_another(name, hand):
    vertices = hand.posed(named_angles()[name])
    assert hand.penetration(vertices).max() < 1.5


@pytest.mark.parametrize("name", ["flat", "spread", "relaxed", "grasp"])
def test_an_open_hand_does_not_touch_itself_at_all(name, hand):
    vertices = hand.posed(named_angles()[name])
    assert count_intersections(vertices, hand.mesh.faces, hand.parts) == (0, 0, 0)


@pytest.mark.parametrize("name", [name for name, aim in AIMS.items() if aim.touches])
def test_what_a_pose_touches_is_touched(name, hand):
    vertices = hand.posed(named_angles()[name])
    for first, second, weight in AIMS[name].touches:
        a, b = (
            vertices[[v for patch in side for v in patch.ids(hand)]].mean(0)
            for side in (first, second)
        )
        assert np.linalg.norm(a - b) < (3.0 if weight > 0.5 else 8.0)


@pytest.mark.parametrize("name", ["pinch", "ok", "tripod"])
def test_thumb_and_index_meet_pad_to_pad(name, hand):
    vertices = hand.posed(named_angles()[name])
    normals = vertex_normals(vertices, hand.mesh.faces)
    thumb, index = pad(hand, "thumb"), pad(hand, "index")
    facing = normals[thumb].mean(0) @ normals[index].mean(0)
    assert facing < -0.5
    assert np.linalg.norm(vertices[thumb].mean(0) - vertices[index].mean(0)) < 3


@pytest.mark.parametrize(("name", "finger"), [("point", "middle"), ("two", "ring")])
def test_the_thumb_rests_on_the_folded_finger(name, finger, hand):
    vertices = hand.posed(named_angles()[name])
    back = [hand.mesh.tubes[finger].rings[ring][2] for ring in (4, 5)]
    gap = vertices[pad(hand, "thumb")].mean(0) - vertices[back].mean(0)
    assert np.linalg.norm(gap) < 2
