"""CS-ViT2's recorded networks, Stage 1 of three versions, built from our configs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from registry.build import build_model_parts
from registry.config import load
from zoo.contracts import CropView
from zoo.model import HandMeshModel
from zoo.weights.csvit2 import fill, from_published, statistics_of
from zoo.weights.csvit2_layout import Layout

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_network.npz")
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
    "model.head.dropout": 0.0,
    "model.precision": "fp32",
}


def recorded(name: str) -> Tensor:
    """An array of the networks' file; clips and frames count as hands."""
    value = torch.from_numpy(RECORDED[name])
    return value.flatten(0, 1) if value.ndim > 2 else value


def published(version: str, by_rule) -> dict[str, Tensor]:
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


def model_of(
    version: str, by_rule, folder: Path, changes: dict[str, object] | None = None
) -> HandMeshModel:
    """The recorded network with the losses of its config, filled through the converter.

    changes: further `--set` lines.
    """
    weights = from_published(published(version, by_rule))
    changes = CHANGES | (changes or {})
    if version == "old":
        np.savez(folder / "statistics.npz", **statistics_of(weights.state_dict))
        changes["model.head.statistics"] = str(folder / "statistics.npz")
        changes["model.head.camera"] = {"type": "metric", "mean": (0,) * 3, "std": (0.001,) * 3}
    else:
        changes["model.head.camera.bins"] = BINS
        for axis in "xyz":
            centers = weights.state_dict[f"head.camera.{axis}_centers"]
            changes[f"model.head.camera.{axis}_range"] = (centers[0].item(), centers[-1].item())
    config = load(CONFIGS[version], [f"{k}={v}" for k, v in changes.items()])
    parts = build_model_parts(config)
    built = {name: getattr(parts, name) for name in ("hand", "backbone", "neck", "head", "losses")}
    detached = config["model"].get("detach_betas", False)
    model = HandMeshModel(**built, precision="fp32", detach_betas=detached)
    account = fill(model, weights)
    assert all(module.matched == module.total for module in account.modules)
    return model.eval()


def view_of(inputs: dict[str, Tensor]) -> CropView:
    """Recorded crops and the cameras that see them.

    inputs: `patches`, `patch_bbox`, `hand_bbox`, `focal`, `princpt`, one hand a row.
    """
    box, focal, center = (inputs[name] for name in ("patch_bbox", "focal", "princpt"))
    scale = SIZE / (box[:, 2:] - box[:, :2])
    intrinsics = torch.diag_embed(torch.cat((focal * scale, torch.ones(len(box), 1)), dim=-1))
    intrinsics[:, :2, 2] = (center - box[:, :2]) * scale
    corner = box[:, :2].repeat(1, 2)
    return CropView(
        images=inputs["patches"],
        intrinsics=intrinsics,
        hand_box=(inputs["hand_bbox"] - corner) * scale.repeat(1, 2),
        frame_from_crop=torch.eye(3).expand(len(box), 3, 3),
        is_left=torch.zeros(len(box), dtype=torch.bool),
    )


def inputs_of(arrays, prefix: str) -> dict[str, Tensor]:
    """The arrays under a prefix, one hand a row."""
    return {
        name.removeprefix(prefix): torch.from_numpy(arrays[name]).flatten(0, 1)
        for name in arrays
        if name.startswith(prefix)
    }


def view() -> CropView:
    """The crops every version was given."""
    return view_of(inputs_of(RECORDED, "inputs/"))
