"""The rest hand as one implicit function, which the mesh is relaxed onto."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from zoo.mano.procedural.anatomy import CARPAL, LONG_FINGERS, place
from zoo.mano.procedural.digit import digits

Field = Callable[[np.ndarray], np.ndarray]
WEB_FRACTION = 0.30  # of the shorter proximal phalanx, where the web between two fingers ends
DIGIT_BLEND = {"thumb": 11.0}
FINGER_BLEND = 6.0
_TETRAHEDRON = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], float)


def hand_sdf(points: np.ndarray) -> np.ndarray:
    """Distance to the skin of the rest hand, points (N, 3) mm; negative inside."""
    distance = palm_sdf(points)
    for name, digit in digits().items():
        blend = DIGIT_BLEND.get(name, FINGER_BLEND)
        distance = smooth_minimum(distance, digit.sdf(points), blend)
    return distance


def palm_sdf(points: np.ndarray) -> np.ndarray:
    """Distance to palm, carpus and the start of the forearm; (N,) mm."""
    distance = cone(points, place(-40, 0, -1), place(18, -1, 0), 28.5, 28.0, flatness=0.66)
    distance = _metacarpals_and_webs(points, distance)
    for centre, radii, axes, blend in _pads():
        distance = smooth_minimum(distance, ellipsoid(points, centre, radii, axes), blend)
    thumb = digits()["thumb"]
    inside_thumb = thumb.joints[0] + 30 * thumb.direction[0] + place(0, 2, -4)
    first_web = cone(points, inside_thumb, place(66, -2, 26), 9, 9)
    return smooth_minimum(distance, first_web, 20)


def _metacarpals_and_webs(points: np.ndarray, distance: np.ndarray) -> np.ndarray:
    fingers = [digits()[name] for name in LONG_FINGERS]
    for finger in fingers:
        start = CARPAL[finger.name] + place(0, -2.5, 0)
        end = finger.joints[0] + place(-4, -3, 0)
        bone = cone(points, start, end, 14.5, 12.6 * finger.spec.thickness)
        distance = smooth_minimum(distance, bone, 9)
    for a, b in pairwise(fingers):
        reach = WEB_FRACTION * min(a.length[0], b.length[0])
        ends = [f.joints[0] + reach * f.direction[0] + place(0, -3.5, 0) for f in (a, b)]
        distance = smooth_minimum(distance, cone(points, *ends, 7.2, 7.0), 7)
    return distance


def _pads():
    """Distal pad, thenar and hypothenar: centre, radii, axes, blend."""
    thumb = digits()["thumb"]
    along_thumb = np.stack((thumb.direction[0], thumb.dorsal[0], thumb.lateral[0]))
    return (
        (place(79, -9, -4), (13, 8.5, 33), np.eye(3), 8),
        (place(37, -14, 22), (29, 13, 15.5), along_thumb, 12),
        (place(40, -9.5, -23), (31, 11.5, 13), np.eye(3), 12),
    )


def smooth_minimum(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Union of two distances with a fillet about `width` wide."""
    overlap = np.maximum(width - np.abs(a - b), 0) / width
    return np.minimum(a, b) - overlap**2 * width / 4


def cone(points, start, end, start_radius, end_radius, *, flatness: float = 1.0) -> np.ndarray:
    """Distance to a capsule with two radii, squashed towards the palm plane by `flatness`."""
    axis = end - start
    t = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
    off = points - start - t[:, None] * axis
    distance = np.sqrt(off[:, 0] ** 2 + (off[:, 1] / flatness) ** 2 + off[:, 2] ** 2)
    return (distance - (start_radius + t * (end_radius - start_radius))) * flatness


def ellipsoid(points, centre, radii, axes) -> np.ndarray:
    """Estimated distance to an ellipsoid, axes (3, 3) as rows."""
    off = (points - centre) @ axes.T
    radii = np.asarray(radii, float)
    near = np.linalg.norm(off / radii, axis=1)
    steep = np.linalg.norm(off / radii**2, axis=1) + 1e-9
    return near * (near - 1) / steep


def gradient(field: Field, points: np.ndarray, step: float = 0.15) -> np.ndarray:
    """(N, 3) gradient from four tetrahedral samples."""
    samples = (field(points + step * corner)[:, None] * corner for corner in _TETRAHEDRON)
    return sum(samples) / (4 * step)


def project(points: np.ndarray, field: Field = hand_sdf, *, steps: int = 6) -> np.ndarray:
    """Points moved onto the zero level by damped Newton steps of at most 4 mm."""
    for _ in range(steps):
        slope = gradient(field, points)
        steepness = np.maximum((slope**2).sum(1), 0.2)
        points = points - np.clip(field(points) / steepness, -4, 4)[:, None] * slope
    return points
