"""Losses of heads that refine a first guess: on that guess, and on how unusual a shape is."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.geometry.representation import REPRESENTATIONS
from zoo.losses.reduce import REDUCTIONS, Reduction, in_float32, labelled, one_of, reduce_errors


class CoarseHandLoss(nn.Module):
    """Squared errors of the first guess: of its rotations' numbers and of its betas, added (UTNet).

    representation: a name of `zoo.geometry.representation`, the same as the head's.
    """

    def __init__(
        self,
        *,
        weight: float,
        representation: Literal["rotvec", "rot6d_columns", "rot6d_rows", "quat"] = "rotvec",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        known = tuple(REPRESENTATIONS)
        chosen = one_of("CoarseHandLoss.representation", representation, known)
        self.weight, self.representation = weight, REPRESENTATIONS[chosen]
        self.pose_name = f"coarse_pose_{chosen}"
        self.needs = frozenset({self.pose_name, "coarse_betas"})
        self.reduction = one_of("CoarseHandLoss.reduction", reduction, REDUCTIONS)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        valid = target.has_mano
        rotmats = labelled(target.rotmats, valid)
        label = labelled(self.representation.from_rotmat(rotmats), valid)
        pose = (prediction.aux[self.pose_name] - label).square()
        betas = (prediction.aux["coarse_betas"] - labelled(target.betas, valid)).square()
        terms = (reduce_errors(errors, valid, self.reduction) for errors in (pose, betas))
        return sum(terms)


class ShapePrior(nn.Module):
    """The mean square of the predicted betas, labelled or not (UTNet)."""

    needs: frozenset[str] = frozenset()

    def __init__(self, *, weight: float) -> None:
        super().__init__()
        self.weight = weight

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        return prediction.betas.square().mean()
