"""Turns a scene and a look into a photograph."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from zoo.data.synthetic import shade
from zoo.data.synthetic.appearance import Look
from zoo.data.synthetic.backgrounds import background_bank
from zoo.data.synthetic.props import Prop
from zoo.data.synthetic.scene import Scene, see
from zoo.geometry.raster import rasterize_into
from zoo.mano.procedural import Appearance

SAMPLES = 2  # along each side of a pixel
NUM_BACKGROUNDS, SPARE = 48, 96
_SHADOW_SIZE = 160
_SHADOW_BIAS = 0.004  # m
_MAX_PROPS = 4
_SKIN_WRAP = (0.24, 0.12, 0.09)


class Renderer:
    """Draws pictures of one size; holds the buffers and the bank of backgrounds."""

    def __init__(self, *, image_size: int, seed: int) -> None:
        """image_size: px of a side. seed: of the backgrounds and the grain."""
        rng = np.random.default_rng([seed, 7])
        self.size = image_size
        self.hand = Appearance.load()
        self.backgrounds = background_bank(NUM_BACKGROUNDS, image_size + SPARE, rng)
        self.grain = rng.standard_normal((image_size + 64, image_size + 64, 3)).astype(np.float32)
        self._num_rows = len(self.hand.faces)
        plain = np.zeros((_MAX_PROPS, *self.hand.texels.shape[1:]), np.float32)
        self._texels = np.concatenate([self.hand.texels, plain])
        wide = image_size * SAMPLES
        self._depth = np.empty(wide * wide, np.float32)
        self._face_id = np.empty(wide * wide, np.int32)
        self._barycentric = np.empty(wide * wide * 2, np.float32)
        self._colour = np.empty(wide * wide * 3, np.float32)
        self._shadows = np.empty((_SHADOW_SIZE, _SHADOW_SIZE), np.float32)

    def picture(
        self, scene: Scene, frame: int, look: Look, props: Sequence[Prop], rng: np.random.Generator
    ) -> np.ndarray:
        """(S, S, 3) uint8 RGB of one frame, mirrored where the scene asks for a left hand."""
        orient = scene.orient[frame]
        vertices = self.hand.with_forearm(scene.vertices[frame], orient, look.bend)
        vertices, faces, rows, material = self._assemble(vertices, look, props)
        left, top, shape = self._rasterize(vertices, faces, scene.intrinsics)
        height, width = shape
        face_id = self._face_id[: height * width].reshape(shape)
        colour = self._colour[: height * width * 3].reshape(height, width, 3)
        self._shade(vertices, faces, rows, material, look, shape)
        out = np.empty((self.size, self.size, 3), np.uint8)
        y, x = rng.integers(64, size=2)
        noise = self.grain[y : y + self.size, x : x + self.size] * np.float32(look.noise)
        background = self._background(look)
        shade.develop(
            colour,
            face_id,
            left,
            top,
            SAMPLES,
            background,
            np.float32(look.exposure),
            shade.SRGB,
            noise,
            out,
        )
        if look.blur > 0.3:
            out = cv2.GaussianBlur(out, (0, 0), look.blur)
        return out[:, ::-1] if scene.is_left else out

    def _assemble(
        self, vertices: np.ndarray, look: Look, props: Sequence[Prop]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """One mesh of hand, forearm and things: vertices, faces, texel rows, materials."""
        hand = self.hand
        material = np.zeros(len(hand.faces), np.int8)
        self._texels[hand.num_hand_faces : self._num_rows] = hand.texels[hand.num_hand_faces :]
        if look.sleeve is not None:
            ring, colour = look.sleeve
            covered = hand.num_hand_faces + np.flatnonzero(hand.forearm_ring >= ring)
            material[covered] = shade.CLOTH
            self._texels[covered, :, :3] = colour
        all_vertices, all_faces = [vertices], [hand.faces]
        rows, materials = [np.arange(self._num_rows)], [material]
        count = len(vertices)
        for index, prop in enumerate(props[:_MAX_PROPS]):
            row = self._num_rows + index
            self._texels[row, :, :3] = prop.colour
            self._texels[row, :, 3] = 0.3
            all_vertices.append(prop.vertices)
            all_faces.append(prop.faces + count)
            count += len(prop.vertices)
            rows.append(np.full(len(prop.faces), row))
            materials.append(np.full(len(prop.faces), shade.THING, np.int8))
        return (
            np.concatenate(all_vertices),
            np.concatenate(all_faces),
            np.concatenate(rows),
            np.concatenate(materials),
        )

    def _rasterize(
        self, vertices: np.ndarray, faces: np.ndarray, intrinsics: np.ndarray
    ) -> tuple[int, int, tuple[int, int]]:
        """Fill the buffers' window; returns its left and top in px and its shape in samples."""
        pixels = see(vertices, intrinsics)
        ahead = vertices[:, 2] > 0.02
        low, high = pixels[ahead].min(0), pixels[ahead].max(0)
        if not ahead.all():
            low, high = np.zeros(2), np.full(2, self.size)
        left, top = np.clip(np.floor(low + 0.5), 0, self.size - 1).astype(int)
        right, bottom = np.clip(np.ceil(high + 0.5), [left + 1, top + 1], self.size).astype(int)
        shape = (SAMPLES * int(bottom - top), SAMPLES * int(right - left))
        samples = (pixels + 0.5 - [left, top]) * SAMPLES - 0.5
        area = shape[0] * shape[1]
        rasterize_into(
            np.column_stack([samples, vertices[:, 2]]),
            faces,
            True,
            self._depth[:area].reshape(shape),
            self._face_id[:area].reshape(shape),
            self._barycentric[: 2 * area].reshape(*shape, 2),
        )
        return int(left), int(top), shape

    def _shade(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        rows: np.ndarray,
        material: np.ndarray,
        look: Look,
        shape: tuple[int, int],
    ) -> None:
        area = shape[0] * shape[1]
        points = vertices.astype(np.float32)
        normals = np.empty_like(points)
        shade.vertex_normals(points, faces, normals)
        lamp = _lamp(points, look.light)
        shade.shadow_map(points @ lamp[:, :3].T + lamp[:, 3], faces, self._shadows)
        lamp[2, 3] -= _SHADOW_BIAS
        occlusion = np.ones(shape, np.float32)
        light = np.stack([look.light, look.key, look.sky, look.ground]).astype(np.float32)
        shade.shade(
            points,
            normals,
            faces,
            rows,
            material,
            self._face_id[:area].reshape(shape),
            self._barycentric[: 2 * area].reshape(*shape, 2),
            self._texels,
            _materials(look),
            light,
            self._shadows,
            lamp,
            occlusion,
            self._colour[: 3 * area].reshape(*shape, 3),
        )

    def _background(self, look: Look) -> np.ndarray:
        which, x, y, flipped = look.background
        image = self.backgrounds[which, y : y + self.size, x : x + self.size]
        image = image[:, ::-1] if flipped else image
        return image * np.float32(look.background_gain)


def _lamp(points: np.ndarray, light: np.ndarray) -> np.ndarray:
    """(3, 4) float32: camera point -> shadow map px x, px y, depth m, fitted around the mesh."""
    aside = np.cross(light, [0, 1, 0] if abs(light[1]) < 0.9 else [1, 0, 0])
    aside /= np.linalg.norm(aside)
    frame = np.stack([aside, np.cross(light, aside) * -1, -light])
    seen = points @ frame.T.astype(np.float32)
    low, high = seen.min(0), seen.max(0)
    scale = (_SHADOW_SIZE - 4) / max(high[0] - low[0], high[1] - low[1])
    lamp = np.concatenate([frame, np.zeros((3, 1))], 1)
    lamp[:2] *= scale
    lamp[:2, 3] = 2 - low[:2] * scale
    return lamp.astype(np.float32)


def _materials(look: Look) -> np.ndarray:
    skin = [*look.skin, look.shine, look.shine_exponent, *_SKIN_WRAP]
    cloth = [1, 1, 1, 0, 1, 0.05, 0.05, 0.05]
    thing = [1, 1, 1, 0.15, 25, 0, 0, 0]
    return np.array([skin, cloth, thing], np.float32)
