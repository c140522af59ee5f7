"""The scores of published benchmarks to the digit, for comparison with numbers in papers.

They differ from our metrics on purpose: Procrustes may reflect, thresholds and units are theirs.
All take points in metres, in the camera's frame, every joint labelled unless a validity is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.metrics.joints import MM_PER_M
from zoo.metrics.pck import FREIHAND_STEPS, area_under, pck_by_joint, pck_curve
from zoo.metrics.vertices import close_shares, harmonic_mean, nearest

CM_PER_M = 100.0
MAX_ERROR = 0.05  # m, the last threshold of every curve
HO3D_MIDDLE_BASE = 4  # in MANO's order of joints, which HO-3D's files use
HOT3D_STEPS = 101
HOT3D_TIPS = 5  # the first landmarks
NO_MESH = {"mean3d_cm": -100.0, "auc3d": -1.0}  # what FreiHAND's script says of another mesh


def freihand(
    joints: Tensor, vertices: Tensor, label_joints: Tensor, label_vertices: Tensor
) -> dict[str, float]:
    """The twelve scores of FreiHAND's leaderboard, errors in cm.

    joints, label_joints: (N, 21, 3) m. vertices: (N, V, 3) m. label_vertices: (N, 778, 3) m.
    Of a surface with other vertices the script gives no vertex errors: -100 cm and areas of -1.
    Its aligned F-score is then that after the alignment of the joints, with a flaw of the script's.
    Source: lmb-freiburg/freihand eval.py at 5ea4ab9.
    """
    same_mesh = vertices.shape == label_vertices.shape
    if same_mesh:
        aligned = procrustes_with_reflection(vertices, label_vertices)
        of_mesh = {
            **_mean_and_auc("mesh", vertices, label_vertices),
            **_mean_and_auc("mesh_al", aligned, label_vertices),
        }
    else:
        aligned = moved_with_joints(vertices, joints, label_joints)
        of_mesh = {f"{n}_{k}": v for n in ("mesh", "mesh_al") for k, v in NO_MESH.items()}
    return {
        **_mean_and_auc("xyz", joints, label_joints),
        **_mean_and_auc("xyz_al", procrustes_with_reflection(joints, label_joints), label_joints),
        **of_mesh,
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


def hot3d(
    joints: Tensor,
    label_joints: Tensor,
    vertices: Tensor | None = None,
    label_vertices: Tensor | None = None,
) -> dict[str, float]:
    """HOT3D's mean error in mm and PCK-AUC in percent, pooled over all landmarks and over tips.

    joints, label_joints: (N, 19, 3) m, the challenge's landmarks, finger tips first.
    vertices, label_vertices: (N, V, 3) m, the hands in the zero pose, for the shape track's MPVPE.
    Source: facebookresearch/hand_tracking_toolkit metrics.py at ffb20d0.
    """
    errors = torch.linalg.vector_norm(joints - label_joints, dim=-1) * MM_PER_M
    thresholds = torch.linspace(0, MAX_ERROR * MM_PER_M, HOT3D_STEPS, dtype=errors.dtype)

    def auc(pooled: Tensor) -> float:
        pooled = pooled.reshape(-1, 1)
        curve = pck_curve(pooled, torch.ones_like(pooled), thresholds)
        return float(100 * area_under(curve, thresholds))

    scores = {
        "mpjpe_mm": float(errors.mean()),
        "pck_auc": auc(errors),
        "fingertip_pck_auc": auc(errors[:, :HOT3D_TIPS]),
    }
    if vertices is not None and label_vertices is not None:
        off = torch.linalg.vector_norm(vertices - label_vertices, dim=-1)
        scores["mpvpe_mm"] = float(off.mean() * MM_PER_M)
    return scores


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
    shares = hint_by_joint(keypoints, label, confidence, box_side, thresholds).nanmean(-1)
    return {f"pck_{t:g}": float(share) for t, share in zip(thresholds, shares, strict=True)}


def hint_by_joint(
    keypoints: Tensor,
    label: Tensor,
    confidence: Tensor,
    box_side: Tensor,
    thresholds: tuple[float, ...] = (0.05, 0.1, 0.15),
) -> Tensor:
    """(T, 21): HInt's share of each joint under each threshold; as `hint`."""
    errors = torch.linalg.vector_norm(keypoints - label, dim=-1) / box_side[:, None]
    limits = torch.tensor(thresholds, dtype=errors.dtype)
    return pck_by_joint(errors, confidence > 0.5, limits).mT


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


def handedness(probabilities: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """The share of pictures whose two hands are told rightly (InterHand2.6M); ().

    probabilities: (N, 2), of a right and of a left hand, told where above 0.5. label: (N, 2), 0 or
    1. valid: (N,), counted where positive.
    """
    right = ((probabilities > 0.5) == (label > 0.5)).all(-1)
    return right[valid > 0].double().mean()


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
    found = Similarity.between(points, label)
    turned = (points - found.center) / found.size @ found.rotation.mT
    return turned * found.share * found.label_size + found.label_center


def moved_with_joints(vertices: Tensor, joints: Tensor, label_joints: Tensor) -> Tensor:
    """A surface after the alignment of its joints, as FreiHAND's script moves other meshes.

    The script turns about the surface's own middle and forgets to divide by the size of the
    predicted hand, so the surface comes out several times too small.

    vertices: (N, V, 3). joints, label_joints: (N, J, 3). returns: as vertices.
    """
    found, middle = Similarity.between(joints, label_joints), vertices.mean(1, keepdim=True)
    turned = (vertices - middle) @ found.rotation.mT * (found.share * found.label_size)
    return turned + middle + found.label_center - found.center


@dataclass(frozen=True)
class Similarity:
    """What brings points onto labels: FreiHAND's Procrustes, whose rotation may reflect."""

    center: Tensor  # (N, 1, 3)
    label_center: Tensor
    size: Tensor  # (N, 1, 1), Frobenius norm of the centred points
    label_size: Tensor
    rotation: Tensor  # (N, 3, 3)
    share: Tensor  # (N, 1, 1), the scale between hands of size 1

    @classmethod
    def between(cls, points: Tensor, label: Tensor) -> Similarity:
        """Of points and labels (N, J, 3)."""
        center, label_center = points.mean(1, keepdim=True), label.mean(1, keepdim=True)
        points, label = points - center, label - label_center
        size, label_size = (
            torch.linalg.matrix_norm(part, keepdim=True) + 1e-8 for part in (points, label)
        )
        left, scale, right = torch.linalg.svd((label / label_size).mT @ (points / size))
        share = scale.sum(-1)[:, None, None]
        return cls(center, label_center, size, label_size, left @ right, share)


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
    pairs = [nearest(*surfaces) for surfaces in zip(vertices, label, strict=True)]
    scores = {}
    for mm in (5, 15):
        each = [harmonic_mean(*close_shares(*pair, mm / MM_PER_M)) for pair in pairs]
        scores[f"{name}_{mm}"] = float(torch.stack(each).mean())
    return scores
