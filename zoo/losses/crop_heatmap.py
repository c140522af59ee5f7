"""Cross-entropy of the heat map that says where in the crop the wrist is seen."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.losses.heatmap import within_grid
from zoo.losses.reduce import REDUCTIONS, Reduction, in_float32, labelled, one_of, reduce_errors

_OUTSIDE = ("skip", "clamp", "vanish")


class CropHeatmapCrossEntropy(nn.Module):
    """Cross-entropy between a Gaussian about the labelled wrist and a heat map over the crop.

    For heads with a RayDistanceCamera. A two-dimensional label is enough: neither depth nor a
    measured camera is asked for.

    sigma: px of the crop; the cells are about four pixels apart as published, and a Gaussian
        below half of that is one cell.
    outside: what a wrist beyond the outermost cells does: "skip" leaves the hand out, "clamp"
        moves it to the border, "vanish" lets the Gaussian fade, so that the hand counts with an
        error of 0 (CS-ViT2 as released).
    """

    needs: ClassVar[frozenset[str]] = frozenset(
        {"log_heatmap_crop", "heatmap_columns", "heatmap_rows"}
    )
    places_hand: ClassVar[bool] = True

    def __init__(
        self,
        *,
        weight: float,
        sigma: float,
        outside: Literal["skip", "clamp", "vanish"] = "skip",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"CropHeatmapCrossEntropy.sigma is {sigma}; it has to be positive.")
        self.weight, self.sigma = weight, sigma
        self.outside = one_of("CropHeatmapCrossEntropy.outside", outside, _OUTSIDE)
        self.reduction = one_of("CropHeatmapCrossEntropy.reduction", reduction, REDUCTIONS)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        valid = target.keypoints_valid[:, 0]
        wrist = labelled(target.keypoints[:, 0], valid)
        centers = {name: prediction.aux[f"heatmap_{name}"] for name in ("columns", "rows")}
        place = []
        for position, name in zip(wrist.unbind(-1), ("columns", "rows"), strict=True):
            if self.outside == "skip":
                valid = valid * within_grid(position, centers[name])
            elif self.outside == "clamp":
                position = position.clamp(centers[name].amin(-1), centers[name].amax(-1))
            place.append(position)
        spread = crop_target(
            torch.stack(place, dim=-1), **centers, sigma=self.sigma, fading=self.outside == "vanish"
        )
        errors = -(spread * prediction.aux["log_heatmap_crop"]).sum((-2, -1))
        return reduce_errors(errors, valid, self.reduction)


def crop_target(
    wrist: Tensor, columns: Tensor, rows: Tensor, *, sigma: float, fading: bool = False
) -> Tensor:
    """A discrete Gaussian about a point of the crop, summing to 1 over the cells.

    wrist: (B, 2) px. columns: (B, C) px. rows: (B, R) px. sigma: px. returns: (B, R, C).
    fading: normalise as released, exp / (sum exp + 1e-9), which fades to 0 far from every cell.
    """
    x, y = (
        -(position[:, None] - centers).square() / (2 * sigma**2)
        for position, centers in zip(wrist.unbind(-1), (columns, rows), strict=True)
    )
    if fading:
        density = (y[:, :, None] + x[:, None, :]).exp()
        return density / (density.sum((-2, -1), keepdim=True) + 1e-9)
    return y.softmax(-1)[:, :, None] * x.softmax(-1)[:, None, :]
