"""Which bone moves which skin, and where the joints of any shape lie."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import nnls

from zoo.mano.procedural.anatomy import DIGITS, FIRST_JOINT, LONG_FINGERS
from zoo.mano.procedural.cage import NUM_PALM, NUM_VERTICES, ring_stations
from zoo.mano.procedural.digit import digits, smoothstep
from zoo.mano.procedural.relax import RestMesh
from zoo.mano.procedural.triangles import adjacency
from zoo.mano.topology import PARENTS

FINGER_SIDE = 8.5  # mm, how far a knuckle's pull reaches sideways
KNUCKLE = (-10.0, 13.0)  # mm along the proximal phalanx over which its weight rises
THUMB_BASE = (-10.0, 24.0)  # mm along the thumb's metacarpal
THUMB_REACH = (15.0, 40.0)  # mm from that bone over which its weight falls
HINGE = {"thumb": 8.0}
FINGER_HINGE = 6.6  # mm either side of a hinge


def rest_joints() -> np.ndarray:
    """(16, 3) mm in MANO's order, wrist at zero."""
    joints = np.zeros((16, 3))
    for name, digit in digits().items():
        joints[FIRST_JOINT[name] : FIRST_JOINT[name] + 3] = digit.joints[:3]
    return joints


def skin_weights(mesh: RestMesh) -> np.ndarray:
    """(778, 16) rows that sum to 1; all vertices of a ring share their weights."""
    weights = np.zeros((NUM_VERTICES, 16))
    thumb_pull = _thumb_pull(mesh)
    finger_share = _finger_share(mesh)
    for k, name in enumerate(DIGITS):
        digit, tube, first = digits()[name], mesh.tubes[name], FIRST_JOINT[name]
        if name == "thumb":
            weights[:, first] = thumb_pull
        else:
            along = (mesh.points - digit.joints[0]) @ digit.direction[0]
            pull = finger_share[:, k] * smoothstep(along, *KNUCKLE) * (1 - thumb_pull)
            pull[np.setdiff1d(np.arange(NUM_PALM, NUM_VERTICES), tube.ids)] = 0
            weights[:, first] = pull
        _bend_hinges(weights, digit, tube, first)
    weights[:, 0] = np.maximum(1 - weights[:, 1:].sum(1), 0)
    weights /= weights.sum(1, keepdims=True)
    weights = _smooth_palm(weights, mesh)
    weights[weights < 2e-3] = 0
    return weights / weights.sum(1, keepdims=True)


def _thumb_pull(mesh: RestMesh) -> np.ndarray:
    thumb = digits()["thumb"]
    off = mesh.points - thumb.joints[0]
    along = off @ thumb.direction[0]
    on_bone = np.clip(along, 0, thumb.length[0])[:, None] * thumb.direction[0]
    away = np.linalg.norm(off - on_bone, axis=1)
    pull = smoothstep(along, *THUMB_BASE) * (1 - smoothstep(away, *THUMB_REACH))
    pull[mesh.tubes["thumb"].ids] = 1
    for name in LONG_FINGERS:
        pull[mesh.tubes[name].ids] = 0
    return pull


def _finger_share(mesh: RestMesh) -> np.ndarray:
    """(778, 4) which of the long fingers a vertex follows, rows summing to 1."""
    fingers = [digits()[name] for name in LONG_FINGERS]
    sideways = np.stack([np.abs((mesh.points - f.joints[0]) @ f.lateral[0]) for f in fingers], 1)
    share = np.exp(-((sideways / FINGER_SIDE) ** 2)) + 1e-12
    for k, name in enumerate(LONG_FINGERS):
        own = mesh.tubes[name].ids
        share[own] = 1e-9
        share[own, k] = 1
    return share / share.sum(1, keepdims=True)


def _bend_hinges(weights: np.ndarray, digit, tube, first: int) -> None:
    """Hands the tube's weight on across its two hinges, by the station of the ring; in place."""
    station = np.full(NUM_VERTICES, digit.start[3])
    for ring, value in zip(tube.rings, ring_stations(digit), strict=True):
        station[ring] = value
    half = HINGE.get(digit.name, FINGER_HINGE) * digit.spec.thickness
    own = tube.ids
    for k in (1, 2):
        passed = smoothstep(station[own], digit.start[k] - half, digit.start[k] + half)
        weights[own, first + k] = weights[own, first + k - 1] * passed
        weights[own, first + k - 1] *= 1 - passed


def _smooth_palm(weights: np.ndarray, mesh: RestMesh) -> np.ndarray:
    neighbours = adjacency(mesh.faces, NUM_VERTICES)
    mean = sp.diags(1 / np.asarray(neighbours.sum(1)).ravel()) @ neighbours
    loose = np.ones((NUM_VERTICES, 1))
    for tube in mesh.tubes.values():
        loose[np.setdiff1d(tube.ids, tube.rings[0])] = 0
    for _ in range(4):
        weights = weights + 0.5 * loose * (mean @ weights - weights)
    return weights


def pose(joints: np.ndarray, rotmats: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forward kinematics.

    joints: (16, 3); rotmats: (..., 16, 3, 3).
    returns: global rotations (..., 16, 3, 3), posed joints (..., 16, 3), and the offset b of each
        bone's skinning transform v -> R v + b.
    """
    turn = [rotmats[..., 0, :, :]]
    place = [np.broadcast_to(joints[0], (*rotmats.shape[:-3], 3))]
    for k in range(1, 16):
        parent = PARENTS[k]
        turn.append(turn[parent] @ rotmats[..., k, :, :])
        place.append(place[parent] + turn[parent] @ (joints[k] - joints[parent]))
    turn, place = np.stack(turn, -3), np.stack(place, -2)
    return turn, place, place - (turn @ joints[:, :, None])[..., 0]


def skin(points: np.ndarray, weights: np.ndarray, turn: np.ndarray, shift: np.ndarray):
    """Linear blend skinning of points ((..., V, 3)) by bones ((..., 16, 3, 3), (..., 16, 3))."""
    bones = np.concatenate((turn, shift[..., None]), -1).reshape(*turn.shape[:-2], 12)
    blended = (weights @ bones).reshape(*turn.shape[:-3], len(weights), 3, 4)
    return (blended[..., :3] @ points[..., None])[..., 0] + blended[..., 3]


def joint_regressor(
    points: np.ndarray,
    weights: np.ndarray,
    joints: np.ndarray,
    shapedirs: np.ndarray,
    joint_dirs: np.ndarray,
) -> np.ndarray:
    """(16, 778) non-negative rows that give the joints of the template and of every beta.

    shapedirs: (778, 3, 10) mm per beta; joint_dirs: (10, 16, 3) mm, what the joints should do.
    """
    rows = np.zeros((16, NUM_VERTICES))
    for j in range(16):
        away = np.linalg.norm(points - joints[j], axis=1)
        if j:
            away = away + 30 * (weights[:, j] + weights[:, PARENTS[j]] < 0.35)
        near = np.argsort(away, kind="stable")[: 64 if j in (0, FIRST_JOINT["thumb"]) else 44]
        sum_to_one = np.full((1, len(near)), 300.0)
        template = 3 * (points[near] - joints[j]).T
        betas = [shapedirs[near, :, k].T - joint_dirs[k, j][:, None] for k in range(10)]
        spread = np.eye(len(near))  # a ridge keeps one vertex from carrying the joint
        system = np.concatenate((sum_to_one, template, *betas, spread))
        goal = np.zeros(len(system))
        goal[0] = 300
        solution, _ = nnls(system, goal)
        rows[j, near] = solution / solution.sum()
    return rows
