"""The connectivity of the hand: 248 palm and 5 x 106 digit vertices, exact by construction.

Rows run across the palm from the webs to the wrist, rings run around the digits, and the last row
is the 16-vertex open edge. Every digit grows from a ten-edge loop: the fingers' loops split the
first row, the thumb's is a seam left open along the palm's radial side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from zoo.mano.procedural.anatomy import (
    DIGITS,
    LONG_FINGERS,
    OTHER_TIP_VERTICES,
    TIP_VERTEX,
    WRIST_EDGE,
)
from zoo.mano.procedural.digit import Digit, digits
from zoo.mano.procedural.triangles import zip_loops, zip_rows

NUM_VERTICES, NUM_PALM, PER_DIGIT = 778, 248, 106
PALM_ROWS = (17, 17, 14, 12, 11, 10, 9, 9, 9, 8, 8)  # dorsal vertices = palmar vertices
ROW_POSITION = (1.0, 1.0, 0.96, 0.84, 0.73, 0.62, 0.51, 0.40, 0.28, 0.14, 0.0)  # 0 at the wrist
THUMB_ROWS = range(3, 8)  # rows whose radial seam stays open for the thumb
_TENTH = np.radians(36)
FINGER_ANGLES = 2 * _TENTH - _TENTH * np.arange(10)
THUMB_ANGLES = _TENTH - _TENTH * np.arange(10)


@dataclass(frozen=True)
class Tube:
    """Vertex ids of one digit."""

    base: list[int]  # loop of ten shared with the palm
    rings: list[list[int]]  # ten rings of ten and one of five, base to tip
    pole: int  # the tip vertex

    @property
    def ids(self) -> np.ndarray:
        """The 106 vertices the palm does not own."""
        return np.array([v for ring in self.rings for v in ring] + [self.pole])


@dataclass(frozen=True)
class Cage:
    """Vertices near their place, faces, and who is who."""

    points: np.ndarray  # (778, 3) mm
    faces: np.ndarray  # (1538, 3)
    wrist_row: np.ndarray  # (16,) the open edge
    tubes: dict[str, Tube]


def build_cage() -> Cage:
    """The unrelaxed mesh."""
    points = np.zeros((NUM_VERTICES, 3))
    dorsal, palmar = _palm_rows()
    _place_rows(points, dorsal, palmar)
    tubes = _tubes(dorsal, palmar)
    _place_tubes(points, tubes)
    faces = _palm_faces(points, dorsal, palmar) + _tube_faces(points, tubes)
    faces = np.array(faces)
    if signed_volume(points, faces) < 0:
        faces = faces[:, ::-1].copy()
    return Cage(points, faces, np.array(dorsal[-1] + palmar[-1]), tubes)


def ring_stations(digit: Digit) -> list[float]:
    """Stations of the eleven rings; three rings hug each hinge. mm."""
    (_, second, third, _), (first_length, second_length, third_length) = digit.start, digit.length
    tip = [third + part * third_length for part in (0.79, 0.93)]
    if digit.spec.is_thumb:
        tip[0] = third + 0.78 * third_length
        hinges = [second - 17, second - 6.5, second, second + 6.5, second + 0.55 * second_length]
        return [*hinges, third - 6, third, third + 6, third + 0.52 * third_length, *tip]
    half = 5.2 * digit.spec.thickness
    first = [0.585 * first_length, 0.73 * first_length]
    hinges = [second - half, second, second + half, third - half, third, third + half]
    return [*first, *hinges, third + 0.55 * third_length, *tip]


def signed_volume(points: np.ndarray, faces: np.ndarray) -> float:
    """Positive for outward faces (exact only for a closed mesh)."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def _palm_rows() -> tuple[list[list[int]], list[list[int]]]:
    dorsal, palmar, count = [], [], 0
    for row in PALM_ROWS:
        dorsal.append(list(range(count, count + row)))
        palmar.append(list(range(count + row, count + 2 * row)))
        count += 2 * row
    return dorsal, palmar


def _place_rows(points: np.ndarray, dorsal: list[list[int]], palmar: list[list[int]]) -> None:
    """Rows on an oval tube that follows the arc of the knuckles."""
    knuckles = np.array([digits()[name].joints[0] for name in LONG_FINGERS])
    arc = np.polynomial.Polynomial.fit(knuckles[:, 2], -knuckles[:, 0], 2)
    for row in range(1, len(PALM_ROWS)):
        position = ROW_POSITION[row]
        radial = np.interp(position, [0, 0.3, 1], [27, 33, 37])
        ulnar = np.interp(position, [0, 0.5, 1], [-28, -38, -43.5])
        around = np.pi * (0.06 + 0.88 * np.linspace(0, 1, PALM_ROWS[row]))
        across = (radial + ulnar) / 2 + (radial - ulnar) / 2 * np.cos(around)
        height = 13 * np.sin(around) + 2
        distal = WRIST_EDGE + (arc(across) - WRIST_EDGE) * position + (9 if row == 1 else 0)
        points[dorsal[row]] = np.stack((-distal, height, across), 1)
        points[palmar[row]] = np.stack((-distal, -5 - height, across), 1)


def _tubes(dorsal: list[list[int]], palmar: list[list[int]]) -> dict[str, Tube]:
    label = _tip_labels()
    tubes = {}
    for k, name in enumerate(DIGITS):
        ids = label[NUM_PALM + PER_DIGIT * k + np.arange(PER_DIGIT)]
        rings = [*ids[:100].reshape(10, 10).tolist(), ids[100:105].tolist()]
        if name == "thumb":
            base = [dorsal[r][0] for r in reversed(THUMB_ROWS)] + [palmar[r][0] for r in THUMB_ROWS]
        else:
            base = dorsal[0][4 * k : 4 * k + 5] + palmar[0][4 * k : 4 * k + 5][::-1]
        tubes[name] = Tube(base, rings, int(ids[105]))
    return tubes


def _tip_labels() -> np.ndarray:
    """A renumbering that gives every tip definition of the field a vertex on its fingertip.

    The pole takes the tip vertex; palmar vertices of the last ring take the other definitions'.
    """
    label = np.arange(NUM_VERTICES)
    for k, name in enumerate(DIGITS):
        first = NUM_PALM + PER_DIGIT * k
        slots = [first + 105, first + 103, first + 104]  # pole, then the two nearest the pad
        wanted = [TIP_VERTEX[name], *OTHER_TIP_VERTICES[name]]
        for slot, vertex in zip(slots, wanted, strict=False):
            holder = int(np.flatnonzero(label == vertex)[0])
            label[slot], label[holder] = vertex, label[slot]
    return label


def _place_tubes(points: np.ndarray, tubes: dict[str, Tube]) -> None:
    shared = np.zeros((NUM_VERTICES, 1))
    for name, tube in tubes.items():
        digit = digits()[name]
        angles = THUMB_ANGLES if name == "thumb" else FINGER_ANGLES
        if name == "thumb":
            points[tube.base] = digit.ring(15.0, angles)
        else:
            points[tube.base] += digit.ring(0.45 * digit.length[0], angles)
            shared[tube.base] += 1
        stations = ring_stations(digit)
        for ring, station in zip(tube.rings[:10], stations, strict=False):
            points[ring] = digit.ring(station, angles)
        points[tube.rings[10]] = digit.ring(stations[10], angles[0] - 2 * _TENTH * np.arange(5))
        points[tube.pole] = digit.joints[3]
    points /= np.maximum(shared, 1)  # a web vertex belongs to two loops


def _palm_faces(points, dorsal, palmar) -> list[tuple[int, int, int]]:
    faces = []
    for r in range(1, len(PALM_ROWS)):
        faces += zip_rows(dorsal[r], dorsal[r - 1], points)
        faces += zip_rows(palmar[r][::-1], palmar[r - 1][::-1], points)
        ends = [dorsal[r][-1], palmar[r][-1]], [dorsal[r - 1][-1], palmar[r - 1][-1]]
        faces += zip_rows(*ends, points)
        if not (r - 1 in THUMB_ROWS and r in THUMB_ROWS):
            starts = [palmar[r][0], dorsal[r][0]], [palmar[r - 1][0], dorsal[r - 1][0]]
            faces += zip_rows(*starts, points)
    return faces


def _tube_faces(points, tubes: dict[str, Tube]) -> list[tuple[int, int, int]]:
    faces = []
    for tube in tubes.values():
        loops = [tube.base, *tube.rings]
        for near, far in pairwise(loops):
            faces += zip_loops(near, far, points)
        last = tube.rings[-1]
        faces += [(last[k], last[(k + 1) % 5], tube.pole) for k in range(5)]
    return faces
