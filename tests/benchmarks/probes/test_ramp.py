from __future__ import annotations

import dataclasses

import torch

from benchmarks.probes.ramp import copied, mirror_image, painted, read_back
from zoo.contracts import CropView, Frame, FrameBatch, HandTarget
from zoo.geometry.view import move_points, warp_to_crop


def _frame() -> Frame:
    label = HandTarget(
        rotmats=torch.eye(3).repeat(16, 1, 1),
        betas=torch.zeros(10),
        has_mano=torch.tensor(1.0),
        joints=torch.rand(21, 3) + torch.tensor([0, 0, 0.5]),
        joints_valid=torch.ones(21),
        keypoints=50 + 40 * torch.rand(21, 2),
        keypoints_valid=torch.ones(21),
        has_intrinsics=torch.tensor(1.0),
    )
    intrinsics = torch.tensor([[200.0, 0, 70], [0, 210, 60], [0, 0, 1]])
    box = torch.tensor([50.0, 50, 90, 90])
    image = torch.randint(255, (3, 120, 140), dtype=torch.uint8)
    return Frame(image, intrinsics, box, False, label, "a", "synthetic")


def test_a_perspective_warp_of_the_ramp_is_read_back_to_half_a_pixel():
    frame = painted(_frame())
    warp = torch.tensor([[[2.0, 0.3, -80], [-0.2, 1.9, -60], [5e-4, -3e-4, 1]]])
    images = warp_to_crop([frame.image], warp, (96, 96))
    view = CropView(images, frame.intrinsics[None], torch.zeros(1, 4), warp, torch.zeros(1).bool())
    points = move_points(frame.label.keypoints[None], warp)
    found, readable = read_back(view, points, FrameBatch((frame,)))
    assert readable.sum() >= 10
    error = (found - frame.label.keypoints).norm(dim=-1)[readable]
    assert error.amax() < 0.5


def test_points_outside_the_crop_or_the_picture_cannot_be_read():
    frame = painted(_frame())
    warp = torch.eye(3)[None]
    images = warp_to_crop([frame.image], warp, (96, 96))
    view = CropView(images, frame.intrinsics[None], torch.zeros(1, 4), warp, torch.zeros(1).bool())
    points = torch.tensor([[[-3.0, 50], [95.9, 50], [70, 500]]])
    assert not read_back(view, points, FrameBatch((frame,)))[1].any()


def test_the_mirror_of_the_mirror_image_is_the_hand_itself():
    frame = _frame()
    again = mirror_image(mirror_image(frame))
    assert mirror_image(frame).is_left
    assert not again.is_left
    for field in dataclasses.fields(HandTarget):
        before, after = getattr(frame.label, field.name), getattr(again.label, field.name)
        if before is not None:
            torch.testing.assert_close(after, before)
    torch.testing.assert_close(again.intrinsics, frame.intrinsics)
    assert torch.equal(again.image, frame.image)


def test_a_copy_shares_no_memory():
    frame = _frame()
    other = copied(frame)
    other.label.joints.add_(1)
    other.image.zero_()
    assert not torch.equal(other.label.joints, frame.label.joints)
    assert frame.image.any()
