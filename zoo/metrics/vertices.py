"""Surface errors, one definition each, in mm; F-scores are shares."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from zoo.contracts import HandMesh, HandTarget
from zoo.metrics.joints import (
    MM_PER_M,
    best_similarity,
    in_measured_camera,
    mean_error,
)


class MPVPE:
    """Mean vertex error in the camera's frame, of hands whose camera was measured."""

    name = "mpvpe_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        label, valid = labelled_surface(mesh, target)
        return mean_error(mesh.vertices, label, in_measured_camera(valid, target), MM_PER_M)


class RootMPVPE:
    """Mean vertex error after each hand's own wrist joint is moved to the origin."""

    name = "root_mpvpe_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        label, valid = labelled_surface(mesh, target)
        valid = valid * (target.joints_valid[:, :1] > 0)
        predicted = mesh.vertices - mesh.joints[:, :1]
        return mean_error(predicted, label - target.joints[:, :1], valid, MM_PER_M)


class PAMPVPE:
    """Mean vertex error after the best similarity of the vertices themselves."""

    name = "pa_mpvpe_mm"
    similarity_invariant: ClassVar[bool] = True

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        label, valid = labelled_surface(mesh, target)
        aligned = best_similarity(mesh.vertices, label, valid)
        return mean_error(aligned, label, valid, MM_PER_M)


class FScore:
    """Harmonic mean of the two shares of vertices with a neighbour closer than a threshold.

    A share of 0 to 1, larger is better; Procrustes-aligned first when `aligned`.
    Source: Knapitsch et al. 2017, as FreiHAND applies it (5 and 15 mm, strictly closer).
    """

    def __init__(self, *, threshold_mm: float, aligned: bool = False) -> None:
        self.threshold = threshold_mm / MM_PER_M
        self.similarity_invariant = aligned
        self.name = f"{'pa_' if aligned else ''}f_at_{threshold_mm:g}mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        label, valid = labelled_surface(mesh, target)
        predicted = mesh.vertices.double()
        if self.similarity_invariant:
            predicted = best_similarity(predicted, label, valid)
        else:
            valid = in_measured_camera(valid, target)
        counts = (valid > 0).any(-1).long()
        scores = predicted.new_full((len(counts),), torch.nan)
        for hand in counts.nonzero().flatten().tolist():
            scores[hand] = f_score(predicted[hand], label[hand].double(), self.threshold)
        return scores, counts


def f_score(predicted: Tensor, labelled: Tensor, threshold: float) -> Tensor:
    """F-score of two point sets.

    predicted: (N, 3). labelled: (M, 3). threshold: in their unit. returns: () in [0, 1].
    """
    precision, recall = close_shares(*nearest(predicted, labelled), threshold)
    return harmonic_mean(precision, recall)


def nearest(predicted: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """How far each point is from the nearest one of the other set.

    predicted: (N, 3). labelled: (M, 3). returns: (N,) of the predicted, (M,) of the labelled.
    """
    # the exact distance: the matrix-product shortcut is off by 0.1 mm in float32
    distances = torch.cdist(predicted, labelled, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.amin(1), distances.amin(0)


def close_shares(
    of_predicted: Tensor, of_labelled: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Precision and recall, () each: the shares of what `nearest` says below a threshold."""
    return (of_predicted < threshold).double().mean(), (of_labelled < threshold).double().mean()


def harmonic_mean(precision: Tensor, recall: Tensor) -> Tensor:
    """The F-score of two shares, 0 where both are."""
    total = precision + recall
    return torch.where(total > 0, 2 * precision * recall / total, torch.zeros_like(total))


def labelled_surface(mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
    """The labelled vertices and their validity, all invalid where nothing filled them in.

    returns: (B, V, 3) m; (B, V).
    """
    if target.vertices is None or target.vertices_valid is None:
        return torch.zeros_like(mesh.vertices), torch.zeros_like(mesh.vertices[..., 0])
    return target.vertices, target.vertices_valid[:, None].expand(target.vertices.shape[:2])
