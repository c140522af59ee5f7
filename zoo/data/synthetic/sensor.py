"""What a depth camera makes of exact depth: noise that grows with distance, and holes."""

from __future__ import annotations

import cv2
import numpy as np

_JUMP = 0.02  # m; neighbours farther apart than this are an outline
_LOST_AT_OUTLINES = 0.5
_MOST_HOLES, _HOLE = 4, (0.01, 0.06)  # their number, and their radius in widths of the picture


def sensed(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The depth map as a structured-light camera would measure it.

    Each reading has axial noise (Nguyen, Izadi and Lovell, 3DIMPVT 2012, equation 3, below 60
    degrees); half of the readings at outlines and those in a few round patches are lost. Nothing
    that was unknown becomes known.

    depth: (h, w) m, 0 where unknown.
    returns: (h, w) float32 m.
    """
    noise = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    seen = np.maximum(depth + noise * rng.standard_normal(depth.shape), 0)
    around = np.ones((3, 3), np.uint8)
    known = depth.astype(np.float32)
    outline = cv2.dilate(known, around) - cv2.erode(known, around) > _JUMP
    lost = outline & (rng.random(depth.shape) < _LOST_AT_OUTLINES)
    patches = np.zeros(depth.shape, np.uint8)
    height, width = depth.shape
    for _ in range(int(rng.integers(_MOST_HOLES + 1))):
        centre = rng.integers([width, height]).tolist()
        cv2.circle(patches, centre, int(np.ceil(width * rng.uniform(*_HOLE))), 1, -1)
    seen[(depth == 0) | lost | (patches > 0)] = 0
    return seen.astype(np.float32)
