"""Bones and thicknesses of an adult right hand: every number that was chosen and not computed.

Lengths are millimetres along (distal, dorsal, radial), written in that order and turned by `place`
into MANO's axes: fingers along -x, back of the hand +y, thumb +z. Sizes are typical adult values;
they were not fitted to any measured hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.mano.topology import FINGERS, ROTATION_NAMES, TIP_DEFINITIONS, TIP_VERTICES

LONG_FINGERS = ("index", "middle", "ring", "pinky")
DIGITS = (*LONG_FINGERS, "thumb")  # order of the vertex blocks
FIRST_JOINT = {digit: ROTATION_NAMES.index(f"{digit}1") for digit in DIGITS}
TIP_VERTEX = dict(zip(FINGERS, TIP_VERTICES, strict=True))
# Vertices beside the tip that other tip definitions name; they must lie on that fingertip too.
OTHER_TIP_VERTICES = {
    digit: (TIP_DEFINITIONS["manopth"][k], *((445,) if digit == "middle" else ()))
    for k, digit in enumerate(FINGERS)
}
ORIGIN_DISTAL = 88.0  # mm from the wrist to the origin of the shipped frame
WRIST_EDGE = -14.0  # mm distal of the wrist joint, plane of the open edge


def place(distal: float, dorsal: float, radial: float) -> np.ndarray:
    """(3,) mm in MANO's axes, wrist joint at zero."""
    return np.array([-distal, dorsal, radial], float)


ORIGIN = place(ORIGIN_DISTAL, 0, 0)


@dataclass(frozen=True)
class DigitSpec:
    """Where a digit starts, its three bones and how thick it is."""

    start: tuple[float, float, float]  # mm, first joint
    lengths: tuple[float, float, float]  # mm
    directions: np.ndarray  # (3, 3) unit, MANO's axes
    dorsal_hint: np.ndarray  # (3,) roughly towards the nail
    thickness: float = 1.0
    is_thumb: bool = False

    @property
    def profile(self) -> list[tuple[tuple[int, float], float, float, float]]:
        """((bone, fraction along it), lateral, dorsal, palmar radius mm before `thickness`)."""
        return _THUMB_PROFILE if self.is_thumb else _FINGER_PROFILE

    @property
    def tip_rounding(self) -> float:
        """Length over which the tip closes, mm."""
        return 8.5 if self.is_thumb else 6.8 * self.thickness


def _finger(start, lengths, yaw, hint_radial, thickness) -> DigitSpec:
    """yaw: deg of each bone towards the thumb; every finger also curls 1, 5 and 9 deg at rest."""
    a, b = np.radians(yaw), np.radians((1.0, 5.0, 9.0))
    directions = np.stack((-np.cos(b) * np.cos(a), -np.sin(b), np.cos(b) * np.sin(a)), 1)
    return DigitSpec(start, lengths, directions, place(0, 1, hint_radial), thickness)


def _thumb() -> DigitSpec:
    bones = (0.74, -0.27, 0.62), (0.83, -0.2, 0.52), (0.885, -0.15, 0.44)
    directions = np.stack([place(*bone) for bone in bones])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hint = place(-0.36, 0.75, 0.52)
    return DigitSpec((20, -8, 19), (45, 33, 27), directions, hint, is_thumb=True)


SPECS = {
    "index": _finger((87, 1.5, 25.5), (42, 24.5, 22.5), (5.5, 4, 2), 0.10, 1.00),
    "middle": _finger((90, 4, 3.5), (46, 28, 23.5), (0.5, 0.5, 0.5), 0.0, 1.02),
    "ring": _finger((83.5, 2, -16.5), (43, 26.5, 23.5), (-5.5, -4, -2.5), -0.06, 0.97),
    "pinky": _finger((75, -2.5, -34), (34.5, 19.5, 20.5), (-13, -10, -7), -0.14, 0.86),
    "thumb": _thumb(),
}

_FINGER_PROFILE = [
    ((0, 0.00), 10.4, 9.6, 12.0),
    ((0, 0.45), 9.7, 8.8, 10.6),
    ((0, 0.75), 9.0, 8.1, 9.2),
    ((1, 0.00), 9.4, 8.9, 8.0),
    ((1, 0.50), 8.4, 7.1, 8.3),
    ((2, 0.00), 8.3, 7.0, 6.9),
    ((2, 0.45), 7.9, 5.9, 7.6),
    ((2, 0.80), 7.4, 5.6, 7.0),
    ((2, 1.00), 7.0, 5.3, 6.2),
]
_THUMB_PROFILE = [
    ((0, 0.00), 13.0, 12.0, 14.0),
    ((0, 0.50), 12.5, 11.5, 15.0),
    ((1, 0.00), 11.3, 10.6, 11.4),
    ((1, 0.50), 9.7, 8.8, 9.8),
    ((2, 0.00), 10.4, 8.8, 9.0),
    ((2, 0.45), 10.3, 7.2, 9.6),
    ((2, 0.80), 9.4, 6.4, 8.4),
    ((2, 1.00), 8.4, 6.0, 7.2),
]

# Proximal ends of the four metacarpals.
CARPAL = {
    "index": place(26, 1, 13.5),
    "middle": place(27, 2, 4.5),
    "ring": place(26, 1.5, -5.5),
    "pinky": place(24, -1, -14),
}

# Palm lines as (distal, radial) mm: life, head, heart.
PALM_LINES = (
    ((71, 32), (67, 21), (57, 11), (43, 5), (28, 3), (15, 6)),
    ((70, 32), (63, 14), (55, -4), (47, -20), (42, -30)),
    ((63, -43), (70, -29), (75, -13), (80, 3), (90, 14)),
)
