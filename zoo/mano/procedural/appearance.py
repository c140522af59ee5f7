"""What a renderer needs and a label does not: skin colour, and a forearm that closes the wrist."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from zoo.mano.procedural import archive

SIDE = 16  # vertices of the wrist's open edge, and of every forearm ring
TEXEL_STEPS = 8  # texels along a face's edge, less one
NUM_TEXELS = (TEXEL_STEPS + 1) * (TEXEL_STEPS + 2) // 2

# Forearm rings from the wrist to the elbow: distance from the wrist (m) and size of the ring
# relative to it. The last two round the stump off; a pole closes it.
RING_DISTANCE = np.array([0.016, 0.041, 0.075, 0.118, 0.170, 0.231, 0.249, 0.260])
RING_SIZE = np.array([1.045, 1.09, 1.135, 1.18, 1.225, 1.27, 1.05, 0.62])
POLE_DISTANCE = 0.264
NUM_FOREARM_VERTICES = SIDE * len(RING_DISTANCE) + 1


@dataclass(frozen=True)
class Appearance:
    """Render geometry of clayhand: the hand's own faces first, then those of the forearm.

    Texel t of a face stands at `texel_barycentrics()[t]`; colours are linear RGB.
    """

    faces: np.ndarray  # (G, 3) int64 into 778 hand vertices followed by the forearm's
    texels: np.ndarray  # (G, 45, 4) float32 in [0, 1]: albedo RGB and gloss
    num_hand_faces: int  # faces[:num_hand_faces] are the asset's own
    forearm_ring: np.ndarray  # (G - num_hand_faces,) int64, 0 beside the wrist, for sleeves
    wrist_loop: np.ndarray  # (16,) int64, the hand's open edge in order
    vertex_albedo: np.ndarray  # (778, 3) float32, for renderers without texels

    @classmethod
    def load(cls) -> Self:
        """The appearance of clayhand, from the shipped arrays."""
        arrays = archive.read()
        loop = arrays["wrist_loop"].astype(np.int64)
        forearm, ring = forearm_faces(loop, len(arrays["v_template"]))
        return cls(
            faces=np.concatenate((arrays["faces"].astype(np.int64), forearm)),
            texels=decode_colour(arrays["texels"]),
            num_hand_faces=len(arrays["faces"]),
            forearm_ring=ring,
            wrist_loop=loop,
            vertex_albedo=decode_colour(arrays["vertex_albedo"]),
        )

    def with_forearm(
        self, vertices: np.ndarray, orient: np.ndarray, bend: tuple[float, float] = (0.0, 0.0)
    ) -> np.ndarray:
        """Hand vertices followed by those of a forearm that continues the wrist's open edge.

        vertices: (778, 3) m, posed and in any frame.
        orient: (3, 3) rotation of the wrist in that frame, `rotmats[0]`.
        bend: rad, deviation (towards the thumb) and extension at the wrist.
        returns: (778 + 129, 3) m.
        """
        loop = vertices[self.wrist_loop]
        return np.concatenate((vertices, extrude_forearm(loop @ orient, bend) @ orient.T))


def extrude_forearm(loop: np.ndarray, bend: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Forearm vertices that continue the wrist's open edge along +x, ring by ring, then the pole.

    loop: (16, 3) m in the wrist's own axes (unrotated hand).
    bend: rad, as in `Appearance.with_forearm`; spread over the first three rings.
    returns: (129, 3) m.
    """
    centre = loop.mean(0)
    spokes = loop - centre
    step = _rotation(np.array([0.0, bend[0], bend[1]]) / 3)
    turn, position, before, rings = np.eye(3), centre, 0.0, []
    for k, (distance, size) in enumerate(zip(RING_DISTANCE, RING_SIZE, strict=True)):
        turn = step @ turn if k < 3 else turn
        position = position + turn[:, 0] * (distance - before)
        rings.append(position + size * spokes @ turn.T)
        before = distance
    pole = position + turn[:, 0] * (POLE_DISTANCE - before)
    return np.concatenate((*rings, pole[None]))


def forearm_faces(loop: np.ndarray, num_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Faces between the wrist's open edge and the rings beyond it, and the ring each starts at.

    loop: (16,) vertex ids, in the order in which the hand's own faces leave the edge open.
    returns: faces (272, 3), ring (272,).
    """
    rings = [loop, *(num_vertices + np.arange(SIDE * len(RING_DISTANCE)).reshape(-1, SIDE))]
    pole = np.full(SIDE, num_vertices + SIDE * len(RING_DISTANCE))
    faces, ring = [], []
    for k, (near, far) in enumerate(pairwise(rings)):
        near_next, far_next = np.roll(near, -1), np.roll(far, -1)
        faces += [np.stack((near, near_next, far_next), 1), np.stack((near, far_next, far), 1)]
        ring += [np.full(2 * SIDE, k)]
    faces.append(np.stack((rings[-1], np.roll(rings[-1], -1), pole), 1))
    ring.append(np.full(SIDE, len(RING_DISTANCE)))
    return np.concatenate(faces).astype(np.int64), np.concatenate(ring)


def texel_barycentrics() -> np.ndarray:
    """Where the 45 texels of a face stand.

    returns: (45, 3) barycentric coordinates, the second fastest, then the third.
    """
    steps = [(i, j) for j in range(TEXEL_STEPS + 1) for i in range(TEXEL_STEPS + 1 - j)]
    i, j = np.array(steps).T / TEXEL_STEPS
    return np.stack((1 - i - j, i, j), 1)


def encode_colour(linear: np.ndarray) -> np.ndarray:
    """Bytes of colours in [0, 1]; the square root spends them where the eye sees steps."""
    return np.round(255 * np.sqrt(np.clip(linear, 0, 1))).astype(np.uint8)


def decode_colour(encoded: np.ndarray) -> np.ndarray:
    """float32 colours in [0, 1] of bytes from `encode_colour`."""
    return np.square(encoded.astype(np.float32) / 255)


def _rotation(rotvec: np.ndarray) -> np.ndarray:
    """Rodrigues' formula for one rotation vector."""
    angle = np.linalg.norm(rotvec)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = rotvec / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
