"""The meshes of one picture: an arm with its sleeve, another hand, and things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.data.synthetic.appearance import Sleeve
from zoo.mano.procedural import Appearance
from zoo.mano.procedural.appearance import RING_DISTANCE, SIDE, texel_barycentrics

SKIN, CLOTH, THING = 0, 1, 2
CLIP_ROWS = 64  # rows of texels that every clip paints anew
MORE_ARM = 0.45  # m added to the forearm, which would else end inside some pictures
NEAREST_ELBOW = 0.06  # m from the lens
_NUM_RINGS = len(RING_DISTANCE)


@dataclass(frozen=True)
class Mesh:
    """Triangles with the row of texels and the material of each."""

    vertices: np.ndarray  # (V, 3) m
    faces: np.ndarray  # (F, 3) int64, outward
    rows: np.ndarray  # (F,) int64
    material: np.ndarray  # (F,) int8

    def moved(self, turn: np.ndarray, offset: np.ndarray) -> Mesh:
        """The same mesh at v -> turn v + offset."""
        return Mesh(self.vertices @ turn.T + offset, self.faces, self.rows, self.material)


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """All meshes as one."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
        np.concatenate([mesh.rows for mesh in meshes]),
        np.concatenate([mesh.material for mesh in meshes]),
    )


class Body:
    """Clayhand's surfaces, right and left, and the table of texels that all meshes share."""

    def __init__(self) -> None:
        """The table holds the right hand's rows, the left hand's, then those of the clip."""
        self.hand = hand = Appearance.load()
        count = len(hand.faces)
        plain = np.zeros((CLIP_ROWS, *hand.texels.shape[1:]), np.float32)
        self.texels = np.concatenate([hand.texels, hand.texels[:, _swapped()], plain])
        self.first_clip_row = 2 * count
        self._rows = {False: np.arange(count), True: count + np.arange(count)}
        self._skin = np.full(count, SKIN, np.int8)
        self._sleeve_faces = _sleeve_faces()

    def paint(self, row: int, texels: np.ndarray) -> None:
        """Put texels (n, 45, 4) into the clip's own rows, from `row` on."""
        first = self.first_clip_row + row
        self.texels[first : first + len(texels)] = texels

    def arm(
        self,
        vertices: np.ndarray,
        orient: np.ndarray,
        bend: tuple[float, float],
        sleeve: Sleeve | None,
        *,
        mirrored: bool = False,
    ) -> Mesh:
        """A hand with forearm and sleeve.

        vertices: (778, 3) m of a right hand.  orient: (3, 3) of its wrist.
        mirrored: give its mirror image (x changes sign).
        """
        skin = self.hand.with_forearm(vertices, orient, bend)
        _lengthen(skin)
        parts = [Mesh(skin, self.hand.faces, self._rows[mirrored], self._skin)]
        if sleeve is not None:
            parts.append(self._sleeve(skin, sleeve))
        mesh = joined(parts)
        if not mirrored:
            return mesh
        faces = mesh.faces[:, [0, 2, 1]]
        return Mesh(mesh.vertices * [-1, 1, 1], faces, mesh.rows, mesh.material)

    def _sleeve(self, skin: np.ndarray, sleeve: Sleeve) -> Mesh:
        """Cloth around the forearm from one of its rings to the elbow, with a rim at the cuff."""
        rings = skin[len(skin) - 1 - SIDE * _NUM_RINGS : -1].reshape(_NUM_RINGS, SIDE, 3)
        rings = rings[sleeve.ring :]
        centres = rings.mean(1, keepdims=True)
        folds = sleeve.width + sleeve.folds[: len(rings), :, None]
        tube = np.concatenate([rings[:1], centres + folds * (rings - centres)]).reshape(-1, 3)
        end = len(tube) - SIDE + np.arange(SIDE)
        cap = np.stack([end, np.roll(end, -1), np.full(SIDE, len(tube))], 1)
        pole = skin[-1] + 0.25 * (skin[-1] - centres[-1])
        faces = np.concatenate([self._sleeve_faces[: 2 * SIDE * len(rings)], cap])
        rows = self.first_clip_row + sleeve.rows[: len(faces)]
        material = np.full(len(faces), CLOTH, np.int8)
        return Mesh(np.concatenate([tube, pole]), faces, rows, material)


def _lengthen(skin: np.ndarray) -> None:
    """Carry the elbow out of the picture, in place, but never past the lens."""
    elbow, before = skin[-1 - 2 * SIDE :], skin[-1 - 3 * SIDE : -1 - 2 * SIDE]
    way = elbow[-1] - before.mean(0)
    way /= np.sqrt((way**2).sum())
    room = (elbow[:, 2].min() - NEAREST_ELBOW) / -way[2] if way[2] < 0 else MORE_ARM
    elbow += way * np.clip(room, 0, MORE_ARM)


def _sleeve_faces() -> np.ndarray:
    """Faces between successive rings of a tube, outward as those of the forearm are."""
    near = np.arange(SIDE * _NUM_RINGS)
    after = near - near % SIDE + (near + 1) % SIDE
    quads = [(near, after, after + SIDE), (near, after + SIDE, near + SIDE)]
    return np.stack([np.stack(quad, 1) for quad in quads], 1).reshape(-1, 3)


def _swapped() -> np.ndarray:
    """(45,) where each texel of a face lies when its second and third vertex change places."""
    grid = np.rint(texel_barycentrics()[:, 1:] * 8).astype(int).tolist()
    return np.array([grid.index([j, i]) for i, j in grid])
