"""The loss in the picture: projected joints against labelled keypoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.losses.reduce import REDUCTIONS, Reduction, in_float32, labelled, one_of, reduce_errors


class Reprojection(nn.Module):
    """L1 between projected joints and labelled keypoints of the crop, per coordinate.

    A joint nearer than `nearest` m (or behind the camera) is projected as if it were at that depth,
    so that a wild first guess gives large but finite gradients. None projects whatever is there,
    as HaMeR does: under its far camera a scale may pass through zero without harm, and a hand
    held at `nearest` would cost thousands of crops.

    crop_width: px that count as 1 (HaMeR: the side of the crop); None keeps pixels (CS-ViT2).
    knee: px from which on the error grows with its logarithm only, see `robust_l1`; None is
    plain L1.
    measured_cameras_only: leave out hands whose camera is assumed (CS-ViT2).
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        weight: float,
        crop_width: float | None = None,
        knee: float | None = None,
        nearest: float | None = 0.01,
        reduction: Reduction = "mean",
        measured_cameras_only: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("crop_width", crop_width), ("knee", knee), ("nearest", nearest)):
            if value is not None and not value > 0:
                raise ValueError(f"Reprojection.{name} is {value}; it has to be positive.")
        self.weight = weight
        self.crop_width, self.knee, self.nearest = crop_width, knee, nearest
        self.reduction = one_of("Reprojection.reduction", reduction, REDUCTIONS)
        self.measured_cameras_only = measured_cameras_only

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        valid = target.keypoints_valid
        if self.measured_cameras_only:
            valid = valid * (target.has_intrinsics > 0)[:, None]
        keypoints = project(mesh.joints, prediction.camera.intrinsics, min_depth=self.nearest)
        difference = keypoints - labelled(target.keypoints, valid)
        errors = difference.abs() if self.knee is None else robust_l1(difference, self.knee)
        return reduce_errors(errors / (self.crop_width or 1.0), valid, self.reduction)


def robust_l1(difference: Tensor, knee: float) -> Tensor:
    """|d| up to the knee, knee * (1 + ln(|d| / knee)) beyond; once differentiable everywhere.

    The logarithm is only taken of numbers from the knee on: its gradient at 0 is NaN even where
    another branch is selected. Source: CS-ViT2, reprojection loss of 2026-02-11.
    """
    size = difference.abs()
    beyond = knee * (1 + torch.log(size.clamp(min=knee) / knee))
    return torch.where(size <= knee, size, beyond)
