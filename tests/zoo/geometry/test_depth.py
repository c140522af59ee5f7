"""Depth maps move as the points they measure do, and no reading is invented."""

from __future__ import annotations

import pytest
import torch

from zoo.contracts import ViewChange
from zoo.geometry.camera import inverse_intrinsics
from zoo.geometry.depth import reshaped_depth, warp_depth
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.geometry.view import mirrored, pixel_homography, unchanged

SIZE = (60, 80)
CAMERA = torch.tensor([[[150.0, 0, 41], [0, 155, 28], [0, 0, 1]]])
# The plane n . X = 1 about 0.6 m before the camera, leaning both ways.
PLANE = torch.tensor([0.3, -0.4, 1.0]) / 0.6


def rays(size, camera):
    """(H, W, 3) points at depth 1 that the pixels see."""
    ys, xs = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    pixels = torch.stack((xs, ys, torch.ones_like(xs)), -1).float()
    return pixels @ inverse_intrinsics(camera)[0].mT


def plane_depth(size, camera, normal):
    return 1 / (rays(size, camera) @ normal)


def turned(*rotvec, scale=(1.0, 1.0, 1.0), focal=1.0):
    linear = rotvec_to_rotmat(torch.tensor([rotvec])) @ torch.diag(torch.tensor(scale))
    camera = CAMERA.clone()
    camera[:, :2, :2] *= focal
    return ViewChange(linear, camera)


CHANGES = {
    "roll": turned(0.0, 0.0, 0.8),
    "tilt": turned(0.2, -0.15, 0.0),
    "stretch": turned(0.0, 0.0, 0.0, scale=(1.0, 1.0, 1.2)),
    "zoom": turned(0.0, 0.0, 0.0, focal=1.4),
    "mirror": mirrored(CAMERA, torch.tensor([80]), torch.tensor([True])),
    "all": turned(0.1, 0.1, -0.5, scale=(-1.0, 1.0, 0.9), focal=1.2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_plane_stays_the_plane_that_was_moved(name):
    change = CHANGES[name]
    depth = plane_depth(SIZE, CAMERA, PLANE)
    crop = warp_depth([depth], pixel_homography(change, CAMERA), SIZE)[0]
    wanted = plane_depth(SIZE, change.intrinsics, torch.linalg.inv(change.linear)[0].mT @ PLANE)
    known = crop > 0
    assert known.float().mean() > 0.3
    # a reading is at most 0.7 px from where it is shown, and the plane falls 3 mm a px
    assert (crop - wanted)[known].abs().max() < 4e-3


def test_nothing_changes_where_the_view_does_not():
    depth = torch.rand(SIZE, generator=torch.Generator().manual_seed(0))
    crop = warp_depth([depth], pixel_homography(unchanged(CAMERA), CAMERA), SIZE)[0]
    torch.testing.assert_close(crop, depth, rtol=1e-6, atol=0)


def test_an_outline_has_no_depth_between_its_two_sides():
    depth = torch.full(SIZE, 0.5)
    depth[:, 33:] = 0.9
    depth[20:30, 10:20] = 0
    shrunk = torch.diag(torch.tensor([0.43, 0.37, 1.0]))[None]
    crop = warp_depth([depth], shrunk, (30, 40))
    assert set(crop.unique().tolist()) == set(torch.tensor([0.0, 0.5, 0.9]).tolist())


def test_each_hand_has_its_own_depth_and_those_without_have_none():
    near, far = torch.full((20, 30), 0.4), torch.full((50, 10), 0.8)
    still = torch.eye(3).expand(3, 3, 3)
    crops = warp_depth([near, None, far], still, (60, 60))
    assert crops.shape == (3, 60, 60)
    for crop, depth in zip(crops, (near, torch.zeros(1, 1), far), strict=True):
        wanted = torch.zeros(60, 60)
        wanted[: depth.shape[0], : depth.shape[1]] = depth
        torch.testing.assert_close(crop, wanted)
    assert warp_depth([None, None], still[:2], (60, 60)) is None


def test_what_a_turn_takes_behind_the_camera_has_no_depth():
    away = ViewChange(rotvec_to_rotmat(torch.tensor([[0.0, 3.0, 0.0]])), CAMERA)
    crop = warp_depth([torch.full(SIZE, 0.5)], pixel_homography(away, CAMERA), SIZE)
    assert not crop.any()


def test_depth_about_a_wrist_is_reshaped_and_what_is_unknown_stays_unknown():
    depth = plane_depth(SIZE, CAMERA, PLANE)[None].clone()
    depth[:, :10] = 0
    wrist = torch.tensor([[0.02, 0.01, 0.55]])
    shape = torch.diag(torch.tensor([1.0, 1.0, 0.8]))[None]
    moved = reshaped_depth(depth, CAMERA, shape, wrist)
    known = depth > 0
    torch.testing.assert_close(moved[known], (0.55 + 0.8 * (depth - 0.55))[known])
    assert not moved[~known].any()
