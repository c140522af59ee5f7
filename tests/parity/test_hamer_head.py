"""The MANO head and the weak-perspective camera against numbers recorded from HaMeR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CropView
from zoo.geometry.camera import project
from zoo.heads.cameras.weak_perspective import WeakPerspectiveCamera, whole_picture_position
from zoo.heads.mano_decoder import ManoDecoder

ORACLES = Path(__file__).parents[1] / "oracles"
HEAD, CAMERA = np.load(ORACLES / "hamer_head.npz"), np.load(ORACLES / "hamer_camera.npz")
CLOSE = {"atol": 1e-5, "rtol": 0}


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(HEAD[name])


def camera_recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(CAMERA[name])


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
@pytest.mark.filterwarnings("ignore:ManoDecoder with query='zero' makes")
@pytest.mark.parametrize(
    ("case", "steps"), [("zero1", 1), ("zero3", 3), ("mean1", 1), ("mean3", 3)]
)
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
    # Three times the same large correction magnify rounding.
    close = {"atol": 3e-5, "rtol": 0} if case == "zero3" else CLOSE
    torch.testing.assert_close(prediction.rotmats, recorded(f"{case}.rotmats"), **close)
    numbers = query.estimates[-1][:, :96] + head.decpose(query.token)
    torch.testing.assert_close(numbers, recorded(f"{case}.rot6d"), **CLOSE)
    values = query.estimates[-1][:, -3:] + head.camera.linear(query.token)
    torch.testing.assert_close(values, recorded(f"{case}.cam"), **CLOSE)
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
    values = camera_recorded("pred_cam")
    pose = camera(values, None, view_of(len(values))).pose
    torch.testing.assert_close(pose.position, camera_recorded("cam_t"), atol=1e-4, rtol=0)
    joints = camera_recorded("joints") + pose.position[:, None]
    fractions = project(joints, pose.intrinsics) / 256 - 0.5
    torch.testing.assert_close(fractions, camera_recorded("keypoints_2d"), atol=1e-4, rtol=0)


def test_pixels_of_a_given_camera_are_the_originals():
    focal, center = camera_recorded("px_focal"), camera_recorded("px_center")
    intrinsics = torch.diag_embed(torch.cat((focal, torch.ones(6, 1)), dim=-1))
    intrinsics[:, :2, 2] = center
    joints = camera_recorded("joints") + camera_recorded("cam_t")[:, None]
    expected = camera_recorded("px_points")
    torch.testing.assert_close(project(joints, intrinsics), expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("shape", ["landscape", "portrait"])
@pytest.mark.parametrize("mirrored", [True, False])
def test_the_camera_of_the_whole_picture_is_the_originals(shape, mirrored):
    values, size = camera_recorded("pred_cam").double(), camera_recorded(f"{shape}.img_size")
    if mirrored:
        sign = 2 * camera_recorded("right").double() - 1
        values = values * torch.stack((torch.ones(6), sign, torch.ones(6)), dim=-1)
    position = whole_picture_position(
        values,
        box_center=camera_recorded("box_center").double(),
        box_side=camera_recorded("box_size").double(),
        picture_size=size,
        focal=float(CAMERA[f"{shape}.focal"]),
    )
    expected = camera_recorded(f"{shape}.cam_full{'_handed' if mirrored else ''}")
    torch.testing.assert_close(position, expected, rtol=1e-6, atol=1e-6)
