"""Joint and keypoint errors, one definition each, in mm or px."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from zoo.contracts import HandMesh, HandTarget
from zoo.geometry.alignment import align

MM_PER_M = 1000.0
MIN_POINTS_TO_ALIGN = 3  # two points leave a rotation free


class MPJPE:
    """Mean joint error in the camera's frame: position, size and pose together.

    Counts hands whose camera was measured: under an assumed one the labelled depth is arbitrary.
    """

    name = "mpjpe_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        valid = in_measured_camera(target.joints_valid, target)
        return mean_error(mesh.joints, target.joints, valid, MM_PER_M)


class RootMPJPE:
    """Mean joint error after each hand's own wrist is moved to the origin.

    No rotation, no scaling; the wrist itself counts as a joint, with error 0. A hand whose wrist
    is not labelled does not count.
    """

    name = "root_mpjpe_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        valid = target.joints_valid * (target.joints_valid[:, :1] > 0)
        predicted = mesh.joints - mesh.joints[:, :1]
        return mean_error(predicted, target.joints - target.joints[:, :1], valid, MM_PER_M)


class PAMPJPE:
    """Mean joint error after the best similarity (Procrustes, rotation without reflection).

    Counts hands with at least three labelled joints.
    """

    name = "pa_mpjpe_mm"
    similarity_invariant: ClassVar[bool] = True

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        valid = alignable(target.joints_valid)
        aligned = best_similarity(mesh.joints, target.joints, valid)
        return mean_error(aligned, target.joints, valid, MM_PER_M)


class RTE:
    """Root translation error: how far the wrist is from its labelled place in the camera's frame.

    Counts hands whose wrist is labelled and whose camera was measured.
    """

    name = "rte_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        valid = in_measured_camera(target.joints_valid[:, :1], target)
        return mean_error(mesh.joints[:, :1], target.joints[:, :1], valid, MM_PER_M)


class KeypointError:
    """Mean distance between projected joints and labelled keypoints, in pixels of the crop."""

    name = "keypoint_px"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        return mean_error(mesh.keypoints, target.keypoints, target.keypoints_valid, 1.0)


def mean_error(
    predicted: Tensor, labelled: Tensor, valid: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Mean distance over each hand's labels, and how many there are.

    predicted, labelled: (B, N, 2 or 3). valid: (B, N), valid where positive. scale: unit of the
    result in one unit of the points.
    returns: (B,) float64, NaN where a hand has no label; (B,) int64.
    """
    if predicted.shape != labelled.shape or labelled.shape[:2] != valid.shape:
        raise ValueError(
            f"A metric got predictions of shape {tuple(predicted.shape)}, labels of shape "
            f"{tuple(labelled.shape)} and validity of shape {tuple(valid.shape)}; they have to "
            "agree, no broadcasting is done."
        )
    errors = torch.linalg.vector_norm(predicted.double() - labelled.double(), dim=-1)
    return mean_of_labels(errors * scale, valid)


def mean_of_labels(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Each hand's mean over its valid labels (NaN without any), and their number.

    values, valid: (B, N). returns: (B,), (B,) int64.
    """
    chosen = valid > 0
    counts = chosen.sum(-1)
    total = torch.where(chosen, values, torch.zeros_like(values)).sum(-1)
    return total / counts, counts


def in_measured_camera(valid: Tensor, target: HandTarget) -> Tensor:
    """The validity (B, N) of labels in the camera's frame, 0 where the camera is assumed."""
    return valid * (target.has_intrinsics > 0)[:, None]


def alignable(valid: Tensor) -> Tensor:
    """The validity (B, N), 0 for hands with too few labels to fix a rotation."""
    chosen = valid > 0
    return chosen & (chosen.sum(-1, keepdim=True) >= MIN_POINTS_TO_ALIGN)


def best_similarity(predicted: Tensor, labelled: Tensor, valid: Tensor) -> Tensor:
    """The prediction after the similarity that brings it closest to the labels, in float64.

    predicted, labelled: (B, N, 3). valid: (B, N), valid where positive.
    """
    chosen = (valid > 0).double()
    return align(predicted.double(), labelled.double(), chosen, scale=True, rotate=True)
