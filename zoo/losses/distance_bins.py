"""Losses on the bins a head reads depth or distance from: which bin, and where inside it."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.losses.reduce import REDUCTIONS, Reduction, in_float32, labelled, one_of, reduce_errors

_AUX = ("logits", "residuals", "log_prior", "bin_centers", "box_edge")
_NEAREST = 1e-6  # m


class DistanceBinLoss(nn.Module):
    """How well ln(distance / prior) of the labelled wrist is said by bins and residuals.

    For heads with a DepthBinsCamera (quantity "depth") or a RayDistanceCamera ("distance"). Hands
    whose wrist is not labelled, not in front of the camera, or whose camera is assumed do not
    count. A label beyond the outermost bins counts as their outer border.

    part: "class" is the cross-entropy of the bin, "residual" a smooth L1 of the place inside the
        labelled bin, in bins.
    knee: of the smooth L1, in bins.
    min_keypoints, min_box_edge: leave out hands with fewer labelled keypoints, or a hand box whose
        shorter side is below so many px of the crop, whose box says little of their distance.
    """

    places_hand: ClassVar[bool] = True

    def __init__(
        self,
        *,
        weight: float,
        quantity: Literal["depth", "distance"] = "depth",
        part: Literal["class", "residual"] = "class",
        knee: float = 0.1,
        min_keypoints: int = 0,
        min_box_edge: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.weight, self.knee = weight, knee
        self.quantity = one_of("DistanceBinLoss.quantity", quantity, ("depth", "distance"))
        self.part = one_of("DistanceBinLoss.part", part, ("class", "residual"))
        self.min_keypoints, self.min_box_edge = min_keypoints, min_box_edge
        self.reduction = one_of("DistanceBinLoss.reduction", reduction, REDUCTIONS)
        self.needs = frozenset(f"{quantity}_{name}" for name in _AUX)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        logits, residuals, log_prior, centers, edge = (
            prediction.aux[f"{self.quantity}_{name}"] for name in _AUX
        )
        valid = target.joints_valid[:, 0] * (target.has_intrinsics > 0)
        wrist = labelled(target.joints[:, 0], valid)
        valid = valid * (wrist[:, 2] > 0) * (edge >= self.min_box_edge)
        valid = valid * ((target.keypoints_valid > 0).sum(-1) >= self.min_keypoints)
        far = wrist[:, 2] if self.quantity == "depth" else torch.linalg.vector_norm(wrist, dim=-1)
        log_ratio = torch.where(valid > 0, far.clamp(min=_NEAREST).log() - log_prior, centers[:, 0])
        number, residual = bin_of(log_ratio, centers)
        if self.part == "class":
            errors = F.cross_entropy(logits, number, reduction="none")
        else:
            said = residuals.gather(-1, number[:, None])[:, 0]
            errors = F.smooth_l1_loss(said, residual, beta=self.knee, reduction="none")
        return reduce_errors(errors, valid, self.reduction)


def bin_of(log_ratio: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """The bin a number falls into, and its place there from -0.5 to 0.5.

    log_ratio: (B,). centers: (B, K), evenly spaced. returns: (B,) int64, (B,) in bins.
    """
    width = centers[:, 1] - centers[:, 0]
    low, high = centers[:, 0] - width / 2, centers[:, -1] + width / 2
    inside = log_ratio.clamp(low, high)
    number = ((inside - low) / width).floor().long().clamp(0, centers.shape[-1] - 1)
    middle = centers.gather(-1, number[:, None])[:, 0]
    return number, (inside - middle) / width
