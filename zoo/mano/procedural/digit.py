"""A finger as a solid around its bones, so that rings, distances and colours share one geometry."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from zoo.mano.procedural.anatomy import SPECS, DigitSpec, place

SECTION_EXPONENT = 2.25  # of the superellipse; 2 would be an ellipse
TIP_EXPONENT = 2.2
JOINT_BLEND = 6.0  # mm over which the ring planes turn from one bone to the next


class Around(NamedTuple):
    """Cylindrical coordinates about the nearest bone."""

    station: np.ndarray  # (N,) mm along the bone chain
    distance: np.ndarray  # (N,) mm from the axis
    cos: np.ndarray  # (N,) 1 dorsal, -1 palmar
    sin: np.ndarray  # (N,) along the lateral axis


class Digit:
    """Generalised cylinder around three bones: superelliptic sections, rounded tip. mm."""

    def __init__(self, name: str, spec: DigitSpec) -> None:
        self.name, self.spec = name, spec
        self.direction = spec.directions  # (3, 3)
        self.length = np.array(spec.lengths, float)
        self.start = np.concatenate(([0], np.cumsum(self.length)))  # (4,) stations of the joints
        steps = np.cumsum(self.direction * self.length[:, None], 0)
        self.joints = place(*spec.start) + np.vstack((np.zeros(3), steps))  # (4, 3), tip last
        along = (self.direction @ spec.dorsal_hint)[:, None]
        self.dorsal = _unit(spec.dorsal_hint - along * self.direction)
        self.lateral = np.cross(self.dorsal, self.direction)  # a positive turn about it flexes
        stations = [
            self.start[bone] + part * self.length[bone] for (bone, part), *_ in spec.profile
        ]
        radii = np.array([row[1:] for row in spec.profile]) * spec.thickness
        self._grid = np.linspace(0, self.start[-1], 512)
        self._radii = PchipInterpolator(stations, radii)(self._grid)

    def radii(self, station: np.ndarray) -> np.ndarray:
        """(..., 3) mm: lateral, dorsal and palmar radius before the tip closes."""
        return np.stack([np.interp(station, self._grid, self._radii[:, k]) for k in range(3)], -1)

    def radius(self, station: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """(N,) mm from the axis to the skin."""
        lateral, dorsal, palmar = np.moveaxis(self.radii(station), -1, 0)
        deep = np.where(cos > 0, dorsal, palmar)
        power = SECTION_EXPONENT
        section = (np.abs(sin / lateral) ** power + np.abs(cos / deep) ** power) ** (-1 / power)
        rounding = self.spec.tip_rounding
        closing = np.clip((station - (self.start[-1] - rounding)) / rounding, 0, 1)
        return section * np.sqrt(np.maximum(1 - closing**TIP_EXPONENT, 0))

    def around(self, points: np.ndarray) -> Around:
        """Coordinates of points (N, 3) about the nearest bone."""
        best = None
        for k in range(3):
            along = (points - self.joints[k]) @ self.direction[k]
            low, high = (-1e9 if k == 0 else 0), (self.length[k] if k < 2 else 1e9)
            along = np.clip(along, low, high)
            off = points - self.joints[k] - along[:, None] * self.direction[k]
            row = np.stack(
                (
                    self.start[k] + along,
                    (off**2).sum(1),
                    off @ self.dorsal[k],
                    off @ self.lateral[k],
                ),
                1,
            )
            best = row if best is None else np.where((row[:, 1] < best[:, 1])[:, None], row, best)
        distance = np.sqrt(best[:, 1]) + 1e-9
        return Around(best[:, 0], distance, best[:, 2] / distance, best[:, 3] / distance)

    def sdf(self, points: np.ndarray) -> np.ndarray:
        """(N,) mm, negative inside; exact near the skin, an estimate far from it."""
        station, distance, cos, sin = self.around(points)
        beyond = np.maximum(station - self.start[-1], 0) + np.maximum(-station, 0)
        skin = self.radius(np.clip(station, 0, self.start[-1]), cos, sin)
        return np.hypot(distance, beyond) - skin

    def ring(self, station: float, angles: np.ndarray) -> np.ndarray:
        """(N, 3) mm on the skin at a station, angles (N,) rad from the dorsal ridge.

        At a hinge the ring lies in the plane that halves the bend.
        """
        bone = np.clip(np.searchsorted(self.start, station, side="right") - 1, 0, 2)
        centre = self.joints[bone] + (station - self.start[bone]) * self.direction[bone]
        weight = np.ones(3)
        for k in range(3):
            if k > 0:
                weight[k] *= _ramp(station - self.start[k])
            if k < 2:
                weight[k] *= _ramp(self.start[k + 1] - station)
        axis = _unit(weight @ self.direction)
        dorsal = weight @ self.dorsal
        dorsal = _unit(dorsal - (dorsal @ axis) * axis)
        cos, sin = np.cos(angles), np.sin(angles)
        skin = self.radius(np.full(len(angles), station), cos, sin)
        spokes = cos[:, None] * dorsal + sin[:, None] * np.cross(dorsal, axis)
        return centre + skin[:, None] * spokes


@cache
def digits() -> dict[str, Digit]:
    """The five digits of the rest pose by name."""
    return {name: Digit(name, spec) for name, spec in SPECS.items()}


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _ramp(distance: float) -> float:
    return float(np.clip((distance + JOINT_BLEND) / (2 * JOINT_BLEND), 0, 1))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
