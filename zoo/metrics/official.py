"""The scores of published benchmarks to the digit, for comparison with numbers in papers.

They differ from our metrics on purpose: Procrustes may reflect, thresholds and units are theirs.
All take points in metres, in the camera's frame, every joint labelled unless a validity is given.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.metrics.joints import MM_PER_M
from zoo.metrics.pck import FREIHAND_STEPS, area_under, pck_curve
from zoo.metrics.vertices import f_score

CM_PER_M = 100.0
MAX_ERROR = 0.05  # m, the last threshold of every curve
HO3D_MIDDLE_BASE = 4  # in MANO's order of joints, which HO-3D's files use
HOT3D_STEPS = 101


def freihand(
    joints: Tensor, vertices: Tensor, label_joints: Tensor, label_vertices: Tensor
) -> dict[str, float]:
    """The twelve scores of FreiHAND's leaderboard, errors in cm.

    joints, label_joints: (N, 21, 3) m. vertices, label_vertices: (N, 778, 3) m.
    Raises ValueError for another mesh, for which the official script gives no vertex errors.
    Source: lmb-freiburg/freihand eval.py at 5ea4ab9.
    """
    if vertices.shape != label_vertices.shape:
        raise ValueError(
            f"FreiHAND compares meshes of equal size, not {tuple(vertices.shape)} with "
            f"{tuple(label_vertices.shape)}; use MANO's 778 vertices."
        )
    aligned = procrustes_with_reflection(vertices, label_vertices)
    return {
        **_mean_and_auc("xyz", joints, label_joints),
        **_mean_and_auc("xyz_al", procrustes_with_reflection(joints, label_joints), label_joints),
        **_mean_and_auc("mesh", vertices, label_vertices),
        **_mean_and_auc("mesh_al", aligned, label_vertices),
        **_f_scores("f_score", vertices, label_vertices),
        **_f_scores("f_al_score", aligned, label_vertices),
    }


def ho3d(
    joints: Tensor, vertices: Tensor, label_joints: Tensor, label_vertices: Tensor
) -> dict[str, float]:
    """The scores of HO-3D's leaderboards: FreiHAND's and joints after scale and translation.

    joints, label_joints: (N, 21, 3) m, in HO-3D's own order (MANO's 16, then tips).
    Source: shreyashampali/ho3d eval.py at 2fd6ee1.
    """
    moved = scale_and_translation(joints, label_joints)
    return {
        **freihand(joints, vertices, label_joints, label_vertices),
        **_mean_and_auc("xyz_sc_tr_al", moved, label_joints),
    }


def dexycb(joints: Tensor, label_joints: Tensor) -> dict[str, float]:
    """DexYCB's mean errors in mm and areas: as they stand, from the wrist, after Procrustes.

    joints, label_joints: (N, 21, 3) m. Source: NVlabs/dex-ycb-toolkit hpe_eval.py at 64551b0.
    """
    # in mm as there, because Procrustes adds a constant to the sizes of the hands
    aligned = procrustes_with_reflection(joints * MM_PER_M, label_joints * MM_PER_M) / MM_PER_M
    variants = {
        "absolute": (joints, label_joints),
        "root_relative": (joints - joints[:, :1], label_joints - label_joints[:, :1]),
        "procrustes": (aligned, label_joints),
    }
    answer = {}
    for name, (points, label) in variants.items():
        scores = _mean_and_auc(name, points, label)
        answer[f"{name}_mpjpe_mm"] = scores[f"{name}_mean3d_cm"] * MM_PER_M / CM_PER_M
        answer[f"{name}_auc"] = scores[f"{name}_auc3d"]
    return answer


def hot3d(joints: Tensor, label_joints: Tensor) -> dict[str, float]:
    """HOT3D's mean error in mm and PCK-AUC in percent, pooled over all landmarks.

    joints, label_joints: (N, 19, 3) m, the challenge's landmarks.
    Source: facebookresearch/hand_tracking_toolkit metrics.py at ffb20d0.
    """
    errors = torch.linalg.vector_norm(joints - label_joints, dim=-1).reshape(-1, 1) * MM_PER_M
    thresholds = torch.linspace(0, MAX_ERROR * MM_PER_M, HOT3D_STEPS, dtype=errors.dtype)
    curve = pck_curve(errors, torch.ones_like(errors), thresholds)
    return {
        "mpjpe_mm": float(errors.mean()),
        "pck_auc": float(100 * area_under(curve, thresholds)),
    }


def hint(
    keypoints: Tensor,
    label: Tensor,
    confidence: Tensor,
    box_side: Tensor,
    thresholds: tuple[float, ...] = (0.05, 0.1, 0.15),
) -> dict[str, float]:
    """HInt's PCK: the share of visible keypoints within a fraction of the hand's box.

    keypoints, label: (N, 21, 2) px of one picture. confidence: (N, 21), counted above 0.5.
    box_side: (N,) px, the longer side of the tight labelled box.
    Source: geopavlakos/hamer, EvaluatorPCK at 3a01849.
    """
    errors = torch.linalg.vector_norm(keypoints - label, dim=-1) / box_side[:, None]
    curve = pck_curve(errors, confidence > 0.5, torch.tensor(thresholds, dtype=errors.dtype))
    return {f"pck_{t:g}": float(share) for t, share in zip(thresholds, curve, strict=True)}


def interhand(joints: Tensor, label_joints: Tensor, valid: Tensor) -> Tensor:
    """InterHand2.6M's error of each joint in mm, from each hand's own wrist; its mean is MPJPE.

    joints, label_joints: (N, 42, 3) m, right hand first, wrists at 20 and 41. valid: (N, 42), a
    joint counts only with its wrist. returns: (42,).
    Source: facebookresearch/InterHand2.6M, Dataset.evaluate at 5d0e456.
    """
    wrist = torch.tensor([20] * 21 + [41] * 21)
    difference = (joints - joints[:, wrist]) - (label_joints - label_joints[:, wrist])
    errors = torch.linalg.vector_norm(difference, dim=-1) * MM_PER_M
    errors = torch.where((valid > 0) & (valid[:, wrist] > 0), errors, torch.nan)
    return errors.nanmean(0)


def mrrpe(right: Tensor, left: Tensor, label_right: Tensor, label_left: Tensor) -> Tensor:
    """Mean relative-root error of two hands in mm, one value a sample (InterHand2.6M, ARCTIC).

    All (N, 3) m, wrists in the camera's frame. returns: (N,).
    """
    difference = (left - right) - (label_left - label_right)
    return torch.linalg.vector_norm(difference, dim=-1) * MM_PER_M


def procrustes_with_reflection(points: Tensor, label: Tensor) -> Tensor:
    """Points after the similarity FreiHAND, HO-3D and DexYCB use, which may mirror the hand.

    points, label: (N, J, 3). returns: the same.
    """
    center, label_center = points.mean(1, keepdim=True), label.mean(1, keepdim=True)
    points, label = points - center, label - label_center
    size, label_size = (
        torch.linalg.matrix_norm(part, keepdim=True) + 1e-8 for part in (points, label)
    )
    points, label = points / size, label / label_size
    left, scale, right = torch.linalg.svd(label.mT @ points)
    rotation = left @ right
    return points @ rotation.mT * scale.sum(-1)[:, None, None] * label_size + label_center


def scale_and_translation(points: Tensor, label: Tensor) -> Tensor:
    """Points with the labelled palm length and wrist, HO-3D's third alignment.

    points, label: (N, 21, 3) in HO-3D's order. returns: the same.
    """
    palm, label_palm = (
        torch.linalg.vector_norm(part[:, HO3D_MIDDLE_BASE] - part[:, 0], dim=-1)[:, None, None]
        for part in (points, label)
    )
    points = points / torch.where(palm > 0, palm, 1.0) * label_palm
    return points - points[:, :1] + label[:, :1]


def _mean_and_auc(name: str, points: Tensor, label: Tensor) -> dict[str, float]:
    errors = torch.linalg.vector_norm(points - label, dim=-1)
    thresholds = torch.linspace(0, MAX_ERROR, FREIHAND_STEPS, dtype=errors.dtype)
    curve = pck_curve(errors, torch.ones_like(errors), thresholds)
    return {
        f"{name}_mean3d_cm": float(errors.mean() * CM_PER_M),
        f"{name}_auc3d": float(area_under(curve, thresholds)),
    }


def _f_scores(name: str, vertices: Tensor, label: Tensor) -> dict[str, float]:
    return {
        f"{name}_{mm}": float(
            torch.stack(
                [f_score(a, b, mm / MM_PER_M) for a, b in zip(vertices, label, strict=True)]
            ).mean()
        )
        for mm in (5, 15)
    }
