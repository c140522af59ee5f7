"""How smoothly a hand moves from frame to frame, and how truly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_FRAME = re.compile(r"^(?P<film>.*#\d+)\.(?P<frame>\d+)$")


@dataclass(frozen=True)
class MotionErrors:
    """Per-frame values over every run of consecutive frames, wrist-relative.

    acceleration: mm/frame^2, distance of the second difference from the label's (VIBE, CVPR 2020).
    jitter: mm/frame^2, length of the prediction's own second difference less the label's: above 0
        the prediction trembles more than the hand does.
    """

    acceleration: np.ndarray  # (M,)
    jitter: np.ndarray  # (M,)


def motion_errors(
    joints: np.ndarray, target: np.ndarray, valid: np.ndarray, keys: Sequence[str]
) -> MotionErrors:
    """Motion of predicted joints against labelled ones.

    joints, target: (N, 21, 3) m, camera; one row an answered frame, in any order.
    valid: (N, 21).
    keys: the frames' keys, FILM#HAND.FRAME; rows without a frame number belong to no film.
    """
    rows = consecutive(keys)
    keep = (valid[rows] > 0).all((1, 2))
    said, true = (second_differences(x[rows[keep]]) for x in (joints, target))
    return MotionErrors(
        acceleration=np.linalg.norm(said - true, axis=-1).mean(-1),
        jitter=(np.linalg.norm(said, axis=-1) - np.linalg.norm(true, axis=-1)).mean(-1),
    )


def consecutive(keys: Sequence[str], count: int = 3) -> np.ndarray:
    """(M, count) rows of every run of `count` consecutive frames of one film, oldest first."""
    place: dict[tuple[str, int], int] = {}
    for row, key in enumerate(keys):
        if found := _FRAME.match(key):
            place[found["film"], int(found["frame"])] = row
    runs = [
        [place[film, frame + i] for i in range(count)]
        for film, frame in sorted(place)
        if all((film, frame + i) in place for i in range(count))
    ]
    return np.array(runs, np.int64).reshape(-1, count)


def second_differences(joints: np.ndarray) -> np.ndarray:
    """(M, 20, 3) mm: of (M, 3, 21, 3) joints in m, the wrist subtracted and left out."""
    hand = 1000 * (joints[:, :, 1:] - joints[:, :, :1])
    return hand[:, 0] - 2 * hand[:, 1] + hand[:, 2]
