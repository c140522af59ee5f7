from __future__ import annotations

import numpy as np

from zoo.mano.procedural.anatomy import DIGITS, OTHER_TIP_VERTICES, TIP_VERTEX
from zoo.mano.procedural.cage import NUM_PALM, NUM_VERTICES, signed_volume
from zoo.mano.procedural.surface import hand_sdf
from zoo.mano.procedural.triangles import check_disc, edges


def test_vertices_lie_on_the_implicit_skin(hand):
    points = hand.mesh.points
    off = np.abs(hand_sdf(points))
    wrist = points[:, 0] > 13.9
    assert np.percentile(off[~wrist], 99) < 0.3
    assert off[~wrist].max() < 1.5


def test_every_count_is_mano_s(hand):
    assert hand.mesh.points.shape == (NUM_VERTICES, 3)
    assert hand.mesh.faces.shape == (1538, 3)
    check_disc(hand.mesh.faces, NUM_VERTICES)
    assert signed_volume(hand.mesh.points, hand.mesh.faces) > 0


def test_every_vertex_belongs_to_the_palm_or_to_one_digit(hand):
    owned = np.concatenate([np.arange(NUM_PALM), *(t.ids for t in hand.mesh.tubes.values())])
    np.testing.assert_array_equal(np.sort(owned), np.arange(NUM_VERTICES))


def test_tips_and_their_rivals_belong_to_their_own_digit(hand):
    for name in DIGITS:
        tube = hand.mesh.tubes[name]
        assert tube.pole == TIP_VERTEX[name]
        assert set(OTHER_TIP_VERTICES[name]) <= set(tube.rings[-1])


def test_triangles_are_neither_tiny_nor_needles(hand):
    points, faces = hand.mesh.points, hand.mesh.faces
    a, b = edges(faces).T
    length = np.linalg.norm(points[a] - points[b], axis=1)
    assert length.min() > 1.5
    assert length.max() < 21
    assert 6 < np.median(length) < 8
    corners = points[faces]
    sides = np.linalg.norm(corners - np.roll(corners, -1, 1), axis=-1)
    x, y, z = sides.T
    cos = np.stack(
        [(p**2 + q**2 - r**2) / (2 * p * q) for p, q, r in ((x, y, z), (y, z, x), (z, x, y))]
    )
    smallest = np.degrees(np.arccos(cos)).min(0)
    assert smallest.min() > 6
    assert np.percentile(smallest, 5) > 18
