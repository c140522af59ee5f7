"""Shares of joints that are close enough, at one threshold and over all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.contracts import HandMesh, HandTarget
from zoo.metrics.joints import (
    COMPARED_JOINTS,
    MM_PER_M,
    NAME_PREFIX,
    Frame,
    distances,
    mean_of_labels,
)

FREIHAND_STEPS = 100  # 101 thresholds, HOT3D's choice, differ by 1e-4


class PCK:
    """The share of joints at most `threshold_mm` off, 0 to 1, larger is better.

    frame: "camera" as it stands, "wrist" after each wrist is moved to the origin, "procrustes"
    after the best similarity.
    """

    def __init__(self, *, threshold_mm: float, frame: Frame = "camera") -> None:
        self.threshold_mm, self.frame = threshold_mm, _known(frame)
        self.similarity_invariant = frame == "procrustes"
        self.name = f"{NAME_PREFIX[frame]}pck_at_{threshold_mm:g}mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        errors, valid = _errors_mm(mesh, target, self.frame)
        return mean_of_labels((errors <= self.threshold_mm).double(), valid)


class AUC:
    """The area under the share of close joints over thresholds of 0 to `max_mm`, 0 to 1.

    Evenly spaced thresholds, both ends included, trapezoid rule; FreiHAND, HO-3D and DexYCB use
    100 of them up to 50 mm. frame: as for PCK.
    """

    def __init__(
        self, *, max_mm: float = 50.0, steps: int = FREIHAND_STEPS, frame: Frame = "camera"
    ) -> None:
        self.thresholds = torch.linspace(0, max_mm, steps, dtype=torch.float64)
        self.frame = _known(frame)
        self.similarity_invariant = frame == "procrustes"
        self.name = f"{NAME_PREFIX[frame]}auc_to_{max_mm:g}mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        errors, valid = _errors_mm(mesh, target, self.frame)
        thresholds = self.thresholds.to(errors.device)
        close = (errors[..., None] <= thresholds).double()
        return mean_of_labels(area_under(close, thresholds), valid)


def pck_curve(errors: Tensor, valid: Tensor, thresholds: Tensor) -> Tensor:
    """The share of close labels over thresholds, as EvalUtil of FreiHAND reports it.

    The mean over joints of each joint's share among the samples that show it.

    errors: (N, J). valid: (N, J), valid where positive. thresholds: (T,) in the errors' unit.
    returns: (T,).
    """
    return pck_by_joint(errors, valid, thresholds).nanmean(0)


def pck_by_joint(errors: Tensor, valid: Tensor, thresholds: Tensor) -> Tensor:
    """(J, T): each joint's share of close labels over thresholds, NaN where none is labelled."""
    chosen = (valid > 0)[..., None]
    close = (errors[..., None] <= thresholds) & chosen
    return close.double().sum(0) / chosen.double().sum(0)


def area_under(curve: Tensor, thresholds: Tensor) -> Tensor:
    """The normalised area under curves over thresholds, trapezoid rule.

    curve: (..., T). thresholds: (T,). returns: (...), 1 for a curve that is 1 everywhere.
    """
    return torch.trapezoid(curve, thresholds, dim=-1) / (thresholds[-1] - thresholds[0])


def _errors_mm(mesh: HandMesh, target: HandTarget, frame: Frame) -> tuple[Tensor, Tensor]:
    predicted, label, valid = COMPARED_JOINTS[frame](mesh, target)
    return distances(predicted, label, valid) * MM_PER_M, valid


def _known(frame: Frame) -> Frame:
    if frame not in COMPARED_JOINTS:
        possible = ", ".join(map(repr, COMPARED_JOINTS))
        raise ValueError(f"A metric's frame is {frame!r}; choose one of {possible}.")
    return frame
