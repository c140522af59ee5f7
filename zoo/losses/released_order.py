"""UTNet's losses in space and in the picture, with the joint order of its release to switch."""

from __future__ import annotations

import dataclasses
from typing import Literal

from torch import Tensor

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.losses.joints import RootRelativeJointLoss
from zoo.losses.reduce import Norm, Reduction, Unit, one_of
from zoo.losses.reprojection import Reprojection

Order = Literal["as_released", "corrected"]
_ORDERS = ("as_released", "corrected")

# The joint (OpenPose's order) that stands where the label of joint j stands: the release believes
# MANO to put a finger's tip behind its three joints, its labels have all five tips at the end.
RELEASED_ORDER = (0, 13, 14, 15, 20, 5, 6, 7, 16, 4, 9, 10, 1, 18, 19, 12, 3, 11, 8, 17, 2)


def as_ordered(mesh: HandMesh, order: Order) -> HandMesh:
    """The hand as the losses compare it with its label."""
    if order == "corrected":
        return mesh
    chosen = list(RELEASED_ORDER)
    return dataclasses.replace(
        mesh, joints=mesh.joints[:, chosen], keypoints=mesh.keypoints[:, chosen]
    )


class OrderedJointLoss(RootRelativeJointLoss):
    """The wrist-relative error of the joints, as UTNet takes it.

    order: "as_released" compares joints with the labels of others; only four of 21 agree, and a
        perfect hand is 58 mm wrong.
    The other arguments are RootRelativeJointLoss's.
    """

    def __init__(
        self,
        *,
        weight: float,
        order: Order = "corrected",
        norm: Norm = "l1",
        unit: Unit = "m",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight=weight, norm=norm, unit=unit, reduction=reduction)
        self.order = one_of("OrderedJointLoss.order", order, _ORDERS)

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        return super().forward(prediction, as_ordered(mesh, self.order), target)


class OrderedReprojection(Reprojection):
    """The error of the projected joints, as UTNet takes it.

    order: see OrderedJointLoss. The other arguments are Reprojection's.
    """

    def __init__(
        self,
        *,
        weight: float,
        order: Order = "corrected",
        crop_width: float | None = None,
        nearest: float | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(weight=weight, crop_width=crop_width, nearest=nearest, reduction=reduction)
        self.order = one_of("OrderedReprojection.order", order, _ORDERS)

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        return super().forward(prediction, as_ordered(mesh, self.order), target)
