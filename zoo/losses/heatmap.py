"""Cross-entropy of the heat maps a head places the wrist with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.losses.reduce import REDUCTIONS, Reduction, in_float32, labelled, one_of, reduce_errors
from zoo.mano.hand_length import known_length

_AXES = ("x", "y", "z")
_OUTSIDE = ("skip", "clamp", "vanish")


class HeatmapCrossEntropy(nn.Module):
    """Cross-entropy between a Gaussian about the labelled wrist and the heat map of each axis.

    The sum over the axes. It does not reach 0: the Gaussian's own entropy remains. Hands whose
    wrist is not labelled do not count.

    sigma: m, or hand lengths, of the Gaussian; below half a bin the target is one bin.
    axes: of the heat maps; a camera that reads depth otherwise has x and y alone.
    norm_by_hand: the bins count hand lengths, and the labelled wrist is divided by the labelled
        hand's length (CS-ViT2 of February 2026); hands whose middle finger is not labelled do not
        count. Has to be what the camera's norm_by_hand is.
    measured_cameras_only: leave out hands whose camera is assumed, for their depth is too; CS-ViT2
        as released counts them.
    outside: what a wrist beyond the outermost bins does on that axis. "skip" leaves it out,
    "clamp" moves it to the outermost bin, "vanish" lets the Gaussian fade to nothing, so that the
    hand counts with an error of 0 (CS-ViT2 as published).
    Source: CS-ViT2, softmax target with sigma in the unit of the grid.
    """

    places_hand: ClassVar[bool] = True

    def __init__(
        self,
        *,
        weight: float,
        sigma: float,
        axes: Sequence[str] = _AXES,
        norm_by_hand: bool = False,
        measured_cameras_only: bool = True,
        outside: Literal["skip", "clamp", "vanish"] = "skip",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"HeatmapCrossEntropy.sigma is {sigma}; it has to be positive.")
        for axis in axes:
            one_of("HeatmapCrossEntropy.axes", axis, _AXES)
        self.weight, self.sigma = weight, sigma
        self.axes, self.norm_by_hand = tuple(axes), norm_by_hand
        self.measured_cameras_only = measured_cameras_only
        self.centers = "heatmap_lengths" if norm_by_hand else "heatmap_centers"
        self.needs = frozenset(
            f"{name}_{axis}" for name in ("log_heatmap", self.centers) for axis in axes
        )
        self.outside = one_of("HeatmapCrossEntropy.outside", outside, _OUTSIDE)
        self.reduction = one_of("HeatmapCrossEntropy.reduction", reduction, REDUCTIONS)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        labelled_wrist = target.joints_valid[:, 0]
        if self.measured_cameras_only:
            labelled_wrist = labelled_wrist * (target.has_intrinsics > 0)
        wrist = labelled(target.joints[:, 0], labelled_wrist)
        if self.norm_by_hand:
            length, known = known_length(target.joints, target.joints_valid)
            wrist, labelled_wrist = wrist / length[:, None], labelled_wrist * known
        total = wrist.new_zeros(())
        for name in self.axes:
            log_heatmap = prediction.aux[f"log_heatmap_{name}"]
            centers = prediction.aux[f"{self.centers}_{name}"].expand_as(log_heatmap)
            position, valid = wrist[:, _AXES.index(name)], labelled_wrist
            if self.outside == "skip":
                valid = valid * within_grid(position, centers)
            elif self.outside == "clamp":
                position = position.clamp(centers.amin(-1), centers.amax(-1))
            spread = gaussian_target(
                position, centers, self.sigma, vanishing=self.outside == "vanish"
            )
            error = -(spread * log_heatmap).sum(-1)
            total = total + reduce_errors(error, valid, self.reduction)
        return total


def within_grid(position: Tensor, centers: Tensor) -> Tensor:
    """True where a coordinate lies in some bin of its axis.

    position: (B,) m. centers: (B, N) m, evenly spaced. returns: (B,) bool.
    """
    low, high = centers.amin(-1), centers.amax(-1)
    half_bin = (high - low) / (2 * max(centers.shape[-1] - 1, 1))
    return (position >= low - half_bin) & (position <= high + half_bin)


def gaussian_target(
    position: Tensor, centers: Tensor, sigma: float, *, vanishing: bool = False
) -> Tensor:
    """A discrete Gaussian about a coordinate, summing to 1 over the bins.

    position: (B,) m. centers: (B, N) m. sigma: m. returns: (B, N).
    vanishing: normalise as published, exp / (sum exp + 1e-9), which fades to 0 for a coordinate
    more than a few sigma from every centre.
    """
    exponent = -(position[:, None] - centers).square() / (2 * sigma**2)
    if vanishing:
        density = exponent.exp()
        return density / (density.sum(-1, keepdim=True) + 1e-9)
    return torch.softmax(exponent, dim=-1)
