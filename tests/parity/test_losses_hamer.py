"""HaMeR's loss terms and their gradients, against numbers recorded from the original."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CameraPose, HandMesh, HandTarget, Prediction
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.losses.joints import RootRelativeJointLoss
from zoo.losses.parameters import BetasLoss, RotationLoss
from zoo.losses.reprojection import Reprojection

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "hamer_losses.npz")
TERMS = {
    "keypoints_2d": Reprojection(weight=0.01, crop_width=1, reduction="sum"),
    "keypoints_3d": RootRelativeJointLoss(weight=0.05, reduction="sum", unlabelled_wrist="use"),
    "global_orient": RotationLoss(weight=0.001, part="global", reduction="sum"),
    "hand_pose": RotationLoss(weight=0.001, part="hand", reduction="sum"),
    "betas": BetasLoss(weight=0.0005, reduction="sum"),
}


@pytest.fixture(params=["full", "partial", "fraction", "none", "rotmat_labels"])
def case(request):
    return request.param


def recorded(case: str, name: str) -> torch.Tensor:
    return torch.from_numpy(np.asarray(RECORDED[f"{case}.{name}"]))


def leaves_of(case: str) -> dict[str, torch.Tensor]:
    names = ("keypoints_2d", "keypoints_3d", "global_orient", "hand_pose", "betas")
    return {name: recorded(case, f"pred.{name}").requires_grad_() for name in names}


def as_ours(leaves, only_3d: bool) -> tuple[Prediction, HandMesh]:
    """A camera with focal length 1 sees the point (u, v, 1) at the recorded keypoint (u, v)."""
    pixels = leaves["keypoints_2d"]
    joints = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    joints = leaves["keypoints_3d"] if only_3d else joints
    camera = CameraPose(joints[:, 0], "mano_origin", torch.eye(3).expand(len(joints), 3, 3))
    rotmats = torch.cat([leaves["global_orient"], leaves["hand_pose"]], dim=1)
    return (
        Prediction(rotmats, leaves["betas"], camera),
        HandMesh(torch.zeros(len(joints), 1, 3), joints, pixels),
    )


def target_of(case: str) -> HandTarget:
    keypoints, joints = (recorded(case, f"label.keypoints_{n}d") for n in (2, 3))
    pose = torch.cat(
        [recorded(case, f"label.mano_params.{p}") for p in ("global_orient", "hand_pose")], dim=1
    )
    if case == "rotmat_labels":
        rotmats = pose.unflatten(1, (-1, 3, 3))
    else:
        rotmats = rotvec_to_rotmat(pose.unflatten(1, (-1, 3)))
    return HandTarget(
        rotmats=rotmats,
        betas=recorded(case, "label.mano_params.betas"),
        has_mano=recorded(case, "label.has_mano_params.betas"),
        joints=joints[..., :3],
        joints_valid=joints[..., 3],
        keypoints=keypoints[..., :2],
        keypoints_valid=keypoints[..., 2],
        has_intrinsics=torch.zeros(len(joints)),
    )


def value_of(case: str, name: str, leaves) -> torch.Tensor:
    target = target_of(case)
    if name in ("global_orient", "hand_pose"):
        has = recorded(case, f"label.has_mano_params.{name}")
        target = dataclasses.replace(target, has_mano=has)
    return TERMS[name](*as_ours(leaves, only_3d=name == "keypoints_3d"), target)


def test_the_weighted_sum_is_the_recorded_loss(case):
    leaves = leaves_of(case)
    total = sum(term.weight * value_of(case, name, leaves) for name, term in TERMS.items())
    torch.testing.assert_close(total, recorded(case, "loss"), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", TERMS)
def test_each_term_has_the_recorded_value_and_gradient(case, name):
    leaves, term = leaves_of(case), TERMS[name]
    value = value_of(case, name, leaves)
    torch.testing.assert_close(value, recorded(case, f"loss_{name}"), rtol=1e-5, atol=1e-6)
    (term.weight * value).backward()
    torch.testing.assert_close(
        leaves[name].grad, recorded(case, f"grad.{name}"), rtol=1e-4, atol=1e-6
    )
