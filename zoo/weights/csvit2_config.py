"""The config of a model that published CS-ViT2 weights fill."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo.weights.csvit2_layout import HEAD_DIM, Layout


def config_of(
    layout: Layout,
    *,
    name: str,
    grid: Mapping[str, tuple[float, float]],
    norm_by_hand: bool = False,
    beside: Mapping[str, str] | None = None,
) -> str:
    """The text of a config file, a variant of the shipped config of the same version.

    name: of the original file, for the first line.
    grid: x_range, y_range and z_range of heat maps.
    norm_by_hand: whether the grid counts hand lengths.
    beside: files that were written next to it: asset, joint_regressor, statistics.
    """
    hand = dict(beside or {})
    statistics = {"statistics": hand.pop("statistics")} if "statistics" in hand else {}
    base = "csvit2" if norm_by_hand else "csvit2_metres"
    camera = {"type": "heatmap", "bins": layout.bins, "norm_by_hand": norm_by_hand, **grid}
    if layout.camera == "metric":  # the original's three numbers are millimetres
        base, camera = "csvit2_old", {"type": "metric", "mean": (0.0,) * 3, "std": (0.001,) * 3}
    lines = [
        f'"""CS-ViT2 with the published weights of {name}."""',
        "",
        "from mmengine.config import read_base",
        "",
        "with read_base():",
        f"    from configs.{base} import *",
        "",
        f"model.backbone.update({_keywords(backbone_of(layout))})",
        f"model.neck.update({_keywords(neck_of(layout))})",
        f"model.head.update({_keywords(head_of(layout) | statistics)})",
        f"model.head.camera = dict({_keywords(camera)})",
        f"augmentation.crop.update(size={layout.image_size})",
    ]
    if hand:
        lines.append(f"model.hand.update({_keywords(hand)})")
    return "\n".join(lines) + "\n"


def backbone_of(layout: Layout) -> dict[str, Any]:
    """Arguments of the backbone; the config it names has the checkpoint's own position table."""
    vit = {
        "hidden_size": layout.dim,
        "num_hidden_layers": layout.depth,
        "num_attention_heads": max(1, layout.dim // HEAD_DIM),
        "patch_size": layout.patch_size,
        "mlp_ratio": layout.mlp_dim // layout.dim,
        "image_size": math.isqrt(layout.positions - 1) * layout.patch_size,
    }
    size = {"image_size": layout.image_size, "drop_cls": layout.drop_cls}
    return {"pretrained": None, "config": vit, **size}


def neck_of(layout: Layout) -> dict[str, Any]:
    """Arguments of the ray attention."""
    return {
        "uv": layout.context_dim == 4,
        "num_heads": max(1, layout.neck_inner // HEAD_DIM),
        "mlp_ratio": layout.neck_mlp_dim // layout.dim,
    }


def head_of(layout: Layout) -> dict[str, Any]:
    """Arguments of the head but its camera; every attention head is 64 wide."""
    return {
        "dim": layout.head_dim,
        "depth": layout.head_depth,
        "num_heads": max(1, layout.head_inner // HEAD_DIM),
        "mlp_dim": layout.head_mlp_dim,
        "representation": layout.representation,
        "relative_to_mean": layout.representation == "rotvec",
    }


def _keywords(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in values.items())
