"""The z-buffer agrees with rays, keeps the nearest face and does it the same way every time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from zoo.geometry.raster import rasterize

SIZE = (48, 64)
K = np.array([[80.0, 0, 31], [0, 80, 22], [0, 0, 1]])


def soup(seed=0, count=40):
    rng = np.random.default_rng(seed)
    centre = rng.normal([0, 0, 1.0], [0.2, 0.15, 0.2], (count, 1, 3))
    points = (centre + rng.normal(0, 0.08, (count, 3, 3))).reshape(-1, 3)
    return points, np.arange(3 * count).reshape(count, 3)


def seen(points):
    image = points @ K.T
    return np.column_stack([image[:, :2] / image[:, 2:], points[:, 2]])


def nearest_hit(points, faces, pixel):
    """Möller and Trumbore's intersection of one pixel's ray with every face."""
    ray = np.linalg.solve(K, [*pixel, 1.0])
    a, b, c = (points[faces[:, k]] for k in range(3))
    best = (np.inf, -1)
    for f in range(len(faces)):
        matrix = np.stack([-ray, b[f] - a[f], c[f] - a[f]], 1)
        t, u, v = np.linalg.solve(matrix, -a[f])
        if min(u, v, 1 - u - v) >= 0 and 0 < t < best[0]:
            best = (t, f)
    return best


def test_it_sees_what_a_ray_through_each_pixel_hits():
    points, faces = soup()
    depth, face_id, _ = rasterize(seen(points), faces, SIZE)
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        x, y = int(rng.integers(SIZE[1])), int(rng.integers(SIZE[0]))
        t, f = nearest_hit(points, faces, (x, y))
        assert face_id[y, x] == f
        if f >= 0:
            assert depth[y, x] == pytest.approx(t, rel=1e-5)
            hits += 1
        else:
            assert np.isinf(depth[y, x])
    assert hits > 50


def test_barycentric_weights_give_the_point_in_space():
    points, faces = soup()
    depth, face_id, barycentric = rasterize(seen(points), faces, SIZE)
    ys, xs = np.nonzero(face_id >= 0)
    weights = np.column_stack([barycentric[ys, xs], 1 - barycentric[ys, xs].sum(1)])
    at = np.einsum("nk,nkc->nc", weights, points[faces[face_id[ys, xs]]])
    pixels = np.column_stack([xs, ys, np.ones(len(xs))])
    expected = np.linalg.solve(K, pixels.T).T * depth[ys, xs, None]
    np.testing.assert_allclose(at, expected, atol=1e-5)


def test_pixel_centres_are_whole_numbers():
    points = np.array([[1.6, 1.6, 1], [3.4, 1.6, 1], [3.4, 3.4, 1], [1.6, 3.4, 1]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    face_id = rasterize(points, faces, (6, 6))[1]
    expected = np.zeros((6, 6), bool)
    expected[2:4, 2:4] = True
    np.testing.assert_array_equal(face_id >= 0, expected)


def test_neighbouring_faces_leave_no_crack():
    rng = np.random.default_rng(2)
    grid = np.stack(np.meshgrid(np.linspace(-1, 41, 12), np.linspace(-1, 31, 10)), -1)
    grid[1:-1, 1:-1] += rng.uniform(-1, 1, grid[1:-1, 1:-1].shape)
    points = np.column_stack([grid.reshape(-1, 2), rng.uniform(0.8, 1.2, grid[..., 0].size)])
    at = np.arange(120).reshape(10, 12)
    a, b, c, d = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, 1:].ravel(), at[1:, :-1].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    assert (rasterize(points, faces, (30, 40))[1] >= 0).all()


def test_culling_drops_faces_that_look_away_and_only_those():
    points = np.array([[0.0, 0, 1], [9, 0, 1], [0, 9, 1]])
    towards, away = np.array([[0, 2, 1]]), np.array([[0, 1, 2]])
    assert (rasterize(points, towards, (10, 10), cull=True)[1] >= 0).any()
    assert not (rasterize(points, away, (10, 10), cull=True)[1] >= 0).any()
    assert (rasterize(points, away, (10, 10))[1] >= 0).any()


def test_culling_changes_nothing_on_a_closed_surface_of_outward_faces():
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = ConvexHull(corners).simplices
    a, b, c = (corners[faces[:, k]] for k in range(3))
    outward = (np.cross(b - a, c - a) * (a + b + c - 1.5)).sum(1) > 0
    faces[~outward] = faces[~outward][:, ::-1]
    points = seen((corners - 0.5) @ Rotation.from_rotvec([0.5, 0.4, 0.2]).as_matrix() + [0, 0, 3])
    for whole, culled in zip(
        rasterize(points, faces, SIZE), rasterize(points, faces, SIZE, cull=True), strict=True
    ):
        np.testing.assert_array_equal(whole, culled)


def test_a_face_behind_the_camera_is_not_drawn():
    points = np.array([[0.0, 0, 1], [9, 0, 1], [0, 9, -1]])
    assert not (rasterize(points, np.array([[0, 1, 2]]), (10, 10))[1] >= 0).any()


def test_the_same_mesh_gives_the_same_bytes():
    points, faces = soup(seed=3, count=200)
    first, second = (rasterize(seen(points), faces, SIZE) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()
