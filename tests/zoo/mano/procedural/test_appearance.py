from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from zoo.mano import procedural
from zoo.mano.procedural.appearance import (
    NUM_FOREARM_VERTICES,
    NUM_TEXELS,
    TEXEL_STEPS,
    decode_colour,
    encode_colour,
    texel_barycentrics,
)
from zoo.mano.procedural.triangles import boundary, half_edges


@pytest.fixture(scope="module")
def appearance():
    return procedural.Appearance.load()


@pytest.fixture(scope="module")
def template():
    return procedural.load().v_template.astype(np.float64)


def test_the_hand_s_own_faces_come_first_and_unchanged(appearance):
    faces = procedural.load().faces
    np.testing.assert_array_equal(appearance.faces[: appearance.num_hand_faces], faces)
    np.testing.assert_array_equal(appearance.wrist_loop, boundary(faces))


def test_with_its_forearm_the_hand_has_no_hole(appearance, template):
    directed = half_edges(appearance.faces)
    assert len(np.unique(directed, axis=0)) == len(directed)
    there = {tuple(edge) for edge in directed.tolist()}
    assert all((b, a) in there for a, b in there)
    assert appearance.faces.max() == len(template) + NUM_FOREARM_VERTICES - 1


def test_the_forearm_s_faces_point_outwards(appearance, template):
    points = appearance.with_forearm(template, np.eye(3))
    a, b, c = (points[appearance.faces[appearance.num_hand_faces :, k]] for k in range(3))
    normals, middle = np.cross(b - a, c - a), (a + b + c) / 3
    axis = points[appearance.wrist_loop].mean(0)
    away = middle - axis
    away[:, 0] = 0  # from the axis of the arm
    side = appearance.forearm_ring < appearance.forearm_ring.max() - 2
    assert ((normals * away).sum(1)[side] > 0).all()
    assert (normals[~side, 0] > 0).all()  # the stump closes behind


def test_the_forearm_follows_the_hand_wherever_it_turns(appearance, template):
    turn = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    shift = np.array([0.1, 0.2, 0.7])
    still = appearance.with_forearm(template, np.eye(3), (0.2, -0.1))
    moved = appearance.with_forearm(template @ turn.T + shift, turn, (0.2, -0.1))
    np.testing.assert_allclose(moved, still @ turn.T + shift, atol=1e-12)


def test_a_bend_moves_the_elbow_and_leaves_the_wrist(appearance, template):
    straight = appearance.with_forearm(template, np.eye(3))
    bent = appearance.with_forearm(template, np.eye(3), (0.4, 0.0))
    np.testing.assert_array_equal(bent[:778], straight[:778])
    assert abs(bent[-1, 2] - straight[-1, 2]) > 0.05
    np.testing.assert_allclose(bent[-1, 1], straight[-1, 1], atol=1e-9)


def test_texels_stand_on_a_regular_grid():
    places = texel_barycentrics()
    assert places.shape == (NUM_TEXELS, 3)
    np.testing.assert_allclose(places.sum(1), 1)
    assert places.min() >= 0
    np.testing.assert_array_equal(places[0], [1, 0, 0])
    np.testing.assert_array_equal(places[TEXEL_STEPS], [0, 1, 0])
    np.testing.assert_array_equal(places[-1], [0, 0, 1])


def test_colours_meet_without_a_seam_on_every_edge(appearance):
    """Two faces share an edge; the nine texels of either side must agree, forearm included."""
    places = texel_barycentrics()
    rows = {}
    for opposite in range(3):
        start, end = (opposite + 1) % 3, (opposite + 2) % 3
        on_edge = np.flatnonzero(places[:, opposite] == 0)
        rows[start, end] = on_edge[np.argsort(places[on_edge, end])]
    colour = {}
    worst = 0.0
    for face, texels in zip(appearance.faces.tolist(), appearance.texels, strict=True):
        for (start, end), ids in rows.items():
            a, b = face[start], face[end]
            if (b, a) in colour:
                worst = max(worst, np.abs(colour[b, a][::-1] - texels[ids]).max())
            colour[a, b] = texels[ids]
    assert worst < 0.01


def test_colours_are_in_range_and_nails_shine(appearance):
    assert appearance.texels.shape == (len(appearance.faces), NUM_TEXELS, 4)
    assert appearance.texels.min() >= 0
    assert appearance.texels.max() <= 1
    gloss = appearance.texels[..., 3]
    assert 0.005 < (gloss > 0.8).mean() < 0.06  # nails are a small part of a hand
    assert np.median(gloss) < 0.35


def test_encoding_keeps_colours_to_half_a_percent():
    colour = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(decode_colour(encode_colour(colour)), colour, atol=0.005)
