from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.contracts import CameraReadout
from zoo.geometry.camera import project
from zoo.heads.cameras.weak_perspective import WeakPerspectiveCamera


def camera(**changes) -> WeakPerspectiveCamera:
    torch.manual_seed(0)
    model = WeakPerspectiveCamera(dim=16, **changes)
    torch.nn.init.zeros_(model.linear.weight)
    torch.nn.init.zeros_(model.linear.bias)
    return model


def seen(model, view, token, estimate) -> torch.Tensor:
    """Where a patch of 10 cm about the anchor is seen, px of the crop."""
    pose = model(token, estimate.expand(5, 3), view).pose
    corners = torch.tensor([[-0.05, 0.0, 0.0], [0.05, 0.0, 0.0], [0.0, 0.0, 0.0]])
    return project(corners + pose.position[:, None], pose.intrinsics)


def test_scale_is_how_much_of_the_crop_a_metre_fills_and_shift_moves_it(view, token):
    model = camera()
    assert isinstance(model, CameraReadout)
    side = max(view.crop_size)
    left, right, middle = seen(model, view, token, model.initial)[0]
    torch.testing.assert_close(right[0] - left[0], torch.tensor(4.0 * 0.1 / 2 * side))
    torch.testing.assert_close(middle, torch.tensor([96 / 2, 128 / 2]))
    moved = seen(model, view, token, torch.tensor([4.0, 0.02, 0.0]))[0, 2]
    torch.testing.assert_close(moved - middle, torch.tensor([4.0 * 0.02 / 2 * side, 0.0]))


def test_the_focal_length_changes_depth_but_hardly_the_picture(view, token):
    near, far = camera(focal=2500.0), camera(focal=5000.0)
    estimate = near.initial
    torch.testing.assert_close(
        seen(near, view, token, estimate), seen(far, view, token, estimate), atol=1e-3, rtol=0
    )
    depths = [m(token, estimate.expand(5, 3), view).pose.position[:, 2] for m in (near, far)]
    torch.testing.assert_close(depths[1], 2 * depths[0])


def test_the_true_camera_does_not_enter(view, token):
    model = camera()
    other = dataclasses.replace(view, intrinsics=view.intrinsics * 2)
    first, second = (model(token, model.initial.expand(5, 3), v).pose for v in (view, other))
    assert first.anchor == "mano_origin"
    assert torch.equal(first.position, second.position)
    assert torch.equal(first.intrinsics, second.intrinsics)


def test_in_the_true_camera_the_hand_is_seen_where_and_as_large_as_before(view, token):
    virtual, true = camera(), camera(intrinsics="true")
    estimate = torch.tensor([5.0, 0.03, -0.02])
    torch.testing.assert_close(
        seen(true, view, token, estimate), seen(virtual, view, token, estimate), atol=0.3, rtol=0
    )
    pose = true(token, estimate.expand(5, 3), view).pose
    assert torch.equal(pose.intrinsics, view.intrinsics)
    focal, side = view.intrinsics[:, 0, 0], max(view.crop_size)
    torch.testing.assert_close(pose.position[:, 2], 2 * focal / (side * 5.0))


def test_another_camera_than_the_two_is_refused():
    with pytest.raises(ValueError, match="'virtual' or 'true', not 'ture'"):
        camera(intrinsics="ture")
