"""The whole Stage 1 of three versions: published weights in, what the original predicted out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from registry.build import build_model_parts
from registry.config import load
from zoo.contracts import CropView
from zoo.geometry.rotation import geodesic_angle, rotvec_to_rotmat
from zoo.model import HandMeshModel
from zoo.weights.csvit2 import fill, from_published
from zoo.weights.csvit2_layout import Layout

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_network.npz")
CLOSE = {"atol": 5e-5, "rtol": 2e-4}
SIZE, BINS = 56, (16, 12, 20)
SMALL = {"depth": 2, "dim": 64, "mlp_dim": 256, "positions": 17, "tokens": 17}
SMALL |= {"head_dim": 64, "head_depth": 2, "head_inner": 64, "head_mlp_dim": 128}
SMALL |= {"neck_mlp_dim": 256}
LAYOUTS = {
    "old": Layout(**SMALL, context_dim=2, camera="metric", statistics=True),
    "feb10": Layout(**SMALL, bins=BINS),
    "head": Layout(**SMALL, bins=BINS),
}
CONFIGS = {"old": "csvit2_old", "feb10": "csvit2", "head": "csvit2"}
CHANGES = {
    "model.backbone.pretrained": None,
    "model.backbone.image_size": (SIZE, SIZE),
    "augmentation.crop.size": (SIZE, SIZE),
    "model.backbone.config": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "patch_size": 14,
        "image_size": SIZE,
    },
    "model.head.dim": 64,
    "model.head.depth": 2,
    "model.head.num_heads": 4,
    "model.head.head_dim": 16,
    "model.head.mlp_dim": 128,
}


def recorded(name: str) -> torch.Tensor:
    value = torch.from_numpy(RECORDED[name])
    return value.flatten(0, 1) if value.ndim > 2 else value


def published(version: str, by_rule) -> dict[str, torch.Tensor]:
    """The recorded network's state dict under its own names."""
    state = {}
    for key, shape in LAYOUTS[version].shapes().items():
        leaf = key.rsplit(".", 1)[-1]
        if f"{version}/{leaf}" in RECORDED:  # structure: bins and statistics
            state[key] = recorded(f"{version}/{leaf}")
        elif leaf.startswith("init_"):
            state[key] = by_rule.normal(key, shape)
        else:
            state[key] = by_rule.weight(key, shape)
    return state


def model_of(version: str, by_rule, tmp_path: Path) -> HandMeshModel:
    """The recorded network, filled through the converter."""
    weights = from_published(published(version, by_rule))
    changes = dict(CHANGES)
    if version == "old":
        from zoo.weights.csvit2 import statistics_of

        np.savez(tmp_path / "statistics.npz", **statistics_of(weights.state_dict))
        changes["model.head.statistics"] = str(tmp_path / "statistics.npz")
        changes["model.head.camera"] = {"type": "metric", "mean": (0,) * 3, "std": (0.001,) * 3}
    else:
        changes["model.head.camera.bins"] = BINS
        for axis in "xyz":
            centers = weights.state_dict[f"head.camera.{axis}_centers"]
            changes[f"model.head.camera.{axis}_range"] = (centers[0].item(), centers[-1].item())
    parts = build_model_parts(load(CONFIGS[version], [f"{k}={v}" for k, v in changes.items()]))
    built = {name: getattr(parts, name) for name in ("hand", "backbone", "neck", "head")}
    model = HandMeshModel(**built, precision="fp32")
    account = fill(model, weights)
    assert all(module.matched == module.total for module in account.modules)
    return model.eval()


def view() -> CropView:
    """The recorded crops and the cameras that see them."""
    box, focal, center = (recorded(f"inputs/{name}") for name in ("patch_bbox", "focal", "princpt"))
    scale = SIZE / (box[:, 2:] - box[:, :2])
    intrinsics = torch.diag_embed(torch.cat((focal * scale, torch.ones(len(box), 1)), dim=-1))
    intrinsics[:, :2, 2] = (center - box[:, :2]) * scale
    corner = box[:, :2].repeat(1, 2)
    return CropView(
        images=recorded("inputs/patches"),
        intrinsics=intrinsics,
        hand_box=(recorded("inputs/hand_bbox") - corner) * scale.repeat(1, 2),
        frame_from_crop=torch.eye(3).expand(len(box), 3, 3),
        is_left=torch.zeros(len(box), dtype=torch.bool),
    )


@pytest.mark.parametrize("version", LAYOUTS)
@torch.no_grad()
def test_published_weights_say_what_the_original_said(version, by_rule, tmp_path):
    model = model_of(version, by_rule, tmp_path)
    prediction = model(view())
    pose = prediction.aux["pose_rotvec"].flatten(1) - model.head.pose_offset
    torch.testing.assert_close(pose, recorded(f"{version}/pose"), **CLOSE)
    torch.testing.assert_close(prediction.betas, recorded(f"{version}/shape"), **CLOSE)
    place = prediction.camera.position * 1000 if version == "old" else None
    place = prediction.aux["wrist_in_hands"] if place is None else place
    torch.testing.assert_close(place, recorded(f"{version}/trans"), atol=2e-3, rtol=1e-4)
    for axis in "xyz" if version == "feb10" else "":
        found = prediction.aux[f"log_heatmap_{axis}"]
        torch.testing.assert_close(found, recorded(f"feb10/log_hm_{axis}"), atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_angles_are_offsets_to_the_mean_pose_of_the_models_hand(by_rule, tmp_path):
    model = model_of("feb10", by_rule, tmp_path)
    rotmats = model(view()).rotmats
    offset = model.head.pose_offset.view(16, 3)
    expected = rotvec_to_rotmat(recorded("feb10/pose").unflatten(1, (16, 3)) + offset)
    assert geodesic_angle(rotmats, expected).max() < 1e-3
    assert offset[1:].abs().max() > 0.05
