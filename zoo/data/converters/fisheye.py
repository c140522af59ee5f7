"""Fisheye pictures of Aria and Quest 3, made into those of a pinhole camera.

Source: the FISHEYE624 model of Project Aria's documentation: a polynomial of the angle to the
optical axis, tangential and thin-prism terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_EPS = 1e-9


@dataclass(frozen=True)
class Fisheye624:
    """f (2,) px, c (2,) px, and 12 numbers: 6 radial, 2 tangential, 4 thin prism."""

    focal: np.ndarray
    center: np.ndarray
    distortion: np.ndarray

    @classmethod
    def of(cls, parameters: Sequence[float]) -> Fisheye624:
        """From 15 numbers (f, cx, cy, ...) or 16 (fx, fy, cx, cy, ...).

        Raises:
            ValueError: for another number of them.
        """
        numbers = np.asarray(parameters, float)
        if len(numbers) not in (15, 16):
            raise ValueError(f"FISHEYE624 has 15 or 16 parameters, not {len(numbers)}")
        head = len(numbers) - 12
        focal = numbers[[0, 0]] if head == 3 else numbers[:2]
        return cls(focal, numbers[head - 2 : head], numbers[head:])

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) px of (N, 3) points in front of the camera."""
        sideways = np.linalg.norm(points[:, :2], axis=1)
        angle = np.arctan2(sideways, points[:, 2])
        powers = angle[:, None] ** np.arange(3, 14, 2)
        radius = angle + powers @ self.distortion[:6]
        bent = points[:, :2] * (radius / np.maximum(sideways, _EPS))[:, None]
        squared = (bent**2).sum(1, keepdims=True)
        tangential, prism = self.distortion[6:8], self.distortion[8:].reshape(2, 2)
        moved = bent * (1 + 2 * bent @ tangential[:, None]) + squared * tangential
        moved = moved + np.hstack([squared, squared**2]) @ prism.T
        return moved * self.focal + self.center

    def pinhole(self, size: tuple[int, int]) -> np.ndarray:
        """(3, 3) px: the pinhole camera that keeps size, middle scale and principal point."""
        focal = float(self.focal.mean())
        return np.array([[focal, 0, self.center[0]], [0, focal, self.center[1]], [0, 0, 1]])

    def maps(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of the pinhole picture of `size` (w, h) lies in the fisheye's, px."""
        x, y = np.meshgrid(np.arange(size[0], dtype=float), np.arange(size[1], dtype=float))
        pixels = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1)
        rays = pixels @ np.linalg.inv(self.pinhole(size)).T
        found = self.project(rays).astype(np.float32).reshape(size[1], size[0], 2)
        return cv2.convertMaps(found[..., 0], found[..., 1], cv2.CV_16SC2)


def rectified(image: np.ndarray, maps: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The pinhole picture of a fisheye one (h, w, 3) uint8; black where it saw nothing."""
    return cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
