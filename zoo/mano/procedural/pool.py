"""Fills the pose prior: mixtures of named poses and single fingers that do not overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zoo.mano.procedural.hand import Hand
from zoo.mano.procedural.pose_prior import PosePrior
from zoo.mano.procedural.postures import DIP_PER_PIP

MAX_OVERLAP = 1.5  # mm, about what fingertip flesh gives way
INDEPENDENT = 0.35  # share of poses whose fingers curl on their own
NUM_NEIGHBOURS = 8
CANDIDATES = 500  # drawn at once
# deg: mcp, abd, pip, dip of a finger; then the thumb's five.
DEVIATION = np.array([9, 5, 9, 5] * 4 + [6, 6, 7, 8, 9], float)
_SHARED = 4.0  # deg, how far a whole hand opens or closes, on the angles that move most


def fill(hand: Hand, size: int, rng: np.random.Generator) -> PosePrior:
    """The hand's prior with `size` poses and, for each, its nearest neighbours."""
    kept: list[np.ndarray] = []
    while len(kept) < size:
        for angles in candidates(hand.prior, CANDIDATES, rng):
            if len(kept) < size and hand.penetration(hand.posed(angles)).max() <= MAX_OVERLAP:
                kept.append(np.round(angles, 2))
    pool = np.array(kept)
    return replace(hand.prior, pool=pool, neighbours=nearest(pool, NUM_NEIGHBOURS))


def candidates(prior: PosePrior, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 21) deg inside the limits, not yet tested for overlaps."""
    named = np.stack(list(prior.named_angles.values()))
    pair = rng.integers(len(named), size=(n, 2))
    mix = rng.beta(0.8, 0.8, (n, 1))
    angles = (1 - mix) * named[pair[:, 0]] + mix * named[pair[:, 1]]
    alone = rng.random((n, 1)) < INDEPENDENT
    angles = np.where(alone, _curled(angles, rng), angles)
    noise = DEVIATION * rng.standard_normal(angles.shape)
    noise += _SHARED * rng.standard_normal((n, 1)) * (DEVIATION > 8)
    return prior.clamp(angles + noise)


def _curled(angles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same thumbs and spreads with every finger curled by its own amount."""
    curl = rng.random((len(angles), 4)) ** 1.2
    knuckle = np.clip(curl + 0.25 * rng.standard_normal(curl.shape), -0.1, 1)
    angles = angles.copy()
    angles[:, 0:16:4], angles[:, 2:16:4] = 88 * knuckle, 104 * curl
    angles[:, 3:16:4] = DIP_PER_PIP * 104 * curl
    return angles


def nearest(pool: np.ndarray, count: int) -> np.ndarray:
    """(N, count) ids of the poses with the most similar angles, nearest first."""
    square = (pool**2).sum(1)
    distance = square[:, None] + square - 2 * pool @ pool.T
    np.fill_diagonal(distance, np.inf)
    return np.argsort(distance, 1, kind="stable")[:, :count]
