from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from zoo.losses.reprojection import Reprojection, robust_l1


def test_pixels_and_fractions_of_the_crop_differ_by_its_width(hands, labels):
    prediction, mesh = hands(0)
    target = labels(0)
    off = dataclasses.replace(target, keypoints=target.keypoints + torch.tensor([3.0, -1.0]))
    in_px = Reprojection(weight=1.0)(prediction, mesh, off)
    assert float(in_px) == pytest.approx(2, rel=1e-4)
    as_fraction = Reprojection(weight=1.0, crop_width=224)(prediction, mesh, off)
    assert float(as_fraction) == pytest.approx(2 / 224, rel=1e-4)


@pytest.mark.parametrize("depth", [0.0, -1.0, 1e-12, math.pi])
def test_joints_at_or_behind_the_camera_have_finite_gradients(depth, hands, labels):
    prediction, mesh = hands(0)
    joints = mesh.joints.clone()
    joints[0, :, 2] = depth
    joints.requires_grad_()
    value = Reprojection(weight=1.0)(
        prediction, dataclasses.replace(mesh, joints=joints), labels(1)
    )
    value.backward()
    assert value.isfinite()
    assert joints.grad.isfinite().all()
    assert joints.grad[0].abs().sum() > 0, "x and y still pull such a hand"


def test_hands_of_assumed_cameras_can_be_left_out(hands, labels):
    target = labels(1)
    target.has_intrinsics[1:] = 0
    strict = Reprojection(weight=1.0, measured_cameras_only=True)(*hands(0), target)
    target.keypoints_valid[1:] = 0
    assert strict == Reprojection(weight=1.0)(*hands(0), target)


def test_the_robust_error_is_smooth_at_its_knee_and_slower_beyond():
    x = torch.tensor([-1e6, -84.0, -1e-9, 0.0, 83.999, 84.0, 84.001, 200.0], requires_grad=True)
    y = robust_l1(x, 84.0)
    y.sum().backward()
    assert y[-1].item() == pytest.approx(156.87, abs=0.01)
    torch.testing.assert_close(y[4:7], torch.tensor([83.999, 84.0, 84.001]))
    expected = torch.tensor([-84e-6, -1, -1, 0, 1, 1, 1, 0.42])
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=0)


def test_sizes_have_to_be_positive():
    for name in ("crop_width", "knee", "nearest"):
        with pytest.raises(ValueError, match=f"Reprojection.{name} is 0"):
            Reprojection(weight=1.0, **{name: 0})


@pytest.mark.parametrize("scale", [1e-3, 0.0, -1e-3, -2.0])
def test_under_hamers_far_camera_a_scale_may_pass_through_zero(scale, hands, labels):
    """There the picture is nearly linear in the scale, also where the depth changes its sign."""
    prediction, mesh = hands(0)
    focal, width = 5000.0, 256.0
    shift = torch.tensor([0.02, -0.03, 0.0])
    depth = 2 * focal / (width * scale + 1e-9)
    joints = (mesh.joints - mesh.joints[:, :1] + shift).detach()
    placed = dataclasses.replace(mesh, joints=joints + torch.tensor([0.0, 0.0, depth]))
    intrinsics = torch.tensor([[focal, 0, 128], [0, focal, 128], [0, 0, 1.0]]).expand(4, 3, 3)
    camera = dataclasses.replace(prediction.camera, intrinsics=intrinsics)
    seen = dataclasses.replace(prediction, camera=camera)
    expected = 128 + scale * width / 2 * joints[..., :2]
    target = dataclasses.replace(labels(1), keypoints=expected)
    loss = Reprojection(weight=1.0, crop_width=256, nearest=None)(seen, placed, target)
    assert loss < 1e-3
    if scale < 0:
        assert Reprojection(weight=1.0, crop_width=256)(seen, placed, target) > 10
