"""Ten ways in which hands differ, from thirteen named ones, exactly and without sampling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zoo.mano.procedural.anatomy import DIGITS, FIRST_JOINT, LONG_FINGERS
from zoo.mano.procedural.digit import digits
from zoo.mano.topology import PARENTS

NUM_BETAS = 10
# A joint and the relative stretch of its segment: along the bone, dorso-palmar, lateral.
Stretch = tuple[int, tuple[float, float, float]]


class ShapeSpace(NamedTuple):
    """Displacements of one standard deviation of each beta, mm."""

    shapedirs: np.ndarray  # (778, 3, 10)
    joint_dirs: np.ndarray  # (10, 16, 3)
    loading: np.ndarray  # (13, 10) of each named way in each beta
    names: tuple[str, ...]


def _joints_of(*names: str, bones: tuple[int, ...] = (0, 1, 2)) -> list[int]:
    return [FIRST_JOINT[name] + bone for name in names for bone in bones]


def _stretch(joints: list[int], along: float, deep: float, wide: float) -> list[Stretch]:
    return [(joint, (along, deep, wide)) for joint in joints]


def named_modes() -> list[tuple[str, float, list[Stretch]]]:
    """(name, standard deviation, relative stretch of each joint's own segment)."""
    fingers, thumb, palm = _joints_of(*LONG_FINGERS), _joints_of("thumb"), [0]
    first, second, last = (_joints_of(*LONG_FINGERS, bones=(k,)) for k in range(3))
    everything = list(range(16))
    return [
        ("overall size", 0.055, _stretch(everything, 1, 1, 1)),
        ("palm width", 0.045, _stretch(palm, 0, 0, 1) + _stretch(thumb[:1], 0, 0.3, 0.3)),
        ("palm length", 0.04, _stretch(palm, 1, 0, 0)),
        ("finger length", 0.045, _stretch(fingers, 1, 0, 0)),
        ("finger thickness", 0.065, _stretch(fingers, 0, 1, 1)),
        ("thumb length", 0.05, _stretch(thumb, 1, 0, 0)),
        ("thumb thickness", 0.065, _stretch(thumb, 0, 1, 1)),
        ("palm thickness", 0.07, _stretch(palm, 0, 1, 0)),
        (
            "index vs ring length",
            0.03,
            _stretch(_joints_of("index"), 1, 0, 0) + _stretch(_joints_of("ring"), -1, 0, 0),
        ),
        ("little finger length", 0.05, _stretch(_joints_of("pinky"), 1, 0, 0)),
        ("tip taper", 0.06, _stretch(last + thumb[2:], 0, 1, 1) + _stretch(first, 0, -0.4, -0.4)),
        (
            "proximal vs distal phalanx",
            0.03,
            _stretch(first, 1, 0, 0) + _stretch(second + last, -1, 0, 0),
        ),
        ("bulk", 0.05, _stretch(everything, 0, 1, 1)),
    ]


def shape_space(points: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> ShapeSpace:
    """Principal components of the named ways, the ten largest, scaled to one standard deviation.

    Every way stretches each segment about its joint and carries what hangs on it along; the
    components are those of the covariance the standard deviations imply.
    """
    modes = named_modes()
    fields = [_displace(points, weights, joints, sd, stretches) for _, sd, stretches in modes]
    skin, bones = (np.stack(part) for part in zip(*fields, strict=True))
    loading, size, rows = np.linalg.svd(skin.reshape(len(modes), -1), full_matrices=False)
    largest = np.abs(loading).argmax(0)
    sign = np.sign(loading[largest, np.arange(len(modes))])
    loading, rows = loading * sign, rows * sign[:, None]
    components = (size[:, None] * rows)[:NUM_BETAS].reshape(NUM_BETAS, *points.shape)
    loading = loading[:, :NUM_BETAS]
    return ShapeSpace(
        shapedirs=components.transpose(1, 2, 0),
        joint_dirs=np.einsum("mk,mja->kja", loading, bones),
        loading=loading,
        names=tuple(name for name, *_ in modes),
    )


def _displace(
    points, weights, joints, deviation: float, stretches
) -> tuple[np.ndarray, np.ndarray]:
    """What one standard deviation of a named way does to skin and joints, mm."""
    frames = _segment_frames()
    strain = np.zeros((16, 3, 3))
    for joint, stretch in stretches:
        strain[joint] += frames[joint].T @ np.diag(stretch) @ frames[joint]
    moved = np.zeros((16, 3))
    for k in range(1, 16):
        parent = PARENTS[k]
        moved[k] = moved[parent] + strain[parent] @ (joints[k] - joints[parent])
    local = points[:, None] - joints
    skin = np.einsum("vj,jab,vjb->va", weights, strain, local) + weights @ moved
    return deviation * skin, deviation * moved


def _segment_frames() -> np.ndarray:
    """(16, 3, 3) rows along, dorsal, lateral of the segment each joint moves."""
    frames = np.zeros((16, 3, 3))
    frames[0] = np.diag((-1.0, 1.0, 1.0))
    for name in DIGITS:
        digit, first = digits()[name], FIRST_JOINT[name]
        for k in range(3):
            frames[first + k] = digit.direction[k], digit.dorsal[k], digit.lateral[k]
    return frames
