"""UTNet's mistakes and losses as released against what was measured on the original."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from zoo.contracts import CameraPose, HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.geometry.rotation import rot6d_to_rotmat, rotmat_to_rotvec, rotvec_to_rotmat
from zoo.heads.cameras.utnet import UTNetCamera
from zoo.heads.coarse_hand import CoarseHand
from zoo.heads.released_rotations import rotvec_as_released
from zoo.heads.vertex_sampling import cells_as_utnet_released, share_inside
from zoo.losses.coarse import CoarseHandLoss, ShapePrior
from zoo.losses.released_order import (
    RELEASED_ORDER,
    OrderedJointLoss,
    OrderedReprojection,
    as_ordered,
)
from zoo.mano.mean_hand import mean_hand

DEFECTS = json.loads((Path(__file__).parents[1] / "oracles" / "utnet_defects.json").read_text())


def seen(joints_mm: torch.Tensor, values: torch.Tensor, **choices: str) -> torch.Tensor:
    """What the losses compare: normalised coordinates, about +-0.5 across a crop of 256 px."""
    place = UTNetCamera(dim=4, **choices).pose(values, (256, 256))
    return project(joints_mm / 1000 + place.position[:, None], place.intrinsics) / 256 - 0.5


BOTH = {"projection": "as_released", "width": "as_released"}


def test_v1_and_v12_the_camera_as_released_and_corrected_is_the_recorded_one(utnet):
    joints, values = utnet.recorded("projection/joints_mm"), utnet.recorded("projection/cam")
    utnet.close(seen(joints, values, **BOTH), "projection/as_released")
    torch.testing.assert_close(
        seen(joints, values), utnet.recorded("projection/reference_formula"), atol=2e-5, rtol=1e-4
    )


@pytest.mark.parametrize("scale", [4, 8, 1500])
def test_v1_a_point_90_mm_aside_is_seen_192_times_too_near_the_centre(scale):
    point = torch.tensor([[[90.0, 0.0, 0.0]]])
    values = torch.tensor([[float(scale), 0.0, 0.0]])
    for said, wanted in ((BOTH, "as_released"), ({}, "reference")):
        found = seen(point, values, **said)[0, 0, 0].item()
        assert found == pytest.approx(DEFECTS[f"V1_{wanted}_point0_x_s{scale}"], rel=1e-3, abs=1e-5)


def test_v12_alone_makes_x_a_third_too_large():
    point, values = torch.tensor([[[50.0, 50.0, 0.0]]]), torch.tensor([[4.0, 0.0, 0.0]])
    narrow, right = seen(point, values, width="as_released"), seen(point, values)
    ratio = (narrow / right)[0, 0]
    assert ratio[0].item() == pytest.approx(DEFECTS["V12_ratio"], rel=1e-4)
    assert ratio[1].item() == pytest.approx(1.0, rel=1e-5)


def test_v2_the_guessed_grid_puts_172_of_192_tokens_elsewhere():
    at = torch.arange(192)
    true = torch.stack(((at // 12) / 16, (at % 12) / 12))
    guessed = torch.stack(((at // 16) / 12, (at % 16) / 16))
    moved = ((true - guessed).abs() > 0.05).any(0).sum().item()
    assert moved == DEFECTS["V2_tokens_displaced_more_than_5_percent"]
    head = _coarse(token_grid=(12, 16))
    tokens = torch.cat((torch.zeros(1, 18, 192), torch.eye(192)[None]), dim=1)
    with torch.no_grad():
        _, features = head(tokens)
    where = features[0].flatten(1).argmax(-1)
    assert torch.equal(where, at)  # token i is cell i of the guessed map, whose rows are 16 long


def _coarse(token_grid: tuple[int, int]) -> CoarseHand:
    return CoarseHand(
        token_dim=192,
        num_prefix_tokens=18,
        token_grid=token_grid,
        representation="rotvec",
        hand=None,
        mean_params=None,
        initial_camera=(4.0, 0.0, 0.0),
    )


@pytest.mark.parametrize("scale", [4.0, 0.9])
@pytest.mark.parametrize("size", [(16, 12), (32, 24), (64, 48)])
def test_v3_as_many_vertices_are_inside_the_maps_as_were_measured(utnet, scale, size):
    vertices = utnet.recorded("defects/V3/vertices_mm") / 1000
    camera = torch.tensor([[scale, 0.0, 0.0]])
    cells = cells_as_utnet_released(vertices, camera, map_size=size)
    wanted = DEFECTS[f"V3_in_bounds_s{scale}_{size[0]}x{size[1]}"]
    assert share_inside(cells, size).item() == pytest.approx(wanted, abs=1.5 / 778)


def native(joints_mm: torch.Tensor, order: list[int]) -> torch.Tensor:
    """Labels of the original in our order and in metres."""
    ours = torch.empty_like(joints_mm)
    ours[:, order] = joints_mm / 1000
    return ours


def test_v4_a_perfect_hand_scores_58_mm(utnet):
    truth = native(utnet.recorded("defects/V4/gt_native_order_mm"), utnet.NATIVE)
    said = native(utnet.recorded("defects/V4/pred_as_released_mm"), utnet.NATIVE)
    mesh = HandMesh(torch.zeros(32, 1, 3), truth, truth[..., :2])
    compared = as_ordered(mesh, "as_released").joints
    torch.testing.assert_close(compared, said, atol=1e-5, rtol=0)
    error = (compared - compared[:, :1]) - (truth - truth[:, :1])
    mpjpe = 1000 * error.norm(dim=-1).mean().item()
    assert mpjpe == pytest.approx(DEFECTS["V4_perfect_hand_mpjpe"], abs=1e-3)
    assert 1000 * error.abs().mean().item() == pytest.approx(
        DEFECTS["V4_perfect_hand_mean_abs_per_coordinate"], abs=1e-3
    )
    agree = [slot for slot, ours in enumerate(utnet.NATIVE) if RELEASED_ORDER[ours] == ours]
    assert agree == DEFECTS["V4_slots_that_agree"]
    assert torch.equal(as_ordered(mesh, "corrected").joints, truth)


def hands(batch: int, **changes) -> tuple[Prediction, HandMesh, HandTarget]:
    """A prediction and a label to compare, everything labelled."""
    eye = torch.eye(3).expand(batch, 16, 3, 3)
    camera = CameraPose(torch.zeros(batch, 3), "mano_origin", torch.eye(3).expand(batch, 3, 3))
    prediction = Prediction(eye, torch.zeros(batch, 10), camera)
    mesh = HandMesh(torch.zeros(batch, 1, 3), torch.zeros(batch, 21, 3), torch.zeros(batch, 21, 2))
    target = HandTarget(
        rotmats=eye,
        betas=torch.zeros(batch, 10),
        has_mano=torch.ones(batch),
        joints=torch.zeros(batch, 21, 3),
        joints_valid=torch.ones(batch, 21),
        keypoints=torch.zeros(batch, 21, 2),
        keypoints_valid=torch.ones(batch, 21),
        has_intrinsics=torch.ones(batch),
    )
    parts = []
    for part in (prediction, mesh, target):
        names = {f.name for f in dataclasses.fields(part)}
        parts.append(dataclasses.replace(part, **{k: v for k, v in changes.items() if k in names}))
    return tuple(parts)


def camera_plane(points: torch.Tensor) -> torch.Tensor:
    """Joints that a camera of focal length 1 sees at these points."""
    return torch.cat((points, torch.ones_like(points[..., :1])), dim=-1)


def picture_loss(points: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    loss = OrderedReprojection(weight=0.01, reduction="sum")
    prediction, mesh, target = hands(len(points), keypoints=label)
    return loss(prediction, dataclasses.replace(mesh, joints=camera_plane(points)), target)


def joint_loss(joints: torch.Tensor, label: torch.Tensor, unit: str = "mm") -> torch.Tensor:
    loss = OrderedJointLoss(weight=0.05, unit=unit, reduction="sum")
    prediction, mesh, target = hands(len(joints))
    mesh = dataclasses.replace(mesh, joints=joints)
    return loss(prediction, mesh, dataclasses.replace(target, joints=label))


def coarse_loss(pose: torch.Tensor, betas: torch.Tensor, label: torch.Tensor, shape: torch.Tensor):
    aux = {"coarse_pose_rotvec": pose.unflatten(-1, (16, 3)), "coarse_betas": betas}
    parts = hands(len(pose), aux=aux)
    rotmats = rotvec_to_rotmat(label.unflatten(-1, (16, 3)))
    target = dataclasses.replace(parts[2], rotmats=rotmats, betas=shape)
    return CoarseHandLoss(weight=0.001)(parts[0], parts[1], target)


def test_every_loss_is_the_originals(utnet):
    given = utnet.all_recorded("loss_inputs/")
    wanted = utnet.all_recorded("loss_config/")
    valid = given["confidence"][..., 0]
    prediction, mesh, target = hands(4, joints_valid=valid, keypoints_valid=valid)
    plane = dataclasses.replace(mesh, joints=camera_plane(given["pred_2d"]))
    label = dataclasses.replace(target, keypoints=given["gt_2d"])
    found = OrderedReprojection(weight=0.01, reduction="sum")(prediction, plane, label)
    exact = {"rel": 1e-5, "abs": 1e-5}
    assert found.item() == pytest.approx(wanted["loss_2d"].item(), **exact)
    solid = dataclasses.replace(mesh, joints=given["pred_3d_mm"] / 1000)
    label = dataclasses.replace(target, joints=given["gt_3d_mm"] / 1000)
    loss = OrderedJointLoss(weight=0.05, unit="mm", reduction="sum")
    assert loss(prediction, solid, label).item() == pytest.approx(
        wanted["loss_3d_joint"].item(), **exact
    )
    shaped = dataclasses.replace(prediction, betas=given["betas"])
    prior = ShapePrior(weight=0.001)(shaped, mesh, target).item()
    assert prior == pytest.approx(wanted["shape_prior"].item(), **exact)


def test_v6_millimetres_leave_the_picture_a_thousandth_of_the_loss(utnet):
    given = utnet.all_recorded("defects/V6/")
    joints, label = given["pred_3d_mm"] / 1000, given["gt_3d_mm"] / 1000
    solid = 0.05 * joint_loss(joints, label).item()
    flat = 0.01 * picture_loss(given["pred_2d"], given["gt_2d"]).item()
    assert solid == pytest.approx(DEFECTS["V6_weighted_loss_3d_joint"], rel=1e-4)
    assert flat == pytest.approx(DEFECTS["V6_weighted_loss_2d"], rel=1e-4)
    zeros = torch.zeros(32, 48), torch.zeros(32, 10)
    betas = given["coarse_shape_and_betas"]
    aux = 0.001 * coarse_loss(given["coarse_pose"], betas, *zeros).item()
    assert aux == pytest.approx(DEFECTS["V6_weighted_loss_aux"], rel=1e-4)
    metres = 0.05 * joint_loss(joints, label, unit="m").item()
    assert metres == pytest.approx(solid / 1000, rel=1e-4)
    assert 0.1 < metres / flat < 10


V8 = {
    "1e-4": (1e-4, 0.0, 0.0),
    "5e-4_5e-4": (5e-4, 5e-4, 0.0),
    "0.5_0.2_-0.1": (0.5, 0.2, -0.1),
    "3.0": (3.0, 0.0, 0.0),
    "3.1415": (3.1415, 0.0, 0.0),
    "4.5": (4.5, 0.0, 0.0),
}


@pytest.mark.parametrize("case", V8)
def test_v8_the_released_way_back_from_matrices_is_the_recorded_one(case):
    there = torch.tensor([V8[case]], requires_grad=True)
    back = rotvec_as_released(rotvec_to_rotmat(there))
    back.sum().backward()
    wanted = torch.tensor([DEFECTS[f"V8_back_{case}"]])
    torch.testing.assert_close(back.detach(), wanted, atol=1e-4, rtol=1e-3)
    gradient = torch.tensor([DEFECTS[f"V8_grad_{case}"]])
    torch.testing.assert_close(there.grad, gradient, atol=1e-3, rtol=2e-3)
    right = rotmat_to_rotvec(rotvec_to_rotmat(there.detach()))
    same = rotvec_to_rotmat(right) - rotvec_to_rotmat(there.detach())
    assert same.abs().max() < 1e-5


def test_v11_the_released_mean_hand_has_a_degenerate_wrist_and_the_corrected_one_has_not(by_rule):
    weights = by_rule.normal("utnet/def/w33", (1, 3, 3))
    gradients = {}
    for root in ("as_released", "corrected"):
        pose, _ = mean_hand(None, None, "rot6d_columns", root=root)
        numbers = pose[:1].clone().requires_grad_()
        (rot6d_to_rotmat(numbers, order="columns") * weights).sum().backward()
        gradients[root] = numbers.grad.norm().item()
        first, second = pose[0].view(2, 3).double()
        sine = torch.linalg.cross(first, second).norm() / first.norm() / second.norm()
        bound = DEFECTS["V11_sine_between_columns_root"]
        assert (sine < 2 * bound) == (root == "as_released")
    assert gradients["as_released"] > 1e5
    assert gradients["corrected"] < 10
    turned, _ = mean_hand(None, None, "rotvec", root="as_released")
    assert turned[0].norm().item() == pytest.approx(math.pi / 2, abs=1e-3)
