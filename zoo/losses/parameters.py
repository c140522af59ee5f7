"""Losses on MANO's own parameters: rotations and shape."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from zoo.contracts import NUM_ROTATIONS, HandMesh, HandTarget, Prediction
from zoo.geometry.representation import REPRESENTATIONS
from zoo.geometry.rotation import geodesic_angle, rotmat_to_rotvec
from zoo.losses.reduce import REDUCTIONS, Reduction, in_float32, labelled, one_of, reduce_errors

RotationKind = Literal["matrix_mse", "matrix_l1", "geodesic", "rotvec_l1"]
_KINDS = ("matrix_mse", "matrix_l1", "geodesic", "rotvec_l1")
_PARTS = {"all": slice(0, NUM_ROTATIONS), "global": slice(0, 1), "hand": slice(1, NUM_ROTATIONS)}


class RotationLoss(nn.Module):
    """How far the predicted rotations are from the labelled ones, where a hand has MANO labels.

    kind: "matrix_mse" and "matrix_l1" compare the nine numbers (HaMeR: matrix_mse, summed);
    "geodesic" is the angle between the two in rad; "rotvec_l1" compares axis-angle vectors of
    length at most pi (CS-ViT2), which jumps where a rotation passes pi.
    part: "global" (the wrist's turn into the camera), "hand" (the 15 fingers' joints) or "all".
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        weight: float,
        kind: RotationKind = "matrix_mse",
        part: Literal["all", "global", "hand"] = "all",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.kind = one_of("RotationLoss.kind", kind, _KINDS)
        self.part = one_of("RotationLoss.part", part, tuple(_PARTS))
        self.reduction = one_of("RotationLoss.reduction", reduction, REDUCTIONS)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        chosen = _PARTS[self.part]
        label = labelled(target.rotmats, target.has_mano)[:, chosen]
        errors = self._errors(prediction.rotmats[:, chosen], label)
        return reduce_errors(errors, target.has_mano, self.reduction)

    def _errors(self, rotmats: Tensor, label: Tensor) -> Tensor:
        if self.kind == "matrix_mse":
            return (rotmats - label).square()
        if self.kind == "matrix_l1":
            return (rotmats - label).abs()
        if self.kind == "geodesic":
            return geodesic_angle(rotmats, label)
        return (rotmat_to_rotvec(rotmats) - rotmat_to_rotvec(label)).abs()


class PoseNumbersLoss(nn.Module):
    """How far the numbers a head wrote for its rotations are from those of the label.

    They are compared as they left the network, before they are made rotations (CS-ViT2, whose
    theta loss sees raw numbers). Under doubt about the orientation the best numbers are then an
    average, as in any regression; a rotation has no such average, so a model from scratch learns
    nothing for long from losses on rotations alone.

    representation: a name of `zoo.geometry.representation`. Of a head that writes its rotations in
        another one, the rotations are compared, written in this one.
    norm: "l1" (CS-ViT2) or "l2", the square.
    estimate: "final", or "coarse" for the hand a refining head starts from.
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        weight: float,
        representation: str = "rot6d_columns",
        norm: Literal["l1", "l2"] = "l1",
        part: Literal["all", "global", "hand"] = "all",
        estimate: Literal["final", "coarse"] = "final",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        known = tuple(REPRESENTATIONS)
        self.weight = weight
        self.representation = one_of("PoseNumbersLoss.representation", representation, known)
        self.norm = one_of("PoseNumbersLoss.norm", norm, ("l1", "l2"))
        self.part = one_of("PoseNumbersLoss.part", part, tuple(_PARTS))
        self.coarse = one_of("PoseNumbersLoss.estimate", estimate, ("final", "coarse")) == "coarse"
        if self.coarse:
            self.needs = frozenset({f"coarse_pose_{representation}"})
        self.reduction = one_of("PoseNumbersLoss.reduction", reduction, REDUCTIONS)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        chosen = _PARTS[self.part]
        label = REPRESENTATIONS[self.representation].from_rotmat(target.rotmats[:, chosen])
        label = labelled(label, target.has_mano)
        if self.coarse:
            numbers = prediction.aux[f"coarse_pose_{self.representation}"]
        else:
            numbers = pose_numbers(prediction, self.representation)
        difference = numbers[:, chosen] - label
        errors = difference.square() if self.norm == "l2" else difference.abs()
        return reduce_errors(errors, target.has_mano, self.reduction)


def pose_numbers(prediction: Prediction, representation: str) -> Tensor:
    """(B, K, width) the rotations as numbers: as the head wrote them, or else written anew."""
    written = prediction.aux.get(f"pose_{representation}")
    if written is not None:
        return written
    return REPRESENTATIONS[representation].from_rotmat(prediction.rotmats)


class BetasLoss(nn.Module):
    """How far the ten shape numbers are from the labelled ones, where a hand has MANO labels.

    norm: "l2" squares each (HaMeR, summed), "l1" takes its size (CS-ViT2).
    hands: "labelled", or "unlabelled" to draw the betas of the others to zero (HaMeR does so by
        giving them a label of zeros).
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        weight: float,
        norm: Literal["l1", "l2"] = "l2",
        hands: Literal["labelled", "unlabelled"] = "labelled",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.norm = one_of("BetasLoss.norm", norm, ("l1", "l2"))
        self.hands = one_of("BetasLoss.hands", hands, ("labelled", "unlabelled"))
        self.reduction = one_of("BetasLoss.reduction", reduction, REDUCTIONS)

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        difference = prediction.betas - labelled(target.betas, target.has_mano)
        errors = difference.square() if self.norm == "l2" else difference.abs()
        valid = target.has_mano
        if self.hands == "unlabelled":
            valid = (valid <= 0).to(valid.dtype)
        return reduce_errors(errors, valid, self.reduction)
