"""Pose correctives: what plain skinning gets wrong at a bent joint, linear in R - I as in MANO."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.mano.procedural.anatomy import FIRST_JOINT
from zoo.mano.procedural.cage import NUM_VERTICES
from zoo.mano.procedural.digit import Digit, digits, smoothstep

RIDGE = 0.02
GAP = 0.25  # mm either wall of a fold keeps from the plane that halves the bend
KNUCKLE_RISE = 2.6  # mm times (1 - cos flexion)
_FLEXIONS = {  # deg at which the correction is fitted
    "knuckle": (-12, 10, 25, 40, 55, 70, 85),
    "hinge": (-10, 10, 25, 40, 55, 70, 85, 100),
    "thumb_base": (-15, -5, 8, 16, 24, 32),
    "thumb": (-12, 10, 25, 40, 55, 70, 85),
}
_SPREADS = (-0.15, 0.0, 0.15)  # rad, at joints that spread


def pose_correctives(points: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(778, 3, 135) mm: posedirs fitted to bends that keep the radius and close the inner fold."""
    directions = np.zeros((NUM_VERTICES, 3, 135))
    for name, digit in digits().items():
        for bone in range(3):
            joint = FIRST_JOINT[name] + bone
            near = _affected(points, weights, joints, joint, bone)
            local = points[near] - joints[joint]
            own = weights[near, joint : FIRST_JOINT[name] + 3].sum(1)
            solution = _fit(digit, bone, local, own)
            solution *= _fade(local, weights[near], name, bone)[None, :, None]
            columns = slice(9 * (joint - 1), 9 * joint)
            directions[near, :, columns] = solution.transpose(1, 2, 0)
    return directions


def _affected(points, weights, joints, joint: int, bone: int) -> np.ndarray:
    share = weights[:, joint] + (weights[:, joint + 1] if bone == 0 else 0)
    blended = (share > 1e-3) & (weights[:, joint] < 1 - 1e-3)
    return np.flatnonzero(blended | (np.linalg.norm(points - joints[joint], axis=1) < 14))


def _fade(local: np.ndarray, weights: np.ndarray, name: str, bone: int) -> np.ndarray:
    """Corrections end away from the joint, and on webs that a neighbour corrects as well."""
    first = FIRST_JOINT[name]
    away = np.linalg.norm(local, axis=1)
    fade = 1 - smoothstep(away, *((14, 24) if bone else (18, 30)))
    others = 1 - weights[:, 0] - weights[:, first : first + 3].sum(1)
    return fade * np.clip(1 - 3 * others, 0, 1)


def _fit(digit: Digit, bone: int, local: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(9, N, 3) least-squares coefficients of R - I over the sampled bends."""
    thumb = digit.spec.is_thumb
    kind = "thumb" if thumb else "hinge"
    if bone == 0:
        kind = "thumb_base" if thumb else "knuckle"
    features, offsets = [], []
    for flexion in np.radians(_FLEXIONS[kind]):
        for spread in (0.0,) if bone else _SPREADS:
            turn = Rotation.from_rotvec(spread * digit.dorsal[bone])
            turn = turn * Rotation.from_rotvec(flexion * digit.lateral[bone])
            goal = _goal(digit, bone, local, own, turn, flexion)
            matrix = turn.as_matrix()
            blend = (1 - own)[:, None, None] * np.eye(3) + own[:, None, None] * matrix
            offsets.append(np.linalg.solve(blend, goal[..., None])[..., 0] - local)
            features.append((matrix - np.eye(3)).ravel())
    features, offsets = np.array(features), np.array(offsets)
    normal = features.T @ features + RIDGE * np.eye(9)
    answer = np.linalg.solve(normal, features.T @ offsets.reshape(len(offsets), -1))
    return answer.reshape(9, *local.shape)


def _goal(digit: Digit, bone: int, local, own, turn: Rotation, flexion: float) -> np.ndarray:
    """Where the skin should be: a bend that keeps its radius, an open fold, a rising knuckle."""
    goal = Rotation.from_rotvec(own[:, None] * turn.as_rotvec()).apply(local)
    matrix = turn.as_matrix()
    if flexion > 0:
        before = digit.direction[max(bone - 1, 0)]
        halving = before + matrix @ digit.direction[bone]
        halving /= np.linalg.norm(halving)
        side = np.where(own < 0.5, -1.0, 1.0)
        palm_side = smoothstep(-(local @ digit.dorsal[bone]), 0, 4)
        short = np.maximum(GAP - side * (goal @ halving), 0) * palm_side * side
        goal = goal + 0.8 * short[:, None] * halving
    if bone == 0 and not digit.spec.is_thumb:
        goal = goal + _knuckle(digit, local, matrix, flexion)
    return goal


def _knuckle(digit: Digit, local, matrix, flexion: float) -> np.ndarray:
    """The bony head of the metacarpal lifting the skin of a flexed finger."""
    off = local - 2 * digit.direction[0]
    wide, along = off @ digit.lateral[0], off @ digit.direction[0]
    bump = np.exp(-((wide / 6.5) ** 2) / 2 - (along / 8) ** 2 / 2)
    height = KNUCKLE_RISE * (1 - np.cos(flexion)) * bump
    up = digit.dorsal[0] + matrix @ digit.dorsal[0]
    return (height * smoothstep(local @ digit.dorsal[0], 2, 8))[:, None] * up / np.linalg.norm(up)
