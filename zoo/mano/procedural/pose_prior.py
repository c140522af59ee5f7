"""Hand poses a person could hold: 21 joint angles inside anatomical limits, tested on the mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from zoo.mano.procedural import archive

FULL_FLEXION = 90.0  # deg, where a knuckle can hardly spread any more
SPREAD_LOST = 0.85  # fraction of a finger's spread that full flexion takes away


@dataclass(frozen=True)
class PosePrior:
    """A pool of collision-tested poses and the walk between neighbours of it."""

    names: tuple[str, ...]  # of the 21 angles: "index_mcp", "index_abd", ..., "thumb_ip"
    low: np.ndarray  # (21,) deg
    high: np.ndarray  # (21,) deg
    axes: np.ndarray  # (15, 3, 3) unit axes of the successive rotations of each joint
    axis_angle: np.ndarray  # (15, 3) int, which of the 21 angles turns about that axis, -1 none
    pool: np.ndarray  # (N, 21) deg
    neighbours: np.ndarray  # (N, M) int, nearest poses of the pool
    named_angles: Mapping[str, np.ndarray]  # "fist", "pinch", ... -> (21,) deg

    @classmethod
    def load(cls) -> Self:
        """The prior of clayhand, from the shipped arrays."""
        arrays = archive.read()
        named = zip(arrays["pose_names"].tolist(), arrays["pose_angles"], strict=True)
        return cls(
            names=tuple(arrays["angle_names"].tolist()),
            low=arrays["angle_low"].astype(np.float64),
            high=arrays["angle_high"].astype(np.float64),
            axes=arrays["angle_axes"].astype(np.float64),
            axis_angle=arrays["axis_angle"].astype(np.int64),
            pool=arrays["pool_centidegrees"] / 100.0,
            neighbours=arrays["pool_neighbours"].astype(np.int64),
            named_angles={name: angles.astype(np.float64) for name, angles in named},
        )

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Random hand poses, absolute (not relative to `hands_mean`).

        returns: (n, 45) rad, axis-angle of MANO's 15 finger joints.
        """
        return self.rotvec(self.sample_angles(n, rng))

    def sample_angles(self, n: int, rng: np.random.Generator, *, noise: float = 1.5) -> np.ndarray:
        """Random joint angles: part of the way from a pool pose to one of its neighbours.

        noise: deg, standard deviation of what is added to every angle.
        returns: (n, 21) deg, inside the limits.
        """
        start = rng.integers(len(self.pool), size=n)
        goal = self.neighbours[start, rng.integers(self.neighbours.shape[1], size=n)]
        way = rng.uniform(0, 0.5, (n, 1))
        angles = (1 - way) * self.pool[start] + way * self.pool[goal]
        return self.clamp(angles + noise * rng.standard_normal(angles.shape))

    def named(self, name: str) -> np.ndarray:
        """A pose by its name, such as "fist".

        returns: (45,) rad.
        """
        if name not in self.named_angles:
            raise ValueError(
                f"clayhand has no pose {name!r}; it has {', '.join(sorted(self.named_angles))}."
            )
        return self.rotvec(self.named_angles[name][None])[0]

    def clamp(self, angles: np.ndarray) -> np.ndarray:
        """Angles moved inside the limits; a flexed finger spreads less.

        angles: (n, 21) deg.
        """
        angles = np.clip(angles, self.low, self.high)
        for mcp, spread in ((4 * k, 4 * k + 1) for k in range(4)):
            flexed = np.clip(angles[:, mcp] / FULL_FLEXION, 0, 1)
            limit = self.high[spread] * (1 - SPREAD_LOST * flexed)
            angles[:, spread] = np.clip(angles[:, spread], -limit, limit)
        return angles

    def rotvec(self, angles: np.ndarray) -> np.ndarray:
        """Axis-angle rotations of joint angles.

        angles: (n, 21) deg.
        returns: (n, 45) rad.
        """
        turn = np.radians(np.where(self.axis_angle < 0, 0.0, angles[:, self.axis_angle])) / 2
        w, xyz = np.cos(turn), np.sin(turn)[..., None] * self.axes  # (n, 15, 3), (n, 15, 3, 3)
        quat = w[:, :, 0], xyz[:, :, 0]
        for k in (1, 2):
            quat = _multiply(*quat, w[:, :, k], xyz[:, :, k])
        return _log(*quat).reshape(len(angles), 45)


def _multiply(w0, v0, w1, v1):
    """Hamilton product of quaternions given as scalar and vector parts."""
    w = w0 * w1 - (v0 * v1).sum(-1)
    return w, w0[..., None] * v1 + w1[..., None] * v0 + np.cross(v0, v1)


def _log(w, v):
    """Axis-angle of unit quaternions whose rotation stays below a full turn."""
    norm = np.linalg.norm(v, axis=-1)
    angle = 2 * np.arctan2(norm, w)
    return v * np.where(norm > 1e-12, angle / np.maximum(norm, 1e-12), 2.0)[..., None]
