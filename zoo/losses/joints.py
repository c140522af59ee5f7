"""Losses on the 21 joints in space: where the hand is, and how it is posed."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.losses.hand_scale import HAND_SCALES, HandScale, as_placed_by
from zoo.losses.reduce import (
    NORMS,
    REDUCTIONS,
    UNITS_PER_METRE,
    Norm,
    Reduction,
    Unit,
    distance,
    in_float32,
    labelled,
    one_of,
    reduce_errors,
)


class JointLoss(nn.Module):
    """The error of the joints in the camera's frame: position, size and pose together.

    unit: "m" or "mm", whichever the paper's weight was written for.
    measured_cameras_only: leave out hands whose camera is assumed, for their depth is too.
    hand_scale: under a camera with norm_by_hand, whose length makes hand lengths metres: the
        "predicted" hand's, as in use, or the "label"'s (CS-ViT2 as released; hands whose middle
        finger is not labelled then do not count).
    """

    places_hand: ClassVar[bool] = True
    needs_true_camera: ClassVar[bool] = True

    def __init__(
        self,
        *,
        weight: float,
        norm: Norm = "l1",
        unit: Unit = "m",
        reduction: Reduction = "mean",
        measured_cameras_only: bool = False,
        hand_scale: HandScale = "predicted",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.hand_scale = one_of("JointLoss.hand_scale", hand_scale, tuple(HAND_SCALES))
        self.needs = HAND_SCALES[hand_scale]
        self.norm = one_of("JointLoss.norm", norm, NORMS)
        self.unit = one_of("JointLoss.unit", unit, tuple(UNITS_PER_METRE))
        self.reduction = one_of("JointLoss.reduction", reduction, REDUCTIONS)
        self.measured_cameras_only = measured_cameras_only

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        valid = target.joints_valid
        if self.measured_cameras_only:
            valid = valid * (target.has_intrinsics > 0)[:, None]
        mesh, known = as_placed_by(self.hand_scale, prediction, mesh, target)
        valid = valid * known[:, None]
        difference = mesh.joints - labelled(target.joints, valid)
        errors = distance(difference * UNITS_PER_METRE[self.unit], self.norm)
        return reduce_errors(errors, valid, self.reduction)


class RootRelativeJointLoss(nn.Module):
    """The error of the joints after each hand's own wrist is moved to the origin.

    Where the hand stands does not enter; a hand whose wrist is not labelled does not count.
    unlabelled_wrist: "use" takes a wrist that is stored but not marked valid for what it is, as
    HaMeR does; "skip" leaves such hands out.
    unit: "m" or "mm", whichever the paper's weight was written for.
    origin: "wrist", or "position", where the camera read-out placed it: the same numbers, but the
        place has no gradient, and with the hand's own `detach_wrist` neither has the wrist (CS-ViT2
        of February 2026). For heads that place the wrist.
    detach_wrist: no gradient passes through the predicted wrist, so that this term also pulls
    the hand as a whole.
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        weight: float,
        norm: Norm = "l1",
        unit: Unit = "m",
        reduction: Reduction = "mean",
        origin: Literal["wrist", "position"] = "wrist",
        detach_wrist: bool = False,
        unlabelled_wrist: Literal["skip", "use"] = "skip",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.unlabelled_wrist = one_of(
            "RootRelativeJointLoss.unlabelled_wrist", unlabelled_wrist, ("skip", "use")
        )
        self.norm = one_of("RootRelativeJointLoss.norm", norm, NORMS)
        self.unit = one_of("RootRelativeJointLoss.unit", unit, tuple(UNITS_PER_METRE))
        self.reduction = one_of("RootRelativeJointLoss.reduction", reduction, REDUCTIONS)
        self.detach_wrist = detach_wrist
        self.origin = one_of("RootRelativeJointLoss.origin", origin, ("wrist", "position"))

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        has_wrist = target.joints_valid[:, :1] > 0
        if self.unlabelled_wrist == "use":  # a label that is not there at all holds zeros
            stored = target.joints[:, :1]
            has_wrist = has_wrist | (stored.isfinite().all(-1) & (stored != 0).any(-1))
        valid = target.joints_valid * has_wrist
        label = labelled(target.joints, valid)
        wrist, label_wrist = mesh.joints[:, :1], labelled(target.joints[:, :1], has_wrist)
        if self.origin == "position" and prediction.camera.anchor == "wrist":
            wrist = prediction.camera.position[:, None]
            # The wrist is there but for rounding, whose sign L1 would pull by.
            moved = mesh.joints[:, 1:] - wrist
            relative = torch.cat((torch.zeros_like(wrist), moved), dim=1)
        else:
            relative = mesh.joints - (wrist.detach() if self.detach_wrist else wrist)
        difference = relative - (label - label_wrist)
        errors = distance(difference * UNITS_PER_METRE[self.unit], self.norm)
        return reduce_errors(errors, valid, self.reduction)
