"""The MANO head and the weak-perspective camera against numbers recorded from HaMeR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CropView
from zoo.geometry.camera import project
from zoo.heads.cameras.weak_perspective import WeakPerspectiveCamera
from zoo.heads.mano_decoder import ManoDecoder

ORACLES = Path(__file__).parents[1] / "oracles"
HEAD, CAMERA = np.load(ORACLES / "hamer_head.npz"), np.load(ORACLES / "hamer_camera.npz")
CLOSE = {"atol": 1e-5, "rtol": 0}


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(HEAD[name])


def view_of(batch: int) -> CropView:
    return CropView(
        images=torch.zeros(batch, 3, 256, 256),
        intrinsics=torch.eye(3).expand(batch, 3, 3),
        hand_box=torch.zeros(batch, 4),
        frame_from_crop=torch.eye(3).expand(batch, 3, 3),
        is_left=torch.zeros(batch, dtype=torch.bool),
    )


@pytest.fixture(scope="module")
def mean_params(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("mean") / "mano_mean_params.npz"
    np.savez(path, **{key: HEAD[f"mean_params.{key}"] for key in ("pose", "shape", "cam")})
    return path


@torch.no_grad()
@pytest.mark.parametrize(("case", "steps"), [("zero1", 1), ("mean1", 1), ("mean3", 3)])
def test_every_step_of_the_head_is_the_original(case, steps, mean_params, by_rule):
    initial = HEAD["mean_params.cam"].tolist()
    head = ManoDecoder(
        token_dim=1280,
        camera=WeakPerspectiveCamera(dim=1024, initial=initial),
        steps=steps,
        query="zero" if case.startswith("zero") else "estimate",
        mean_params=mean_params,
    )
    starts = {key: value for key, value in head.state_dict().items() if key.startswith("init_")}
    by_rule.fill(
        head,
        "mano_head.",
        original=lambda key: key.replace("camera.linear.", "deccam."),
        given=starts,
    )
    tokens = by_rule.normal("head.feats", (3, 1280, 16, 12)).flatten(2).mT
    query = head.query(tokens, view_of(3))
    prediction = head.read(query, view_of(3))
    torch.testing.assert_close(query.token, recorded(f"{case}.query_out")[-1], atol=5e-5, rtol=1e-5)
    torch.testing.assert_close(prediction.rotmats, recorded(f"{case}.rotmats"), **CLOSE)
    for said, step_betas in zip(
        (*prediction.earlier, prediction), recorded(f"{case}.betas_per_iter"), strict=True
    ):
        torch.testing.assert_close(said.betas, step_betas, **CLOSE)
    cameras = [estimate[:, -3:] for estimate in query.estimates[1:]]
    for values, step_cam in zip(cameras, recorded(f"{case}.cam_per_iter"), strict=False):
        torch.testing.assert_close(values, step_cam, **CLOSE)


def test_the_virtual_camera_shows_joints_where_the_original_does():
    camera = WeakPerspectiveCamera(dim=3)
    torch.nn.init.eye_(camera.linear.weight)
    torch.nn.init.zeros_(camera.linear.bias)
    values = torch.from_numpy(CAMERA["pred_cam"])
    pose = camera(values, None, view_of(len(values))).pose
    torch.testing.assert_close(pose.position, torch.from_numpy(CAMERA["cam_t"]), atol=1e-4, rtol=0)
    joints = torch.from_numpy(CAMERA["joints"]) + pose.position[:, None]
    fractions = project(joints, pose.intrinsics) / 256 - 0.5
    torch.testing.assert_close(
        fractions, torch.from_numpy(CAMERA["keypoints_2d"]), atol=1e-4, rtol=0
    )
