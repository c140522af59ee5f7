from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from zoo.geometry.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from zoo.losses.parameters import BetasLoss, PoseNumbersLoss, RotationLoss


def turned(prediction, angle: float, joints: slice):
    by = rotvec_to_rotmat(torch.tensor([angle, 0.0, 0.0]))
    rotmats = prediction.rotmats.detach().clone()
    rotmats[:, joints] = rotmats[:, joints] @ by
    return dataclasses.replace(prediction, rotmats=rotmats)


@pytest.mark.parametrize("angle", [1e-3, 0.5, 3.0, math.pi])
def test_the_geodesic_error_is_the_angle(angle, hands, labels):
    prediction, mesh = hands(0)
    value = RotationLoss(weight=1.0, kind="geodesic")(
        turned(prediction, angle, slice(None)), mesh, labels(0)
    )
    assert float(value) == pytest.approx(angle, abs=2e-3)


def test_each_part_sees_its_own_joints(hands, labels):
    prediction, mesh = hands(0)
    wrist_wrong = turned(prediction, 0.5, slice(0, 1))
    values = {
        part: float(RotationLoss(weight=1.0, part=part)(wrist_wrong, mesh, labels(0)))
        for part in ("all", "global", "hand")
    }
    assert values["hand"] == pytest.approx(0, abs=1e-9)
    assert values["global"] == pytest.approx(16 * values["all"], rel=1e-4)


@pytest.mark.parametrize("kind", ["matrix_mse", "matrix_l1", "geodesic", "rotvec_l1"])
@pytest.mark.parametrize("angle", [0.0, math.pi])
def test_no_angle_has_a_broken_gradient(kind, angle, hands, labels):
    prediction, mesh = hands(0)
    exact = turned(prediction, angle, slice(None))
    exact.rotmats.requires_grad_()
    RotationLoss(weight=1.0, kind=kind)(exact, mesh, labels(0)).backward()
    assert exact.rotmats.grad.isfinite().all()


def test_betas_are_squared_or_not(hands, labels):
    prediction, mesh = hands(0)
    off = dataclasses.replace(prediction, betas=prediction.betas + 2)
    assert float(BetasLoss(weight=1.0)(off, mesh, labels(0))) == pytest.approx(4)
    assert float(BetasLoss(weight=1.0, norm="l1")(off, mesh, labels(0))) == pytest.approx(2)


def test_a_wrong_choice_names_the_right_ones():
    with pytest.raises(ValueError, match=r"kind is 'quaternion'; choose one of 'matrix_mse'"):
        RotationLoss(weight=1.0, kind="quaternion")
    with pytest.raises(ValueError, match=r"BetasLoss.norm is 'euclidean'"):
        BetasLoss(weight=1.0, norm="euclidean")


def test_betas_of_unlabelled_hands_alone_are_drawn_to_zero(hands, labels, without):
    prediction, mesh = hands(0)
    term = BetasLoss(weight=1.0, hands="unlabelled", reduction="sum")
    target = without(labels(1), [1, 3], math.nan)
    expected = prediction.betas[[1, 3]].square().sum()
    torch.testing.assert_close(term(prediction, mesh, target), expected)
    assert term(prediction, mesh, labels(1)) == 0


@pytest.mark.parametrize("representation", ["rot6d_columns", "rot6d_rows", "quat"])
def test_rotations_a_head_wrote_otherwise_are_compared_in_the_losss_own_numbers(
    representation, hands, labels
):
    prediction, mesh = hands(0)
    assert "pose_rot6d_columns" not in prediction.aux
    loss = PoseNumbersLoss(weight=1.0, representation=representation)
    assert float(loss(prediction, mesh, labels(0))) == pytest.approx(0, abs=1e-6)
    wrong = turned(prediction, 0.5, slice(None))
    wrong.rotmats.requires_grad_()
    loss(wrong, mesh, labels(0)).backward()
    assert wrong.rotmats.grad.abs().sum() > 0


def test_numbers_as_the_head_wrote_them_come_before_its_rotations(hands, labels):
    prediction, mesh = hands(0)
    loss = PoseNumbersLoss(weight=1.0, representation="rotvec")
    written = prediction.aux["pose_rotvec"]
    expected = (written - rotmat_to_rotvec(labels(0).rotmats)).abs().mean()
    assert float(loss(prediction, mesh, labels(0))) == pytest.approx(float(expected), rel=1e-5)


def test_the_coarse_hand_of_a_refining_head_is_compared_where_that_is_asked(hands, labels):
    prediction, mesh = hands(0)
    loss = PoseNumbersLoss(weight=1.0, estimate="coarse")
    assert loss.needs == {"coarse_pose_rot6d_columns"}
    written = torch.zeros(*prediction.rotmats.shape[:2], 6, requires_grad=True)
    said = dataclasses.replace(
        prediction, aux={**prediction.aux, "coarse_pose_rot6d_columns": written}
    )
    loss(said, mesh, labels(0)).backward()
    assert written.grad.abs().sum() > 0
