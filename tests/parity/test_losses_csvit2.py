"""CS-ViT2's loss terms of three dates, against numbers recorded from the original (mm, px)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CameraPose, HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.losses.heatmap import HeatmapCrossEntropy, gaussian_target
from zoo.losses.joints import JointLoss, RootRelativeJointLoss
from zoo.losses.parameters import BetasLoss, RotationLoss
from zoo.losses.reduce import mean_over_valid
from zoo.losses.reprojection import Reprojection, robust_l1

ORACLES = Path(__file__).parents[1] / "oracles"
LOSSES, HEATMAPS = (
    np.load(ORACLES / "csvit2_losses.npz"),
    np.load(ORACLES / "csvit2_heatmap_ce.npz"),
)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
NEAREST = 1e-11  # m: the original clamps depth at 1e-8 mm


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(LOSSES[name])


def flat(name: str) -> torch.Tensor:
    """Every frame of every clip as a hand of its own."""
    return recorded(name).flatten(0, 1)


def intrinsics_of(version: str) -> torch.Tensor:
    focal, center = flat(f"{version}/focal"), flat(f"{version}/princpt")
    camera = torch.diag_embed(torch.cat([focal, torch.ones_like(focal[:, :1])], dim=-1))
    camera[:, :2, 2] = center
    return camera


def prediction_of(inputs, case, joints_mm, aux=None) -> tuple[Prediction, HandMesh]:
    source = case if f"{case}/pose_pred" in LOSSES else inputs
    rotmats = rotvec_to_rotmat(flat(f"{source}/pose_pred").unflatten(1, (16, 3)))
    joints, intrinsics = joints_mm / 1000, intrinsics_of(inputs)
    camera = CameraPose(joints[:, 0], "wrist", intrinsics)
    return (
        Prediction(rotmats, flat(f"{source}/shape_pred"), camera, aux or {}),
        HandMesh(torch.zeros(len(joints), 1, 3), joints, project(joints, intrinsics)),
    )


def target_of(inputs, joints_valid, has_mano, has_intrinsics) -> HandTarget:
    joints, intrinsics = flat(f"{inputs}/joint_cam") / 1000, intrinsics_of(inputs)
    return HandTarget(
        rotmats=rotvec_to_rotmat(flat(f"{inputs}/mano_pose").unflatten(1, (16, 3))),
        betas=flat(f"{inputs}/mano_shape"),
        has_mano=has_mano,
        joints=joints,
        joints_valid=joints_valid,
        keypoints=project(joints, intrinsics),  # the original compares projections, not labels
        keypoints_valid=joints_valid,
        has_intrinsics=has_intrinsics,
    )


# February: means over every element, unlabelled ones included; one frame, hand units.


@pytest.fixture(params=["partial", "allvalid", "partial_sigma0.4"])
def february(request):
    case = f"feb10/T1_heatmap1_global1_{request.param}"
    inputs = "feb10/inputs_T1"
    aux = {}
    for axis in "xyz":
        aux[f"log_heatmap_{axis}"] = flat(f"{inputs}/log_hm_{axis}")
        aux[f"heatmap_centers_{axis}"] = recorded(f"feb10/centers_handunits/{axis}")
    joints_valid, has_mano = flat(f"{inputs}/joint_valid"), flat(f"{inputs}/mano_valid")
    if request.param == "allvalid":
        joints_valid, has_mano = torch.ones_like(joints_valid), torch.ones_like(has_mano)
    said = prediction_of(
        inputs, case, flat("feb10/T1_heatmap1_global1_partial/joint_cam_pred"), aux
    )
    norm_valid = flat("feb10/T1_heatmap1_global1_partial/norm_valid_gt")
    if request.param == "allvalid":
        norm_valid = torch.ones_like(norm_valid)
    return case, said, target_of(inputs, joints_valid, has_mano, norm_valid)


def test_february_parameter_terms(february):
    case, said, target = february
    rotation = RotationLoss(weight=3.0, kind="rotvec_l1", reduction="batch_mean")
    betas = BetasLoss(weight=3.0, norm="l1", reduction="batch_mean")
    torch.testing.assert_close(rotation(*said, target), recorded(f"{case}/loss_theta"), **CLOSE)
    torch.testing.assert_close(betas(*said, target), recorded(f"{case}/loss_shape"), **CLOSE)


def test_february_relative_joints_in_mm(february):
    case, said, target = february
    # The original stores wrist-relative labels, so an unlabelled wrist does not stop it; a wrist's
    # own error is 0 and it divides by everything, so marking wrists as labelled changes no number.
    target.joints_valid[:, 0] = 1
    term = RootRelativeJointLoss(weight=0.012, unit="mm", reduction="batch_mean")
    expected = recorded(f"{case}/loss_joint_rel")
    torch.testing.assert_close(term(*said, target), expected, rtol=2e-5, atol=1e-5)


def test_february_reprojection_in_px(february):
    case, said, target = february
    term = Reprojection(
        weight=0.002, nearest=NEAREST, reduction="batch_mean", measured_cameras_only=True
    )
    expected = recorded(f"{case}/loss_joint_img")
    torch.testing.assert_close(term(*said, target), expected, rtol=2e-5, atol=1e-5)


def test_february_heatmap_cross_entropy_of_the_wrist_in_hand_lengths(february):
    case, (prediction, mesh), target = february
    # The original divides the labelled wrist by the labelled hand's size before it asks the grid.
    size = hand_size(flat("feb10/inputs_T1/joint_cam"))
    in_lengths = dataclasses.replace(target, joints=target.joints * 1000 / size[:, None, None])
    sigma = 0.4 if case.endswith("sigma0.4") else 0.09
    term = HeatmapCrossEntropy(weight=0.05, sigma=sigma, outside="vanish", reduction="batch_mean")
    value = term(prediction, mesh, in_lengths)
    torch.testing.assert_close(value, recorded(f"{case}/loss_trans"), rtol=1e-4, atol=1e-4)


def hand_size(joints: torch.Tensor) -> torch.Tensor:
    """The length of the three bones of the middle finger, (B,)."""
    return (joints[:, 10:13] - joints[:, 9:12]).norm(dim=-1).sum(-1)


# March: masked means; three frames, mm.


def march(case: str, *, grad: bool = False) -> tuple[tuple[Prediction, HandMesh], HandTarget]:
    aux = {}
    for axis in "xyz":
        aux[f"log_heatmap_{axis}"] = flat(f"{case}/aux_log_hm_{axis}").requires_grad_(grad)
        if f"{case}/{axis}_centers" in LOSSES:
            aux[f"heatmap_centers_{axis}"] = recorded(f"{case}/{axis}_centers") / 1000
    joints = flat("old/l1_global1_partial/joint_cam_pred").requires_grad_(grad)
    target = target_of(
        "head/inputs",
        flat("head/inputs/joint_3d_valid"),
        flat("head/inputs/has_mano"),
        flat("head/inputs/has_intr"),
    )
    return prediction_of("head/inputs", case, joints, aux), target


def test_march_shape_term():
    # Its rotation term reads axis-angle vectors longer than pi here, which matrices cannot tell.
    said, target = march("head/mm_heatmap_l1")
    expected = recorded("head/mm_heatmap_l1/loss_shape")
    torch.testing.assert_close(BetasLoss(weight=3.0, norm="l1")(*said, target), expected, **CLOSE)


def test_march_relative_joints_in_mm():
    said, target = march("head/mm_heatmap_l1")
    labels = target.joints_valid.sum()
    target.joints_valid[:, 0] = 1  # see February; here the sum is compared, so counts stay out
    total = RootRelativeJointLoss(weight=0.012, unit="mm", reduction="sum")(*said, target)
    expected = recorded("head/mm_heatmap_l1/loss_joint_rel")
    torch.testing.assert_close(total / labels / 3, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(("case", "knee"), [("mm_heatmap_l1", None), ("mm_notheatmap_robust", 20)])
def test_march_reprojection_plain_and_robust(case, knee):
    said, target = march(f"head/{case}")
    term = Reprojection(weight=0.002, knee=knee, nearest=NEAREST, measured_cameras_only=True)
    expected = recorded(f"head/{case}/loss_joint_img")
    torch.testing.assert_close(term(*said, target), expected, rtol=2e-5, atol=1e-5)


def test_march_reprojection_pulls_the_hand_as_recorded():
    (prediction, mesh), target = march("head/mm_heatmap_l1")
    shift = torch.zeros(len(mesh.joints), 1, 3, requires_grad=True)
    moved = HandMesh(mesh.vertices, mesh.joints + shift / 1000, mesh.keypoints)
    term = Reprojection(weight=0.002, nearest=NEAREST, measured_cameras_only=True)
    (term.weight * term(prediction, moved, target)).backward()
    expected = flat("head/mm_heatmap_l1/grad_trans")
    torch.testing.assert_close(shift.grad[:, 0], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("outside", ["vanish", "skip", "clamp"])
def test_march_heatmap_cross_entropy_and_its_gradient(outside):
    said, target = march("head/mm_heatmap_l1", grad=True)
    target.has_intrinsics[:] = 1  # the original of March asks for the wrist's label alone
    term = HeatmapCrossEntropy(weight=0.05, sigma=0.03, outside=outside)
    value = term(*said, target)
    expected = recorded("head/mm_heatmap_l1/loss_trans")
    torch.testing.assert_close(value, expected, rtol=2e-5, atol=1e-5)
    (term.weight * value).backward()
    for axis in "xz":
        gradient = said[0].aux[f"log_heatmap_{axis}"].grad
        expected = flat(f"head/mm_heatmap_l1/grad_log_hm_{axis}")
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)


# 2025: metres.


@pytest.mark.parametrize(
    ("case", "norm"), [("l1_global1_partial", "l1"), ("l2_global1_partial", "l2")]
)
def test_first_version_joint_terms_in_metres(case, norm):
    said, target = (
        prediction_of("old/inputs", f"old/{case}", flat("old/l1_global1_partial/joint_cam_pred")),
        target_of(
            "old/inputs",
            flat("old/inputs/joint_valid"),
            flat("old/inputs/mano_valid"),
            torch.ones(12),
        ),
    )
    joints = JointLoss(weight=1.0, norm=norm)(*said, target)
    torch.testing.assert_close(joints, recorded(f"old/{case}/loss_kps3d_cam"), **CLOSE)
    labels = target.joints_valid.sum()
    target.joints_valid[:, 0] = 1
    total = RootRelativeJointLoss(weight=1.0, norm=norm, reduction="sum")(*said, target)
    torch.testing.assert_close(
        total / labels / 3, recorded(f"old/{case}/loss_kps3d_rel"), rtol=1e-4, atol=1e-7
    )


# Element-wise pieces.


@pytest.mark.parametrize("knee", [20, 84])
def test_the_robust_error_is_the_recorded_one_with_finite_gradients(knee):
    x = recorded(f"head/robust_l1_delta{knee}/x").requires_grad_()
    value = robust_l1(x, float(knee))
    torch.testing.assert_close(value, recorded(f"head/robust_l1_delta{knee}/y"), **CLOSE)
    value.sum().backward()
    expected = recorded(f"head/robust_l1_delta{knee}/grad")
    known = expected.isfinite()
    assert not known.all(), "the recorded defect"
    assert x.grad.isfinite().all()
    torch.testing.assert_close(x.grad[known], expected[known], **CLOSE)


def test_the_masked_mean_is_the_one_of_march():
    loss, mask = recorded("head/masked_mean/loss"), recorded("head/masked_mean/mask")
    value = mean_over_valid(loss, mask.expand_as(loss))
    torch.testing.assert_close(value, recorded("head/masked_mean/out_mask_broadcast"), **CLOSE)


@pytest.mark.parametrize("sigma", [0.5, 0.05])
def test_heatmap_targets_fade_as_recorded_when_asked_to(sigma):
    centers = torch.from_numpy(HEATMAPS["small/centers"])
    position = torch.from_numpy(HEATMAPS["small/gt"]).flatten()
    target = gaussian_target(
        position, centers.expand(len(position), -1), sigma, vanishing=True
    ).unflatten(0, (6, 2))
    expected = torch.from_numpy(HEATMAPS[f"small_sigma{sigma}/target"])
    torch.testing.assert_close(target, expected, **CLOSE)
    vanished = expected.sum(-1) < 0.5
    assert vanished.any() == (sigma < 0.1), "a Gaussian far below the bin misses every centre"


@pytest.mark.parametrize(("grid", "nats"), [("x512", np.log(512)), ("z1024", np.log(1024))])
def test_a_uniform_guess_on_the_published_grid_costs_what_was_recorded(grid, nats):
    centers = torch.from_numpy(HEATMAPS[f"{grid}/centers"])
    position = torch.from_numpy(HEATMAPS[f"{grid}/gt"]).flatten()
    target = gaussian_target(position, centers.expand(len(position), -1), 0.09, vanishing=True)
    cost = (target.sum(-1) * nats).unflatten(0, (6, 2)).float()
    expected = torch.from_numpy(HEATMAPS[f"{grid}_sigma0.09/loss_uniform_prediction"])
    torch.testing.assert_close(cost, expected, rtol=1e-4, atol=1e-4)
