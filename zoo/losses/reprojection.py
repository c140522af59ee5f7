"""The loss in the picture: projected joints against labelled keypoints."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.losses.hand_scale import HAND_SCALES, HandScale, as_placed_by
from zoo.losses.reduce import REDUCTIONS, Reduction, in_float32, labelled, one_of, reduce_errors

_NEAREST = 1e-11  # m; a joint without label is a zero, which no camera can see


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
    joints: "all", or the "wrist" alone, which tells where a hand is seen and not how it is posed.
    target: the labelled "keypoints", or the labelled "joints" as the true camera sees them
        (CS-ViT2, whose labels of both kinds agree).
    detach_position: no gradient reaches the wrist's place in space (CS-ViT2 meant this and
        released a version that did not do it).
    hand_scale: under a camera with norm_by_hand, whose length makes hand lengths metres: the
        "predicted" hand's, as in use, or the "label"'s (CS-ViT2 as released; hands whose middle
        finger is not labelled then do not count).
    """

    places_hand: ClassVar[bool] = True

    def __init__(
        self,
        *,
        weight: float,
        crop_width: float | None = None,
        knee: float | None = None,
        nearest: float | None = 0.01,
        reduction: Reduction = "mean",
        measured_cameras_only: bool = False,
        joints: Literal["all", "wrist"] = "all",
        target: Literal["keypoints", "joints"] = "keypoints",
        detach_position: bool = False,
        hand_scale: HandScale = "predicted",
    ) -> None:
        super().__init__()
        for name, value in (("crop_width", crop_width), ("knee", knee), ("nearest", nearest)):
            if value is not None and not value > 0:
                raise ValueError(f"Reprojection.{name} is {value}; it has to be positive.")
        self.weight = weight
        self.crop_width, self.knee, self.nearest = crop_width, knee, nearest
        self.reduction = one_of("Reprojection.reduction", reduction, REDUCTIONS)
        self.measured_cameras_only, self.detach_position = measured_cameras_only, detach_position
        self.hand_scale = one_of("Reprojection.hand_scale", hand_scale, tuple(HAND_SCALES))
        self.needs = HAND_SCALES[hand_scale]
        chosen = one_of("Reprojection.joints", joints, ("all", "wrist"))
        self.chosen = slice(None) if chosen == "all" else slice(1)
        self.target = one_of("Reprojection.target", target, ("keypoints", "joints"))

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        intrinsics = prediction.camera.intrinsics
        mesh, known = as_placed_by(self.hand_scale, prediction, mesh, target)
        keypoints = self._seen(mesh.joints, intrinsics)
        label, valid = self._label(target, intrinsics)
        valid = valid * known[:, None]
        if self.measured_cameras_only:
            valid = valid * (target.has_intrinsics > 0)[:, None]
        valid = valid[:, self.chosen]
        difference = keypoints - labelled(label[:, self.chosen], valid)
        errors = difference.abs() if self.knee is None else robust_l1(difference, self.knee)
        return reduce_errors(errors / (self.crop_width or 1.0), valid, self.reduction)

    def _seen(self, joints: Tensor, intrinsics: Tensor) -> Tensor:
        if self.detach_position:
            wrist = joints[:, :1]
            joints = joints - wrist + wrist.detach()
        return project(joints[:, self.chosen], intrinsics, min_depth=self.nearest)

    def _label(self, target: HandTarget, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
        if self.target == "keypoints":
            return target.keypoints, target.keypoints_valid
        joints = labelled(target.joints, target.joints_valid)
        return project(joints, intrinsics, min_depth=self.nearest or _NEAREST), target.joints_valid


def robust_l1(difference: Tensor, knee: float) -> Tensor:
    """|d| up to the knee, knee * (1 + ln(|d| / knee)) beyond; once differentiable everywhere.

    The logarithm is only taken of numbers from the knee on: its gradient at 0 is NaN even where
    another branch is selected. Source: CS-ViT2, reprojection loss of 2026-02-11.
    """
    size = difference.abs()
    beyond = knee * (1 + torch.log(size.clamp(min=knee) / knee))
    return torch.where(size <= knee, size, beyond)
