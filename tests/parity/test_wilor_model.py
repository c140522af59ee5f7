"""The whole of WiLoR, picture to mesh, against numbers recorded from the original."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from registry.build import build_model_parts
from registry.config import load
from zoo.contracts import HandAsset
from zoo.heads.vertex_sampling import sample, share_inside, touched
from zoo.mano.files import save
from zoo.model import HandMeshModel
from zoo.weights import wilor as converter
from zoo.weights.hamer_layout import Layout
from zoo.weights.wilor_layout import WilorLayout

ORACLES = Path(__file__).parents[1] / "oracles"
FORWARD = np.load(ORACLES / "wilor_forward.npz")
EXACT = {"atol": 1e-5, "rtol": 0}
START = {"init_hand_pose": "pose", "init_betas": "shape", "init_cam": "cam"}
READOUTS = {"decpose", "decshape", "deccam", "dec_pose", "dec_shape", "dec_cam"}


def recorded(name: str, arrays=FORWARD) -> torch.Tensor:
    return torch.from_numpy(arrays[name])


def recorded_hand() -> HandAsset:
    arrays = dict(np.load(ORACLES / "csvit2_hand.npz"))
    arrays.pop("regressor21")
    arrays["hands_components"] = np.eye(45)
    return HandAsset(name="recorded", **arrays)


def weight(by_rule, key: str, shape: tuple[int, ...]) -> torch.Tensor:
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if leaf == "running_mean":
        return by_rule.normal(key, shape, 0.1)
    if leaf == "weight" and READOUTS & set(key.split(".")):
        return by_rule.normal(key, shape, 0.1 / math.sqrt(shape[1]))
    return by_rule.weight(key, shape)


def published(by_rule, depth: int) -> dict[str, torch.Tensor]:
    """The recorded model's state dict under its own names."""
    mean = np.load(ORACLES / "hamer_hand.npz")
    hand = converter.arrays_of(recorded_hand())
    state = {f"mano.{key}": value for key, value in hand.items()}
    for key, shape in WilorLayout(Layout(depth=depth)).shapes().items():
        leaf = key.rsplit(".", 1)[-1]
        if leaf in START:
            state[key] = torch.from_numpy(mean[f"mean_params.{START[leaf]}"])[None]
        elif key != "initialized" and not key.startswith("mano."):
            state[key] = weight(by_rule, key, shape)
    return state


def built(by_rule, folder: Path, depth: int) -> HandMeshModel:
    save(recorded_hand(), folder / "hand.npz")
    changes = {
        "model.hand.asset": folder / "hand.npz",
        "model.backbone.pretrained": None,
        "model.backbone.depth": depth,
        "model.head.sampling": "as_released",
        "model.precision": "fp32",
    }
    parts = build_model_parts(load("wilor", [f"{k}={v}" for k, v in changes.items()]))
    names = ("hand", "backbone", "neck", "head", "temporal", "losses")
    model = HandMeshModel(**{n: getattr(parts, n) for n in names}, precision="fp32")
    converter.fill(model, converter.from_published(published(by_rule, depth)))
    return model.eval()


@torch.no_grad()
def run(model: HandMeshModel, by_rule, hamer) -> SimpleNamespace:
    """Everything between the picture and the mesh."""
    view = hamer.view(by_rule.normal("wilor.img", (3, 3, 256, 256)), model)
    tokens = model.backbone(view.images)
    numbers, features = model.head.coarse(tokens)
    query = model.head.query(tokens, view)
    prediction = model.head.read(query, view)
    pose, betas, camera = numbers.split(model.head.coarse.widths, dim=-1)
    rotmats = model.head.representation.to_rotmat(pose.unflatten(-1, (16, 6)))
    vertices, _ = model.hand(rotmats, betas)
    mesh = model.hand.place(prediction)
    maps = model.head.deconv(features)
    return SimpleNamespace(**{k: v for k, v in locals().items() if k not in ("by_rule", "hamer")})


@pytest.fixture(scope="module")
def case(by_rule, hamer, tmp_path_factory) -> SimpleNamespace:
    model = built(by_rule, tmp_path_factory.mktemp("wilor"), depth=2)
    return run(model, by_rule, hamer)


def test_hand_tokens_go_in_and_come_out_as_the_originals(case):
    close = torch.testing.assert_close
    close(case.model.backbone.hand_tokens()[0, :, ::8], recorded("extra_tokens_in"), **EXACT)
    close(case.tokens[:, :18, ::8], recorded("tokens_out_extra"), **EXACT)
    close(case.features[0, ::16, ::2, ::2], recorded("image_feats_sample0"), **EXACT)
    close(case.features.mean((2, 3)), recorded("image_feats_mean"), **EXACT)


def test_the_coarse_hand_is_the_originals(case):
    said = {
        "coarse.feats.hand_pose": case.pose,
        "coarse.feats.betas": case.betas,
        "coarse.feats.cam": case.camera,
        "coarse.cam": case.camera,
        "coarse.global_orient": case.rotmats[:, :1],
        "coarse.hand_pose": case.rotmats[:, 1:],
        "coarse.vertices": case.vertices[:, ::7],
    }
    for name, value in said.items():
        torch.testing.assert_close(value, recorded(name), **EXACT)


def test_the_maps_and_what_is_read_of_them_are_the_originals(case):
    assert [tuple(level.shape) for level in case.maps] == [
        tuple(shape) for shape in FORWARD["pyramid_shapes"].tolist()
    ]
    means = torch.cat([level.mean((2, 3)) for level in case.maps], dim=1)
    torch.testing.assert_close(means, recorded("pyramid_channel_mean"), **EXACT)
    corners = torch.cat([level[:1, :, :2, :2].flatten(1) for level in case.maps], dim=1)
    torch.testing.assert_close(corners, recorded("pyramid_corner"), **EXACT)
    torch.testing.assert_close(case.query.token, recorded("pooled_1120"), **EXACT)
    head = case.model.head
    corrections = {
        "delta_pose": head.dec_pose(case.query.token),
        "delta_betas": head.dec_shape(case.query.token),
        "delta_cam": head.camera.linear(case.query.token),
    }
    for name, value in corrections.items():
        torch.testing.assert_close(value, recorded(name), **EXACT)


def assert_refined(case, arrays) -> None:
    place = case.prediction.camera.position[:, None]
    said = {
        "global_orient": case.prediction.rotmats[:, :1],
        "hand_pose": case.prediction.rotmats[:, 1:],
        "betas": case.prediction.betas,
        "pred_keypoints_3d": case.mesh.joints - place,
        "pred_vertices": (case.mesh.vertices - place)[:, ::7],
    }
    for name, value in said.items():
        torch.testing.assert_close(value, recorded(f"refined.{name}", arrays), **EXACT)
    loose = {
        "pred_keypoints_2d": case.mesh.keypoints / 256 - 0.5,
        "pred_cam_t": case.prediction.camera.position,
    }
    for name, value in loose.items():
        wanted = recorded(f"refined.{name}", arrays)
        torch.testing.assert_close(value, wanted, atol=1e-4, rtol=0)


def test_the_refined_hand_is_the_originals(case):
    assert_refined(case, FORWARD)
    focal = case.prediction.camera.intrinsics[:, (0, 1), (0, 1)]
    torch.testing.assert_close(focal, recorded("refined.focal_length"))


@torch.no_grad()
def test_the_released_sampling_reads_four_of_192_tokens(case):
    head, level = case.model.head, case.maps[2]
    cells = head.cells(case.vertices, case.camera, level)
    read = touched(level.shape[-2:], cells)
    assert level.shape[-2] * level.shape[-1] == 192
    assert int(read.sum()) == 4
    assert read[:2, :2].all()


@torch.no_grad()
def test_the_fixed_sampling_reads_the_maps_where_the_picture_shows_the_hand(case):
    head = case.model.head
    head.sampling = "fixed"
    try:
        for level in case.maps:
            size = level.shape[-2:]
            cells = head.cells(case.vertices, case.camera, level)
            # A map that holds each cell's own place in the crop gives the pixels back.
            crop = 256 * (torch.arange(size[0]) + 0.5) / size[0] - 0.5
            rows = crop[:, None].expand(size)[None, None]
            inside = ((cells >= 0) & (cells <= torch.tensor(size[::-1]) - 1)).all(-1)
            found = sample(rows.expand(3, 1, *size), cells)[:, 0]
            seen = _pixels(case, case.vertices)[..., 1]
            torch.testing.assert_close(found[inside], seen[inside], atol=1e-2, rtol=0)
            assert share_inside(cells, size) > 0.9
    finally:
        head.sampling = "as_released"


def _pixels(case, vertices: torch.Tensor) -> torch.Tensor:
    """Where the virtual camera sees vertices: px of the crop."""
    scale, shift = case.camera[:, None, :1], case.camera[:, None, 1:]
    depth = vertices[..., 2:] + 2 * 5000 / (256 * scale)
    return 5000 * (vertices[..., :2] + shift) / depth + 128


@pytest.mark.slow
def test_the_refined_hand_is_the_originals_at_full_depth(by_rule, hamer, tmp_path):
    model = built(by_rule, tmp_path, depth=32)
    assert_refined(run(model, by_rule, hamer), np.load(ORACLES / "wilor_forward_full_depth.npz"))
