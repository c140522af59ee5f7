"""Skin, nails and creases as a function of where a point lies on the rest hand.

Every feature fades with distance instead of ending at a face, so colours of neighbouring texels
agree and the mesh needs neither texture coordinates nor seams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from zoo.mano.procedural.anatomy import CARPAL, LONG_FINGERS, PALM_LINES
from zoo.mano.procedural.digit import Around, Digit, digits, smoothstep

# Linear RGB albedo of a light skin; a renderer multiplies by its own tint.
DORSAL, PALMAR, VENTRAL_FOREARM = (0.52, 0.285, 0.195), (0.64, 0.37, 0.29), (0.56, 0.32, 0.235)
NAIL, LUNULA, FREE_EDGE = (0.66, 0.40, 0.345), (0.72, 0.54, 0.50), (0.80, 0.70, 0.62)
SKIN_GLOSS, NAIL_GLOSS = 0.22, 0.75
REDDENING = np.array([0.02, 0.22, 0.20])
SHADING = np.array([0.75, 1.0, 1.0])
_WAVES = (  # direction, frequency per mm, phase: what mottles the skin
    ((1, 0.3, 0.6), 0.21, 0),
    ((-0.4, 1, 0.5), 0.33, 1),
    ((0.5, -0.6, 1), 0.47, 2),
    ((1, 1, -0.7), 0.9, 3),
)


@dataclass
class Layers:
    """What a point carries, each (N,); summed over palm and digits."""

    up: np.ndarray  # 1 where the skin is dorsal, -1 where palmar
    tube: np.ndarray  # how much the point belongs to a digit rather than to the palm
    crease: np.ndarray
    redness: np.ndarray
    nail: np.ndarray
    rim: np.ndarray
    free_edge: np.ndarray
    lunula: np.ndarray


def skin_colour(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N, 4) linear RGB albedo and gloss in [0, 1].

    points: (N, 3) mm on the rest hand or its forearm; normals: (N, 3) unit.
    """
    layers = Layers(normals[:, 1].copy(), *np.zeros((7, len(points))))
    for digit, share in zip(digits().values(), _shares(points), strict=True):
        near = share > 1e-3
        _paint_digit(layers, near, digit, points[near], share[near])
    _paint_palm(layers, points, normals)
    mottling = _mottling(points)
    colour = _base(points, layers.up) * (1 + 0.03 * mottling)[:, None]
    redness = np.clip(layers.redness + 0.10 * mottling, -0.2, 1)
    colour *= 1 - redness[:, None] * REDDENING
    colour *= 1 - np.clip(layers.crease, -0.1, 0.6)[:, None] * SHADING
    nail = _mix(_mix(NAIL, LUNULA, layers.lunula), FREE_EDGE, layers.free_edge)
    colour = _mix(colour, nail, layers.nail)
    colour *= (1 - 0.30 * layers.rim * (1 - 0.8 * layers.nail))[:, None]
    gloss = SKIN_GLOSS + NAIL_GLOSS * layers.nail + 0.1 * smoothstep(-layers.up, -0.2, 0.2)
    return np.clip(np.concatenate((colour, gloss[:, None]), 1), 0, 1)


def _shares(points: np.ndarray) -> np.ndarray:
    """(5, N) how much each digit owns a point; two digits share a web smoothly."""
    away = np.stack([digit.sdf(points) for digit in digits().values()])
    rival = np.exp(-np.clip(away, -5, 40) / 1.0)
    return (1 - smoothstep(away, 1.0, 5.0)) * rival / (rival.sum(0) + 1e-9)


def _base(points: np.ndarray, up: np.ndarray) -> np.ndarray:
    palmar = _mix(PALMAR, VENTRAL_FOREARM, smoothstep(points[:, 0], 8, 60))
    return _mix(DORSAL, palmar, smoothstep(-up, -0.25, 0.55))


def _paint_digit(layers: Layers, near, digit: Digit, points, share) -> None:
    """Adds one digit's creases, knuckles and nail; in place."""
    around = digit.around(points)
    begin = (24, 50) if digit.spec.is_thumb else 0.01 * np.array((46, 75)) * digit.length[0]
    tube = share * smoothstep(around.station, *begin)
    layers.tube[near] += tube
    layers.up[near] += tube * (around.cos - layers.up[near])
    layers.crease[near] += share * _digit_creases(digit, around)
    dorsal = smoothstep(around.cos, 0.1, 0.6)
    knuckle = 0.55 * dorsal * _bell(around.station, digit.start[1], 5) * (0.5 + 0.5 * tube)
    tip = smoothstep(around.station, digit.start[2] + 0.2 * digit.length[2], digit.start[3] - 3) * (
        1 - 0.4 * dorsal
    )
    last = 0.3 * dorsal * _bell(around.station, digit.start[2], 4)
    layers.redness[near] += share * (knuckle + last + 0.6 * tip)
    _paint_nail(layers, near, digit, around, share)


def _digit_creases(digit: Digit, around: Around) -> np.ndarray:
    palmar, dorsal = smoothstep(-around.cos, 0.1, 0.6), smoothstep(around.cos, 0.1, 0.6)
    middle, last = digit.start[1], digit.start[2]
    flexion = _bell(around.station, middle, 0.55) + 0.6 * _bell(around.station, middle + 2.2, 0.5)
    crease = 0.34 * palmar * (flexion + _bell(around.station, last, 0.5))
    if not digit.spec.is_thumb:
        crease += 0.30 * palmar * _bell(around.station, 0.5 * digit.length[0], 0.6)
    for joint, depth in ((middle, 0.20), (last, 0.13)):
        for offset in (-2.6, -0.9, 0.9, 2.6):
            crease += depth * dorsal * _bell(around.station, joint + offset, 0.45)
    return crease


def _paint_nail(layers: Layers, near, digit: Digit, around: Around, share) -> None:
    along = (around.station - digit.start[2]) / digit.length[2]
    half_width = digit.radii(np.clip(around.station, 0, digit.start[3]))[:, 0]
    across = around.distance * around.sin / half_width
    edge = (np.abs(across / 0.76) ** 3.2 + np.abs((along - 0.665) / 0.285) ** 3.2) ** (1 / 3.2)
    here = share * smoothstep(around.cos, 0.2, 0.35)
    layers.nail[near] += here * (1 - smoothstep(edge, 0.90, 1.0))
    layers.rim[near] += here * _bell(edge, 1.02, 0.07)
    layers.free_edge[near] += here * smoothstep(along, 0.875, 0.90)
    layers.lunula[near] += here * (1 - smoothstep(along - 0.40 + 0.16 * across**2, 0.05, 0.09))


def _paint_palm(layers: Layers, points: np.ndarray, normals: np.ndarray) -> None:
    """Adds palm lines, wrist lines, pads, knuckles and tendons where no digit covers; in place."""
    bare = 1 - np.clip(layers.tube, 0, 1)
    distal, radial = -points[:, 0], points[:, 2]
    palmar = smoothstep(-normals[:, 1], 0.15, 0.6) * bare
    dorsal = smoothstep(normals[:, 1], 0.2, 0.7) * bare
    for depth, line in zip((0.36, 0.33, 0.36), PALM_LINES, strict=True):
        away = _distance_to_line(np.stack((distal, radial), 1), line)
        layers.crease += depth * palmar * _bell(away, 0, 0.95)
    for line in (0, 5):
        layers.crease += 0.22 * palmar * _bell(distal + 0.004 * radial**2, line, 0.6)
    for name in LONG_FINGERS:
        knuckle, carpal = digits()[name].joints[0], CARPAL[name]
        from_knuckle = np.linalg.norm(points - knuckle, axis=1)
        layers.redness += 0.5 * dorsal * _bell(from_knuckle, 9, 6)
        ray = knuckle - carpal
        t = np.clip((points - carpal) @ ray / (ray @ ray), 0, 1)
        beside = (points - carpal - t[:, None] * ray)[:, 2]
        ends = smoothstep(t, 0.0, 0.15)
        layers.crease -= 0.05 * dorsal * ends * _bell(beside, 0, 2.2)
    pads = (((42, -26), (26, 13)), ((40, 24), (24, 13)), ((82, -5), (9, 34)))
    for (u, w), (long, wide) in pads:
        layers.redness += (
            0.45 * palmar * np.exp(-(((distal - u) / long) ** 2) - ((radial - w) / wide) ** 2)
        )


def _mottling(points: np.ndarray) -> np.ndarray:
    a, b, c, d = (np.sin(points @ np.array(k) * s + phase) for k, s, phase in _WAVES)
    return a * b + 0.7 * c * a + 0.5 * d * c


def _distance_to_line(points: np.ndarray, line) -> np.ndarray:
    knots = np.linspace(0, 1, len(line))
    curve = PchipInterpolator(knots, np.array(line, float))(np.linspace(0, 1, 60))
    return np.linalg.norm(points[:, None] - curve, axis=-1).min(1)


def _bell(x, centre: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((x - centre) / width) ** 2)


def _mix(a, b, amount: np.ndarray) -> np.ndarray:
    return np.asarray(a) + (np.asarray(b) - np.asarray(a)) * np.clip(amount, 0, 1)[:, None]
