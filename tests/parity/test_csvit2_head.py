"""The MANO head against numbers recorded from the original CS-ViT2 head, four versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CameraReadout, CropView
from zoo.heads.cameras.depth_bins import DepthBinsCamera
from zoo.heads.cameras.heatmap import HeatmapCamera
from zoo.heads.cameras.metric import MetricCamera
from zoo.heads.cameras.ray_distance import RayDistanceCamera
from zoo.heads.mano_decoder import ManoDecoder

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_head.npz")
CASES = sorted({name.rsplit("/", 1)[0] for name in RECORDED.files} - {"assets"})
HEATMAPS = [case for case in CASES if case.startswith("feb10")]
LINEAR = [case for case in CASES if case.startswith(("old", "jan7"))]
BINS = [case for case in CASES if "multibin" in case]
MEANS = [case for case in CASES if "meaninit" in case]
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
IN_MM = {"atol": 2e-3, "rtol": 1e-5}
STARTS = ("init_hand_pose", "init_betas", "init_cam")
WIDTHS = {48: "rotvec", 64: "quat", 96: "rot6d_columns"}
SHARP = (
    {"deccam": 20.0},
    {"deccam_xy": 20.0, "decuv": 20.0, "cls_head": 10.0, "res_head": 3.0},
)


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(RECORDED[name])


def context_of(case: str, by_rule) -> torch.Tensor:
    width = {"ctx48": 48, "skip_embed_dim61": 61}.get(case.split("/")[1], 64)
    return by_rule.normal(f"csvit2/head/ctx{width}", (3, 10, width))


def view_of(case: str, size: int = 224) -> CropView:
    """The recorded patch box as a crop; any crop where the head never looked at one."""
    intrinsics, box = torch.eye(3).repeat(3, 1, 1), torch.zeros(3, 4)
    if f"{case}/patch_bbox" in RECORDED:
        patch = recorded(f"{case}/patch_bbox")
        scale = size / (patch[:, 2:] - patch[:, :2])
        intrinsics[:, (0, 1), (0, 1)] = recorded(f"{case}/focal") * scale
        intrinsics[:, :2, 2] = (recorded(f"{case}/princpt") - patch[:, :2]) * scale
        corners = recorded(f"{case}/hand_bbox").view(-1, 2, 2) - patch[:, None, :2]
        box = (corners * scale[:, None]).flatten(1)
    return CropView(
        images=torch.zeros(3, 3, size, size),
        intrinsics=intrinsics,
        hand_box=box,
        frame_from_crop=torch.eye(3).expand(3, 3, 3),
        is_left=torch.zeros(3, dtype=torch.bool),
    )


def original_name(case: str):
    def name(key: str) -> str:
        if "rootz" in case:
            key = key.replace("camera.decx", "deccam_xy.decx")
            key = key.replace("camera.decy", "deccam_xy.decy")
            return key.replace("camera.decz", "decz")
        if "rho" in case:
            return key.replace("camera.decuv", "deccam_uv.decuv").replace("camera.", "")
        return key.replace("camera.linear.", "deccam.").replace("camera.", "deccam.")

    return name


def head_of(case: str, camera: CameraReadout, by_rule, **changes) -> ManoDecoder:
    short = "skip_embed" in case
    head = ManoDecoder(
        token_dim={"ctx48": 48, "skip_embed_dim61": 61}.get(case.split("/")[1], 64),
        camera=camera,
        dim=61 if short else 64,
        depth=2,
        num_heads=4,
        head_dim=16,
        mlp_dim=100 if short else 128,
        residual="residual" in case,
        init="random",
        representation=WIDTHS[recorded(f"{case}/pose").shape[-1]],
        embed_query=not short,
        **changes,
    )
    given = dict(zip(STARTS, recorded(f"{case}/query")[0, 0].split(head.widths), strict=True))
    for axis in "xyz":
        if f"camera.{axis}_centers" in head.state_dict():
            unit = 1000 if "rootz" in case else 1  # the heat-map cases stay in the recorded unit
            given[f"camera.{axis}_centers"] = recorded(f"{case}/{axis}_centers") / unit
    given |= {k: v for k, v in head.state_dict().items() if k.startswith("statistics.")}
    gains = SHARP["multibin" in case] if case.endswith("sharp") else None
    original = original_name(case)
    return by_rule.fill(head, "handec.", original=original, given=given, gains=gains)


def check_hand(head: ManoDecoder, case: str, by_rule):
    """The head's answer, after its token and MANO numbers were found to be the recorded ones."""
    context, view = context_of(case, by_rule), view_of(case)
    query = head.query(context, view)
    prediction = head.read(query, view)
    torch.testing.assert_close(query.token, recorded(f"{case}/token"), **CLOSE)
    torch.testing.assert_close(prediction.betas, recorded(f"{case}/shape"), **CLOSE)
    pose = recorded(f"{case}/pose").unflatten(-1, (16, -1))
    torch.testing.assert_close(prediction.aux[head.pose_name], pose, **CLOSE)
    rotmats = head.representation.to_rotmat(pose)
    torch.testing.assert_close(prediction.rotmats, rotmats, atol=1e-4, rtol=1e-4)
    return prediction


@pytest.fixture
def statistics(tmp_path):
    """The recorded statistics as a file of our own."""
    path = tmp_path / "statistics.npz"
    np.savez(path, mean=RECORDED["assets/stat_mean"], cov=RECORDED["assets/stat_cov"])
    return path


def options_of(case: str, statistics) -> dict:
    return {"statistics": statistics} if "denorm" in case else {}


@pytest.mark.parametrize("case", HEATMAPS)
def test_the_heat_map_head_is_the_original(case, by_rule, statistics):
    camera = HeatmapCamera(dim=61 if "skip_embed" in case else 64, bins=(16, 12, 20))
    if "denorm" in case:
        # There the original whitens millimetres of the soft-argmax, not standard deviations.
        camera.middle.zero_(), camera.spread.fill_(1.0)
    head = head_of(case, camera, by_rule, **options_of(case, statistics))
    prediction = check_hand(head, case, by_rule)
    for axis in "xyz":
        log_heatmap = prediction.aux[f"log_heatmap_{axis}"]
        expected = recorded(f"{case}/log_hm_{axis}")
        torch.testing.assert_close(log_heatmap, expected, atol=1e-4, rtol=0)
    # Recorded in mm or hand units, on grids whose bins are up to 120 mm apart.
    position = prediction.camera.position * (1000 if "denorm" in case else 1)
    torch.testing.assert_close(position, recorded(f"{case}/trans"), **IN_MM)


@pytest.mark.parametrize("case", LINEAR)
def test_the_linear_head_is_the_original_with_and_without_residual(case, by_rule, statistics):
    width = 61 if "skip_embed" in case else 64
    camera = MetricCamera(dim=width, mean=(0.0, 0.0, 0.0), std=(1e-3, 1e-3, 1e-3))  # it was in mm
    head = head_of(case, camera, by_rule, **options_of(case, statistics))
    prediction = check_hand(head, case, by_rule)
    position = prediction.camera.position * 1000
    torch.testing.assert_close(position, recorded(f"{case}/trans"), **CLOSE)


@pytest.mark.parametrize("case", BINS)
def test_the_head_with_bins_of_distance_is_the_original(case, by_rule):
    shared = {"dim": 64, "hidden_dim": 32, "dropout": 0.0}
    if "rootz" in case:
        name, short, camera = "depth", "z", DepthBinsCamera(bins=(64, 48), **shared)
    else:
        name, short, camera = "distance", "rho", RayDistanceCamera(cells=(56, 48), **shared)
    prediction = check_hand(head_of(case, camera, by_rule), case, by_rule)
    aux = {key.removeprefix(f"{name}_"): value for key, value in prediction.aux.items()}
    for ours, theirs in (("logits", "cls_logits"), ("residuals", "residuals")):
        expected = recorded(f"{case}/{short}_{theirs}")
        torch.testing.assert_close(aux[ours], expected, **CLOSE)
    prior = recorded(f"{case}/{short}_prior")[:, 0]
    torch.testing.assert_close(aux["log_prior"].exp() * 1000, prior, **CLOSE)
    maps = [key for key in prediction.aux if key.startswith("log_heatmap")]
    for key in maps:
        expected = recorded(f"{case}/log_hm_{key.rsplit('_', 1)[1].replace('crop', 'uv_patch')}")
        torch.testing.assert_close(prediction.aux[key], expected, atol=1e-4, rtol=0)
    position = prediction.camera.position * 1000
    torch.testing.assert_close(position, recorded(f"{case}/trans"), **IN_MM)


@pytest.mark.parametrize("case", MEANS)
def test_a_query_made_of_mean_parameters_is_the_original(case, by_rule, tmp_path):
    path = tmp_path / "mean.npz"
    np.savez(path, pose=RECORDED["assets/mean_pose_6d"], shape=RECORDED["assets/mean_shape"])
    head = ManoDecoder(
        token_dim=64,
        camera=MetricCamera(dim=64),
        init="mean",
        mean_params=path,
        representation=WIDTHS[recorded(f"{case}/pose").shape[-1]],
        dim=64,
        depth=1,
    )
    pose, betas, _ = recorded(f"{case}/query")[0, 0].split(head.widths)
    torch.testing.assert_close(head.init_hand_pose[0], pose, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head.init_betas[0], betas)


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
