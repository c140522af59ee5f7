"""Joint and keypoint errors, one definition each, in mm or px."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.contracts import HandMesh, HandTarget
from zoo.geometry.alignment import align

MM_PER_M = 1000.0
MIN_POINTS_TO_ALIGN = 3  # two points leave a rotation free

Frame = Literal["camera", "wrist", "procrustes"]
Compared = tuple[Tensor, Tensor, Tensor]  # prediction, label, validity


class MPJPE:
    """Mean joint error in the camera's frame: position, size and pose together.

    Counts hands whose camera was measured: under an assumed one the labelled depth is arbitrary.
    """

    name = "mpjpe_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        return mean_error(*in_camera(mesh, target), MM_PER_M)


class RootMPJPE:
    """Mean joint error after each hand's own wrist is moved to the origin.

    No rotation, no scaling; the wrist itself counts as a joint, with error 0. A hand whose wrist
    is not labelled does not count.
    """

    name = "root_mpjpe_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        return mean_error(*from_wrist(mesh, target), MM_PER_M)


class PAMPJPE:
    """Mean joint error after the best similarity (Procrustes, rotation without reflection).

    Counts hands with at least three labelled joints.
    """

    name = "pa_mpjpe_mm"
    similarity_invariant: ClassVar[bool] = True

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        return mean_error(*after_procrustes(mesh, target), MM_PER_M)


class RTE:
    """Root translation error: how far the wrist is from its labelled place in the camera's frame.

    Counts hands whose wrist is labelled and whose camera was measured.
    """

    name = "rte_mm"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        predicted, label, valid = in_camera(mesh, target)
        return mean_error(predicted[:, :1], label[:, :1], valid[:, :1], MM_PER_M)


class KeypointError:
    """Mean distance between projected joints and labelled keypoints, in pixels of the crop."""

    name = "keypoint_px"

    def __call__(self, mesh: HandMesh, target: HandTarget) -> tuple[Tensor, Tensor]:
        return mean_error(mesh.keypoints, target.keypoints, target.keypoints_valid, 1.0)


def in_camera(mesh: HandMesh, target: HandTarget) -> Compared:
    """Joints as they stand in the camera's frame, of hands whose camera was measured.

    returns: (B, J, 3) m, (B, J, 3) m, (B, J).
    """
    return mesh.joints, target.joints, in_measured_camera(target.joints_valid, target)


def from_wrist(mesh: HandMesh, target: HandTarget) -> Compared:
    """Joints minus each hand's own wrist, of hands whose wrist is labelled; as `in_camera`."""
    valid = target.joints_valid * (target.joints_valid[:, :1] > 0)
    return mesh.joints - mesh.joints[:, :1], target.joints - target.joints[:, :1], valid


def after_procrustes(mesh: HandMesh, target: HandTarget) -> Compared:
    """Joints after the best similarity, of hands with enough labels; as `in_camera`."""
    valid = alignable(target.joints_valid)
    return best_similarity(mesh.joints, target.joints, valid), target.joints, valid


COMPARED_JOINTS: dict[Frame, Callable[[HandMesh, HandTarget], Compared]] = {
    "camera": in_camera,
    "wrist": from_wrist,
    "procrustes": after_procrustes,
}
NAME_PREFIX: dict[Frame, str] = {"camera": "", "wrist": "root_", "procrustes": "pa_"}


def mean_error(
    predicted: Tensor, label: Tensor, valid: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Mean distance over each hand's labels, and how many there are.

    predicted, label: (B, N, 2 or 3). valid: (B, N), valid where positive. scale: unit of the
    result in one unit of the points.
    returns: (B,) float64, NaN where a hand has no label; (B,) int64.
    """
    return mean_of_labels(distances(predicted, label, valid) * scale, valid)


def distances(predicted: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """Euclidean distances in float64; ValueError where shapes would broadcast.

    predicted, label: (B, N, 2 or 3). valid: (B, N). returns: (B, N), arbitrary where not valid.
    """
    if predicted.shape != label.shape or label.shape[:2] != valid.shape:
        raise ValueError(
            f"A metric got predictions of shape {tuple(predicted.shape)}, labels of shape "
            f"{tuple(label.shape)} and validity of shape {tuple(valid.shape)}; they have to "
            "agree, no broadcasting is done."
        )
    return torch.linalg.vector_norm(predicted.double() - label.double(), dim=-1)


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


def best_similarity(predicted: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """The prediction after the similarity that brings it closest to the labels, in float64.

    predicted, label: (B, N, 3). valid: (B, N), valid where positive.
    """
    chosen = (valid > 0).double()
    return align(predicted.double(), label.double(), chosen, scale=True, rotate=True)
