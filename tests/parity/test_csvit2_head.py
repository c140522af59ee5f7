"""The MANO head against numbers recorded from the original CS-ViT2 head, three versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CropView
from zoo.heads.cameras.heatmap import HeatmapCamera
from zoo.heads.cameras.metric import MetricCamera
from zoo.heads.mano_decoder import ManoDecoder

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_head.npz")
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
STARTS = ("init_hand_pose", "init_betas", "init_cam")
WIDTHS = {48: "rotvec", 64: "quat", 96: "rot6d_columns"}
HEATMAPS = (
    "feb10/handunits_aa",
    "feb10/mm_aa_sharp",
    "feb10/handunits_6d",
    "feb10/handunits_quat",
    "feb10/ctx48",
)
LINEAR = (
    "old/plain_3",
    "old/meaninit_6d",
    "jan7/meaninit_residual_3",
    "jan7/meaninit_residual_6d",
    "jan7/meaninit_residual_quat",
)


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(RECORDED[name])


def view_of(batch: int) -> CropView:
    return CropView(
        images=torch.zeros(batch, 3, 224, 224),
        intrinsics=torch.eye(3).expand(batch, 3, 3),
        hand_box=torch.zeros(batch, 4),
        frame_from_crop=torch.eye(3).expand(batch, 3, 3),
        is_left=torch.zeros(batch, dtype=torch.bool),
    )


def original_name(key: str) -> str:
    return key.replace("camera.linear.", "deccam.").replace("camera.", "deccam.")


def head_of(case: str, camera, by_rule, given: dict[str, torch.Tensor]) -> ManoDecoder:
    head = ManoDecoder(
        token_dim=recorded(f"{case}/context").shape[-1],
        camera=camera,
        dim=64,
        depth=2,
        num_heads=4,
        head_dim=16,
        mlp_dim=128,
        residual="residual" in case,
        init="random",
        representation=WIDTHS[recorded(f"{case}/pose").shape[-1]],
    )
    start = recorded(f"{case}/query")[0, 0].split(head.widths)
    return by_rule.fill(
        head,
        "handec.",
        original=original_name,
        given=dict(zip(STARTS, start, strict=True)) | given,
        gains={"deccam": 20.0} if case.endswith("sharp") else None,
    )


def check_hand(head: ManoDecoder, case: str):
    """The head's answer, after its token and MANO numbers were found to be the recorded ones."""
    context = recorded(f"{case}/context")
    view = view_of(len(context))
    query = head.query(context, view)
    prediction = head.read(query, view)
    torch.testing.assert_close(query.token, recorded(f"{case}/token"), **CLOSE)
    torch.testing.assert_close(prediction.betas, recorded(f"{case}/shape"), **CLOSE)
    pose = recorded(f"{case}/pose").unflatten(-1, (16, -1))
    rotmats = head.representation.to_rotmat(pose)
    torch.testing.assert_close(prediction.rotmats, rotmats, atol=1e-4, rtol=1e-4)
    return prediction


@pytest.mark.parametrize("case", HEATMAPS)
def test_the_heat_map_head_is_the_original(case, by_rule):
    centers = {f"camera.{axis}_centers": recorded(f"{case}/{axis}_centers") for axis in "xyz"}
    camera = HeatmapCamera(dim=64, bins=(16, 12, 20))
    prediction = check_hand(head_of(case, camera, by_rule, centers), case)
    for axis in "xyz":
        log_heatmap = prediction.aux[f"log_heatmap_{axis}"]
        torch.testing.assert_close(
            log_heatmap, recorded(f"{case}/log_hm_{axis}"), atol=1e-4, rtol=0
        )
    # Recorded in mm or hand units, on grids whose bins are up to 120 mm apart.
    torch.testing.assert_close(
        prediction.camera.position, recorded(f"{case}/trans"), atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("case", LINEAR)
def test_the_linear_head_is_the_original_with_and_without_residual(case, by_rule):
    camera = MetricCamera(dim=64, mean=(0.0, 0.0, 0.0), std=(1e-3, 1e-3, 1e-3))  # recorded in mm
    prediction = check_hand(head_of(case, camera, by_rule, {}), case)
    torch.testing.assert_close(
        prediction.camera.position * 1000, recorded(f"{case}/trans"), **CLOSE
    )


def test_our_bins_are_those_the_original_spans():
    camera = HeatmapCamera(
        dim=8, bins=(16, 12, 20), **{f"{axis}_range": ends(axis) for axis in "xyz"}
    )
    for axis in "xyz":
        expected = recorded(f"feb10/mm_aa_sharp/{axis}_centers") / 1000
        torch.testing.assert_close(getattr(camera, f"{axis}_centers"), expected)


def ends(axis: str) -> tuple[float, float]:
    centers = RECORDED[f"feb10/mm_aa_sharp/{axis}_centers"] / 1000
    return float(centers[0]), float(centers[-1])
