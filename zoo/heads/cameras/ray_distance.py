"""Places the wrist by where it is seen in the crop and how far along that ray it stands."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.contracts import CameraPose, CameraReading, CropView
from zoo.geometry.camera import rays
from zoo.heads.cameras.distance_bins import DistanceBins, box_geometry
from zoo.heads.cameras.heatmap import Range

_AUX = ("logits", "residuals", "log_prior", "bin_centers", "box_edge")


class RayDistanceCamera(nn.Module):
    """The wrist in the true camera: a point of the crop, and a distance along its viewing ray.

    Where the wrist is seen is a two-dimensional heat map over the crop and needs no metres; the
    distance alone is metric, read from bins around the guess of the hand's box (CS-ViT2 of
    2026-04-02, 12.15). As in CS-ViT2 the outermost cells stand on the crop's borders.

    cells: rows and columns of the heat map; a quarter of the crop's pixels as published.
    log_range: of ln(distance / prior distance).
    hand_extent: m; the prior is hand_extent * focal / box along the ray through the box's centre.
    """

    provides: ClassVar[frozenset[str]] = frozenset(
        {"log_heatmap_crop", "heatmap_columns", "heatmap_rows"}
    ) | {f"distance_{name}" for name in _AUX}
    num_values: ClassVar[int] = 3
    trained_through: ClassVar[frozenset[str]] = frozenset({"distance_logits"})  # an arg-max
    companion_loss: ClassVar[dict[str, Any]] = {
        "type": "distance_bins",
        "quantity": "distance",
        "weight": 1.0,
    }
    tiny: ClassVar[dict[str, Any]] = {"hidden_dim": 32, "cells": (32, 32)}

    def __init__(
        self,
        *,
        dim: int,
        cells: tuple[int, int] = (56, 56),
        num_bins: int = 8,
        log_range: Range = (-0.71, 0.75),
        hand_extent: float = 0.121,
        hidden_dim: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if min(cells) < 2:
            raise ValueError(
                f"RayDistanceCamera has {tuple(cells)} cells (rows, columns); it needs two or more "
                "each way."
            )
        self.hand_extent, self.cells = hand_extent, tuple(cells)
        self.decuv = nn.Linear(dim, cells[0] * cells[1], bias=False)
        self.decrho = DistanceBins(
            dim=dim, num_bins=num_bins, log_range=log_range, hidden_dim=hidden_dim, dropout=dropout
        )
        for name, count in zip(("row", "column"), cells, strict=True):
            fraction = torch.linspace(0, 1, count)
            self.register_buffer(f"{name}_fraction", fraction, persistent=False)
        self.register_buffer("initial", torch.zeros(3), persistent=False)

    def forward(self, token: Tensor, estimate: Tensor | None, view: CropView) -> CameraReading:
        """The place of the wrist, the heat map and the bins behind it; call it in fp32.

        token: (B, dim).
        estimate: not used; the query already held it.
        returns: values (B, 3) place in the crop from -1 to 1 and ln(distance / prior); position
            (B, 3) m, camera; aux log_heatmap_crop (B, rows, columns), heatmap_columns (B, columns)
            px and heatmap_rows (B, rows) px, distance_logits, distance_residuals,
            distance_bin_centers (B, K), distance_log_prior (B,) ln of m, distance_box_edge (B,) px.
        """
        height, width = view.crop_size
        log_heatmap = self.decuv(token).log_softmax(dim=-1).unflatten(-1, self.cells)
        heat = log_heatmap.exp()
        columns = (self.column_fraction * width).expand(token.shape[0], -1)
        rows = (self.row_fraction * height).expand(token.shape[0], -1)
        x = (heat.sum(-2) * columns).sum(-1)
        y = (heat.sum(-1) * rows).sum(-1)
        pixel = torch.stack((x, y), dim=-1)
        box = box_geometry(view, self.hand_extent)
        distance, read = self.decrho(token, box.distance, box.shape)
        ray = rays(pixel[:, None], view.intrinsics.float())[:, 0]
        aux = {
            "log_heatmap_crop": log_heatmap,
            "heatmap_columns": columns,
            "heatmap_rows": rows,
            "distance_box_edge": box.edge,
            **{f"distance_{name}": value for name, value in read.items()},
        }
        place = 2 * pixel / pixel.new_tensor((width, height)) - 1
        log_ratio = (distance / box.distance).log()[:, None]
        pose = CameraPose(
            position=ray * distance[:, None], anchor="wrist", intrinsics=view.intrinsics
        )
        return CameraReading(values=torch.cat((place, log_ratio), dim=-1), pose=pose, aux=aux)
