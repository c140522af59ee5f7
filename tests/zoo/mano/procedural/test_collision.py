from __future__ import annotations

import numpy as np
import pytest

from zoo.mano.procedural.collision import count_intersections, may_touch, vertex_normals


def box(centre: tuple[float, float, float], half: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A closed box of twelve outward faces."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return corners * half + centre, np.array(faces)


def two_boxes(distance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, faces = box((0, 0, 0))
    second, _ = box((distance, 0.3, 0.2))
    parts = np.repeat([1, 2], 12)
    return np.concatenate((first, second)), np.concatenate((faces, faces + 8)), parts


@pytest.mark.parametrize(("distance", "touch"), [(1.5, True), (2.5, False)])
def test_boxes_intersect_only_when_they_overlap(distance, touch):
    found = count_intersections(*two_boxes(distance))
    assert (found.contacts > 0) is touch
    assert found.folds == 0
    assert (found.faces_hit > 0) is touch


def test_a_crossing_within_one_part_counts_as_a_fold():
    vertices, faces, parts = two_boxes(1.5)
    found = count_intersections(vertices, faces, np.ones_like(parts))
    assert found.contacts == 0
    assert found.folds > 0


def test_two_triangles_through_each_other_are_one_pair():
    vertices = np.array(
        [[0, 0, 0], [2, 0, 0], [0, 2, 0], [0.5, 0.5, -1], [0.5, 0.6, 1], [0.7, 0.5, 1]], float
    )
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    assert count_intersections(vertices, faces, np.array([1, 2])) == (0, 1, 2)
    apart = vertices + np.repeat([[0.0], [3.0]], 3, axis=0)
    assert count_intersections(apart, faces, np.array([1, 2])) == (0, 0, 0)


def test_normals_of_a_box_point_away_from_its_centre():
    vertices, faces = box((0, 0, 0))
    normals = vertex_normals(vertices, faces)
    assert ((normals * vertices).sum(1) > 0.5).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)


def test_neighbours_on_the_skeleton_may_overlap_and_others_may_not():
    allowed = may_touch()
    assert (allowed == allowed.T).all()
    assert not allowed[np.arange(16), np.arange(16)].any()
    assert not allowed[0, 1]  # palm and first bone of the index
    assert not allowed[1, 4]  # two knuckles side by side
    assert allowed[0, 3]  # palm and the index's last bone
    assert allowed[3, 15]  # tips of index and thumb
    assert allowed[1, 3]  # a finger folded onto itself


def test_depth_is_measured_from_the_skin_inwards(hand):
    rest = hand.mesh.points
    assert hand.penetration(rest).max() == 0
    # Push the index's tip into the middle finger beside it, by a known amount.
    index, middle = hand.mesh.tubes["index"], hand.mesh.tubes["middle"]
    moved = rest.copy()
    inside = 0.5 * (rest[middle.rings[5][4]] + rest[middle.rings[5][0]])
    moved[index.pole] = inside
    depth = hand.penetration(moved)[index.pole]
    radius = np.linalg.norm(rest[middle.rings[5]] - inside, axis=1).min()
    assert 0.6 * radius < depth <= radius
