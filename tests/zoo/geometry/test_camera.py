from __future__ import annotations

import pytest
import torch

from zoo.geometry.camera import (
    assumed_intrinsics,
    box_of_points,
    inverse_intrinsics,
    project,
    rays,
    square_box,
    unproject,
)


def _scene():
    rng = torch.Generator().manual_seed(0)
    points = 0.1 * torch.randn(4, 21, 3, generator=rng, dtype=torch.float64)
    intrinsics = torch.tensor([[500.0, 2, 310], [0, 520, 250], [0, 0, 1]], dtype=torch.float64)
    return points + torch.tensor([0, 0, 0.6]), intrinsics * torch.ones(4, 1, 1)


def test_a_point_on_the_axis_is_seen_at_the_principal_point():
    _, intrinsics = _scene()
    on_axis = torch.tensor([0, 0, 0.5], dtype=torch.float64).expand(4, 1, 3)
    torch.testing.assert_close(project(on_axis, intrinsics)[:, 0], intrinsics[:, :2, 2])


def test_unprojecting_what_was_seen_gives_the_points_back():
    points, intrinsics = _scene()
    pixels = project(points, intrinsics)
    back = unproject(pixels, points[..., 2], intrinsics)
    torch.testing.assert_close(back, points, rtol=0, atol=1e-12)
    directions = rays(pixels, intrinsics)
    expected = points / torch.linalg.vector_norm(points, dim=-1, keepdim=True)
    torch.testing.assert_close(directions, expected, rtol=0, atol=1e-12)


def test_the_inverse_camera_is_the_inverse_matrix():
    _, intrinsics = _scene()
    identity = torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    torch.testing.assert_close(inverse_intrinsics(intrinsics) @ intrinsics, identity)


def test_a_wild_depth_gives_bounded_pixels_and_gradients():
    intrinsics = _scene()[1].float()[:1]
    for depth in (-100.0, 0.0, 1e-6, 0.005):
        points = torch.tensor([[[0.1, -0.2, depth]]]).requires_grad_()
        pixels = project(points, intrinsics, min_depth=0.01)
        (gradient,) = torch.autograd.grad(pixels.sum(), points)
        assert pixels.abs().max() < 2e4
        assert gradient.isfinite().all()
    points, intrinsics = _scene()
    assert torch.equal(project(points, intrinsics, min_depth=0.01), project(points, intrinsics))


def test_a_box_holds_the_valid_points_and_nothing_else_counts():
    points = torch.tensor([[[1.0, 5], [4, 2], [float("nan"), 900], [-800, float("inf")]]])
    valid = torch.tensor([[1.0, 1, 0, 0]])
    assert box_of_points(points, valid).tolist() == [[1, 2, 4, 5]]
    assert box_of_points(points, valid.bool()).tolist() == [[1, 2, 4, 5]]
    assert box_of_points(points, torch.zeros(1, 4)).tolist() == [[0, 0, 0, 0]]


def test_a_square_box_keeps_the_centre_and_expands_the_longer_side():
    box = torch.tensor([[10.0, 20, 30, 80], [0, 0, 8, 4]])
    assert square_box(box, expand=2.0).tolist() == [[-40, -10, 80, 110], [-4, -6, 12, 10]]
    assert square_box(box, expand=torch.tensor([1.0, 2.0]))[0].tolist() == [-10, 20, 50, 80]


def test_an_assumed_camera_looks_through_the_middle_of_the_picture():
    (camera,) = assumed_intrinsics(torch.tensor([[480.0, 640.0]]))
    assert camera.tolist() == [[800, 0, 319.5], [0, 800, 239.5], [0, 0, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_kept(dtype):
    points, intrinsics = (value.to(dtype) for value in _scene())
    pixels = project(points, intrinsics)
    assert pixels.dtype == dtype
    assert unproject(pixels, points[..., 2], intrinsics).dtype == dtype
