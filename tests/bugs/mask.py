"""Bugs of masks: what is not labelled counts, is read, or divides by nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import Fault, Plant, with_config, with_settings
from zoo.contracts import HandMesh, HandTarget, Prediction


class _JointErrors(nn.Module):
    """Absolute joint errors; how they are reduced is what is broken."""

    needs: frozenset[str] = frozenset()

    def __init__(self, *, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        """The reduced error of every joint, (B, 21)."""
        label = torch.where(target.joints_valid[..., None] > 0, target.joints, 0.0)
        return self.reduce((mesh.joints - label).abs().sum(-1), target.joints_valid)

    def reduce(self, errors: Tensor, valid: Tensor) -> Tensor:
        """errors, valid: (B, 21)."""
        return (errors * valid).sum() / valid.sum().clamp(min=1)


class Multiplied(_JointErrors):
    """Multiplies by the mask, which leaves NaN what it is."""

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        """As `reduce` of errors against labels as they are."""
        return self.reduce((mesh.joints - target.joints).abs().sum(-1), target.joints_valid)


class Unmasked(_JointErrors):
    """Forgets the mask."""

    def reduce(self, errors: Tensor, valid: Tensor) -> Tensor:
        return errors.mean()


class Diluted(_JointErrors):
    """Averages over every label, those that are not there included."""

    def reduce(self, errors: Tensor, valid: Tensor) -> Tensor:
        return (errors * valid).mean()


class DividedByNothing(_JointErrors):
    """Divides by the number of labels, zero too."""

    def reduce(self, errors: Tensor, valid: Tensor) -> Tensor:
        return (errors * valid).sum() / valid.sum()


class FirstMask(_JointErrors):
    """Broadcasts the mask of the first hand over all."""

    def reduce(self, errors: Tensor, valid: Tensor) -> Tensor:
        return (errors * valid[:1]).sum() / valid[:1].expand_as(errors).sum().clamp(min=1)


class EveryPair(_JointErrors):
    """Compares every hand with every label: (B, 1, J) against (B, J)."""

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        """The mean over hands, labels and joints."""
        label = torch.where(target.joints_valid[..., None] > 0, target.joints, 0.0)
        errors = (mesh.joints[:, None] - label).abs().sum(-1)
        return (errors * target.joints_valid).sum() / (
            target.joints_valid.sum().clamp(min=1) * len(errors)
        )


class WholeHands(_JointErrors):
    """Looks only at whether a hand has any label, not at which."""

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        """The mean over hands with a label."""
        errors = (mesh.joints - target.joints).abs().sum(-1)
        has_label = (target.joints_valid > 0).any(-1)
        errors = torch.where(has_label[:, None], errors, torch.zeros_like(errors))
        return errors.mean(-1).sum() / has_label.sum().clamp(min=1)


class NoTips(_JointErrors):
    """Reads MANO's sixteen of the 21 joints, as if the tips came last."""

    def reduce(self, errors: Tensor, valid: Tensor) -> Tensor:
        return super().reduce(errors[:, :16], valid[:, :16])


class ByRootOfBatch(_JointErrors):
    """Multiplies the mean with the square root of the number of hands."""

    def reduce(self, errors: Tensor, valid: Tensor) -> Tensor:
        return super().reduce(errors, valid) * len(errors) ** 0.5


_PATH = "model.losses.joints"


def _joints(kind: type[nn.Module]) -> Plant:
    """Plants a joint loss of a broken kind."""

    def change(config: dict[str, Any]) -> None:
        config["model"]["losses"]["joints"] = {"type": kind, "weight": 0.01}

    return with_config(change)


FAULTS = (
    Fault(
        "mask-multiplied-not-selected",
        _joints(Multiplied),
        ("mask.unread", _PATH),
        "NaN times 0 is NaN: a label that is not valid poisons the step (P-01).",
    ),
    Fault(
        "mask-forgotten",
        _joints(Unmasked),
        ("mask.copies", _PATH),
        "Zeros of unlabelled hands are learned as labels.",
    ),
    Fault(
        "mask-diluted",
        _joints(Diluted),
        ("mask.copies", _PATH),
        "The mean runs over unlabelled hands too, so the weight depends on the mixture (P-18).",
    ),
    Fault(
        "mask-diluted-as-published",
        with_settings("model.losses.reprojection.reduction='batch_mean'"),
        ("mask.copies", "model.losses.reprojection"),
        "The same with the zoo's own switch for it (P-18).",
    ),
    Fault(
        "mask-divides-by-nothing",
        _joints(DividedByNothing),
        ("mask.empty", _PATH),
        "A batch without labels gives 0 / 0.",
    ),
    Fault(
        "mask-of-the-first-hand",
        _joints(FirstMask),
        ("mask.own", _PATH),
        "A mask broadcasts along the wrong axis (P-08).",
    ),
    Fault(
        "every-hand-against-every-label",
        _joints(EveryPair),
        ("mask.alone", _PATH),
        "Prediction and label broadcast to (B, B) without a word (P-06).",
    ),
    Fault(
        "weight-by-the-size-of-the-batch",
        _joints(ByRootOfBatch),
        ("mask.alone", _PATH),
        "Another batch size is another weight of this term.",
    ),
    Fault(
        "last-five-joints-forgotten",
        _joints(NoTips),
        ("mask.complete", _PATH),
        "A slice for MANO's 16 joints leaves out the pinky of OpenPose's 21.",
    ),
    Fault(
        "mask-by-whole-hands",
        _joints(WholeHands),
        ("mask.unread", _PATH),
        "Single joints that are not labelled are read.",
    ),
)
