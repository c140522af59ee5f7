"""Losses on where the wrist stands, as plain numbers."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.geometry.representation import REPRESENTATIONS
from zoo.losses.parameters import pose_numbers
from zoo.losses.reduce import (
    REDUCTIONS,
    UNITS_PER_METRE,
    Reduction,
    in_float32,
    labelled,
    one_of,
    reduce_errors,
)
from zoo.mano.hand_length import known_length

_UNITS = (*UNITS_PER_METRE, "hand")


class PositionLoss(nn.Module):
    """The error of the wrist's place in the camera, per coordinate.

    Hands whose wrist is not labelled do not count.

    norm: "l1" takes the size of each coordinate's error, "l2" squares it.
    unit: "m", "mm", or "hand" for a camera with norm_by_hand: hand lengths, the labelled wrist
        divided by the labelled hand's length (CS-ViT2); hands whose middle finger is not labelled
        then do not count either.
    measured_cameras_only: leave out hands whose camera is assumed, for their depth is too.
    """

    places_hand: ClassVar[bool] = True
    needs_true_camera: ClassVar[bool] = True

    def __init__(
        self,
        *,
        weight: float,
        norm: Literal["l1", "l2"] = "l1",
        unit: Literal["m", "mm", "hand"] = "m",
        measured_cameras_only: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.norm = one_of("PositionLoss.norm", norm, ("l1", "l2"))
        self.unit = one_of("PositionLoss.unit", unit, _UNITS)
        self.needs = frozenset({"wrist_in_hands"} if unit == "hand" else ())
        self.measured_cameras_only = measured_cameras_only
        self.reduction = one_of("PositionLoss.reduction", reduction, REDUCTIONS)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        valid = target.joints_valid[:, 0]
        if self.measured_cameras_only:
            valid = valid * (target.has_intrinsics > 0)
        label = labelled(target.joints[:, 0], valid)
        if self.unit == "hand":
            length, known = known_length(target.joints, target.joints_valid)
            valid = valid * known
            difference = prediction.aux["wrist_in_hands"] - label / length[:, None]
        else:
            difference = (wrist_of(prediction, mesh) - label) * UNITS_PER_METRE[self.unit]
        errors = difference.abs() if self.norm == "l1" else difference.square()
        return reduce_errors(errors, valid, self.reduction)


class ParameterLoss(nn.Module):
    """The mean error of rotation vectors, betas and the wrist in mm, all 61 numbers alike.

    CS-ViT2's first version as released: radians, betas and millimetres in one mean, which the
    three millimetres rule; `pose_numbers`, `betas` and `position` weigh them one by one.

    norm: "l1" or "l2", the square.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    places_hand: ClassVar[bool] = True
    needs_true_camera: ClassVar[bool] = True

    def __init__(
        self,
        *,
        weight: float,
        norm: Literal["l1", "l2"] = "l1",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.norm = one_of("ParameterLoss.norm", norm, ("l1", "l2"))
        self.reduction = one_of("ParameterLoss.reduction", reduction, REDUCTIONS)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        valid = target.has_mano * (target.joints_valid[:, 0] > 0)
        rotvec = REPRESENTATIONS["rotvec"].from_rotmat(target.rotmats).flatten(1)
        wrist = wrist_of(prediction, mesh) - labelled(target.joints[:, 0], valid)
        difference = torch.cat(
            (
                pose_numbers(prediction, "rotvec").flatten(1) - labelled(rotvec, valid),
                prediction.betas - labelled(target.betas, valid),
                wrist * UNITS_PER_METRE["mm"],
            ),
            dim=-1,
        )
        errors = difference.abs() if self.norm == "l1" else difference.square()
        return reduce_errors(errors, valid, self.reduction)


def wrist_of(prediction: Prediction, mesh: HandMesh) -> Tensor:
    """(B, 3) m, camera: where the head placed the wrist, or the posed wrist of another anchor."""
    if prediction.camera.anchor == "wrist":
        return prediction.camera.position
    return mesh.joints[:, 0]
