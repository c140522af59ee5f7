"""Which way the joints turn, how far, and the named hand shapes; angles in degrees.

The contact poses were moved into place by `zoo.mano.procedural.contact`, which prints this table.
"""

from __future__ import annotations

import numpy as np

from zoo.mano.procedural.anatomy import DIGITS, FIRST_JOINT, LONG_FINGERS
from zoo.mano.procedural.digit import digits
from zoo.mano.procedural.pose_prior import PosePrior

_FINGER_LIMITS = {"mcp": (-15, 90), "abd": (-14, 14), "pip": (-3, 106), "dip": (-5, 78)}
_THUMB_LIMITS = {
    "cmc_flex": (-14, 46),
    "cmc_abd": (-26, 22),
    "cmc_pron": (-10, 66),
    "mcp": (-8, 55),
    "ip": (-18, 76),
}
LIMITS = {
    **{f"{f}_{joint}": limit for f in LONG_FINGERS for joint, limit in _FINGER_LIMITS.items()},
    **{f"thumb_{joint}": limit for joint, limit in _THUMB_LIMITS.items()},
}
ANGLE_NAMES = tuple(LIMITS)
DIP_PER_PIP = 0.66  # the last joint of a finger follows the middle one

# Four fingers as (mcp, abd, pip, dip), then the thumb as (cmc_flex, cmc_abd, cmc_pron, mcp, ip).
NAMED: dict[str, tuple[tuple[float, ...], ...]] = {
    "flat": ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0, 0)),
    "spread": ((-6, 9, 4, 3), (-6, 1, 4, 3), (-6, -5, 4, 3), (-6, -11, 4, 3), (-10, 12, 0, 0, -6)),
    "relaxed": (
        (22, -2, 28, 18),
        (26, 0, 34, 22),
        (30, 1, 38, 25),
        (34, 2, 38, 25),
        (8, -6, 12, 12, 16),
    ),
    "fist": (
        (71, -1, 102, 72),
        (82, -1, 89, 60),
        (81, 0, 96, 69),
        (81, 3, 89, 65),
        (38, 22, 66, 37, 35),
    ),
    "point": (
        (2, -3, 6, 4),
        (82, 0, 83, 58),
        (83, 0, 95, 58),
        (81, 3, 90, 57),
        (46, 20, 66, 30, 39),
    ),
    "two": ((0, 7, 5, 3), (0, 1, 5, 3), (84, -3, 81, 55), (83, -2, 88, 59), (46, 22, 46, 48, 22)),
    "thumb_up": (
        (81, -3, 94, 59),
        (82, -1, 101, 65),
        (81, 0, 96, 69),
        (81, 3, 90, 63),
        (-10, -12, -8, 0, -13),
    ),
    "pinch": (
        (61, -5, 31, 7),
        (32, 0, 38, 25),
        (26, 0, 32, 21),
        (22, 0, 28, 18),
        (46, 8, 66, 1, -1),
    ),
    "ok": ((53, -7, 45, -2), (14, 0, 18, 12), (6, -3, 10, 7), (0, -6, 6, 4), (45, 5, 66, 1, 0)),
    "tripod": (
        (59, -6, 32, 11),
        (65, -3, 43, 24),
        (64, 3, 56, 37),
        (66, 5, 58, 38),
        (45, 8, 62, 2, 2),
    ),
    "grasp": (
        (38, 4, 46, 30),
        (42, 0, 48, 32),
        (44, -2, 50, 33),
        (46, -5, 50, 33),
        (16, 14, 36, 14, 20),
    ),
    "hook": ((4, 0, 88, 52), (4, 0, 92, 54), (6, 0, 92, 54), (8, 0, 88, 52), (4, -8, 8, 14, 20)),
    "tabletop": (
        (72, -3, 10, 7),
        (74, 0, 10, 7),
        (74, 2, 10, 7),
        (72, 4, 10, 7),
        (12, -8, 20, 8, 10),
    ),
    "horns": (
        (2, 4, 6, 4),
        (82, -1, 97, 61),
        (82, -2, 81, 56),
        (0, -5, 6, 4),
        (46, 22, 56, 40, 34),
    ),
    "three": ((0, 6, 5, 3), (0, 1, 5, 3), (0, -4, 5, 3), (86, -3, 76, 61), (46, 6, 37, 55, 10)),
    "call": (
        (78, -2, 92, 61),
        (80, 0, 94, 62),
        (80, 1, 92, 61),
        (-4, 2, 6, 4),
        (-10, -14, -8, 0, -14),
    ),
    "key": (
        (54, -1, 68, 41),
        (62, 0, 74, 47),
        (68, 2, 78, 49),
        (72, 4, 76, 49),
        (22, -4, 47, 6, 17),
    ),
}


def named_angles() -> dict[str, np.ndarray]:
    """(21,) deg of every named pose."""
    return {name: np.concatenate(rows).astype(float) for name, rows in NAMED.items()}


def bare_prior() -> PosePrior:
    """Limits, axes and named poses, with an empty pool."""
    axes, axis_angle = _axes()
    low, high = np.array(list(LIMITS.values()), float).T
    return PosePrior(
        names=ANGLE_NAMES,
        low=low,
        high=high,
        axes=axes,
        axis_angle=axis_angle,
        pool=np.zeros((0, len(LIMITS))),
        neighbours=np.zeros((0, 0), int),
        named_angles=named_angles(),
    )


def _axes() -> tuple[np.ndarray, np.ndarray]:
    """Axes (15, 3, 3) of the successive turns of each joint, and the angle (15, 3) that drives it.

    A knuckle spreads, then flexes; the thumb's base also turns its pad towards the fingers.
    """
    axes = np.zeros((15, 3, 3))
    driver = np.full((15, 3), -1)
    angle = {name: k for k, name in enumerate(ANGLE_NAMES)}
    for name in DIGITS:
        digit, first = digits()[name], FIRST_JOINT[name] - 1
        thumb = digit.spec.is_thumb
        spread, flex = ("cmc_abd", "cmc_flex") if thumb else ("abd", "mcp")
        turns = [(0, digit.dorsal[0], spread), (0, digit.lateral[0], flex)]
        if thumb:
            turns.append((0, -digit.direction[0], "cmc_pron"))
        hinges = ("mcp", "ip") if thumb else ("pip", "dip")
        turns += [(bone, digit.lateral[bone], hinges[bone - 1]) for bone in (1, 2)]
        used = [0, 0, 0]
        for bone, axis, joint in turns:
            axes[first + bone, used[bone]] = axis
            driver[first + bone, used[bone]] = angle[f"{name}_{joint}"]
            used[bone] += 1
    return axes, driver
