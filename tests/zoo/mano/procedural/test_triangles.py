from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from zoo.mano.procedural.triangles import (
    adjacency,
    boundary,
    check_disc,
    edges,
    flip_edges,
    zip_loops,
    zip_rows,
)


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of n by n vertices."""
    y, x = np.mgrid[0:n, 0:n]
    points = np.stack((x.ravel(), y.ravel(), np.zeros(n * n)), 1).astype(float)
    rows = [list(range(n * k, n * k + n)) for k in range(n)]
    faces = [f for a, b in pairwise(rows) for f in zip_rows(a, b, points)]
    return points, np.array(faces)


def test_rows_of_unequal_length_are_joined_by_every_edge_once():
    points = np.array([[x, 0, 0] for x in range(4)] + [[x, 1, 0] for x in range(7)], float)
    faces = np.array(zip_rows([0, 1, 2, 3], [4, 5, 6, 7, 8, 9, 10], points))
    assert len(faces) == 3 + 6
    check_disc(faces, 11)


def test_loops_are_joined_into_a_tube():
    angle = np.arange(5) * 2 * np.pi / 5
    ring = np.stack((np.cos(angle), np.sin(angle), np.zeros(5)), 1)
    points = np.concatenate((ring, ring + np.array([0, 0, 1])))
    faces = np.array(zip_loops(list(range(5)), list(range(5, 10)), points))
    assert len(faces) == 10
    assert 10 - len(edges(faces)) + len(faces) == 0  # Euler's number of a tube
    with pytest.raises(ValueError, match="several open edges"):
        boundary(faces)


def test_the_boundary_walks_against_the_faces():
    _, faces = grid(4)
    loop = boundary(faces)
    assert len(loop) == 12
    owned = {(t[k], t[(k + 1) % 3]) for t in faces.tolist() for k in range(3)}
    walked = list(zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True))
    assert all(edge not in owned and edge[::-1] in owned for edge in walked)


def test_a_closed_mesh_has_no_boundary():
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    with pytest.raises(ValueError, match="no open edge"):
        boundary(tetrahedron)


def test_a_face_turned_over_is_noticed():
    _, faces = grid(3)
    check_disc(faces, 9)
    faces[0] = faces[0][::-1]
    with pytest.raises(AssertionError):
        check_disc(faces, 9)


def test_adjacency_is_symmetric_and_counts_neighbours():
    _, faces = grid(3)
    matrix = adjacency(faces, 9)
    assert (matrix != matrix.T).nnz == 0
    assert matrix.sum() == 2 * len(edges(faces))


def test_a_sliver_s_edge_is_flipped_and_a_fixed_one_is_not():
    points = np.array([[0, 0, 0], [10, 0, 0], [5, 1, 0], [5, -1, 0]], float)
    faces = np.array([[0, 1, 2], [1, 0, 3]])
    movable = np.ones(4, bool)
    flipped = flip_edges(points, faces, movable)
    assert {frozenset(f) for f in flipped.tolist()} == {frozenset({0, 2, 3}), frozenset({1, 2, 3})}
    check_disc(flipped, 4)
    movable[2] = False
    np.testing.assert_array_equal(flip_edges(points, faces, movable), faces)
