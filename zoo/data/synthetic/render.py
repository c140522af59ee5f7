"""Turns a scene and a look into a photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from zoo.data.synthetic import shade
from zoo.data.synthetic.appearance import NUM_TONE_CURVES, Look
from zoo.data.synthetic.backgrounds import BackgroundBank
from zoo.data.synthetic.body import Body, Mesh, joined
from zoo.data.synthetic.props import Prop
from zoo.data.synthetic.scene import Scene, see
from zoo.geometry.raster import rasterize_into

SAMPLES = 2  # along each side of a pixel
NUM_BACKGROUNDS, SPARE = 64, 96
_SHADOW_SIZE = 192
_SHADOW_BIAS = 0.003  # m
_CREASE = 0.010  # m; how far around a point its surroundings take light away
_SKIN_WRAP = (0.24, 0.12, 0.09)
_GRAIN_SPARE = 64


@dataclass(frozen=True)
class _Window:
    """The part of the picture that the mesh covers, in samples."""

    left: int  # px
    top: int  # px
    depth: np.ndarray  # (h, w) m
    face_id: np.ndarray  # (h, w)
    barycentric: np.ndarray  # (h, w, 2)
    colour: np.ndarray  # (h, w, 3)


class Renderer:
    """Draws pictures of one size; holds the buffers and the bank of backgrounds."""

    def __init__(self, *, image_size: int, seed: int) -> None:
        """image_size: px of a side. seed: of the backgrounds and the grain."""
        self.size, self.body = image_size, Body()
        self._backgrounds = BackgroundBank(
            count=NUM_BACKGROUNDS, size=image_size + SPARE, seed=seed
        )
        wide = image_size + _GRAIN_SPARE
        rng = np.random.default_rng([seed, 7])
        self._grain = rng.standard_normal((wide, wide, 3), dtype=np.float32)
        self._curves = shade.tone_curves(NUM_TONE_CURVES)
        samples = (image_size * SAMPLES) ** 2
        self._depth = np.empty(samples, np.float32)
        self._face_id = np.empty(samples, np.int32)
        self._barycentric = np.empty(2 * samples, np.float32)
        self._colour = np.empty(3 * samples, np.float32)
        self._shadows = np.empty((_SHADOW_SIZE, _SHADOW_SIZE), np.float32)

    def picture(
        self, scene: Scene, frame: int, look: Look, props: Sequence[Prop], rng: np.random.Generator
    ) -> np.ndarray:
        """(S, S, 3) uint8 RGB of one frame, mirrored where the scene asks for a left hand."""
        if look.sleeve is not None:
            self.body.paint(0, look.sleeve.texels)
        orient = scene.orient[frame]
        arm = self.body.arm(scene.vertices[frame], orient, look.bend, look.sleeve)
        mesh = joined([arm, *(prop.at(scene, frame) for prop in props)])
        window = self._rasterize(mesh, scene.intrinsics)
        background = self._background(look)
        self._shade(mesh, look, background, window, scene.intrinsics[0, 0])
        out = self._develop(window, look, self._shadowed(background, window, look), rng)
        return out[:, ::-1] if scene.is_left else out

    def _rasterize(self, mesh: Mesh, intrinsics: np.ndarray) -> _Window:
        vertices = mesh.vertices
        pixels = see(vertices, intrinsics)
        ahead = vertices[:, 2] > 0.02
        low, high = pixels[ahead].min(0), pixels[ahead].max(0)
        if not ahead.all():
            low, high = np.zeros(2), np.full(2, self.size)
        left, top = np.clip(np.floor(low + 0.5), 0, self.size - 1).astype(int).tolist()
        right, bottom = np.clip(np.ceil(high + 0.5), [left + 1, top + 1], self.size).astype(int)
        shape = (SAMPLES * int(bottom - top), SAMPLES * int(right - left))
        area = shape[0] * shape[1]
        window = _Window(
            left,
            top,
            depth=self._depth[:area].reshape(shape),
            face_id=self._face_id[:area].reshape(shape),
            barycentric=self._barycentric[: 2 * area].reshape(*shape, 2),
            colour=self._colour[: 3 * area].reshape(*shape, 3),
        )
        samples = np.empty((len(vertices), 3))
        samples[:, :2] = (pixels + 0.5 - [left, top]) * SAMPLES - 0.5
        samples[:, 2] = vertices[:, 2]
        rasterize_into(samples, mesh.faces, True, window.depth, window.face_id, window.barycentric)
        return window

    def _shade(
        self, mesh: Mesh, look: Look, background: np.ndarray, window: _Window, focal: float
    ) -> None:
        points = mesh.vertices.astype(np.float32)
        normals = np.empty_like(points)
        shade.vertex_normals(points, mesh.faces, normals)
        lamp = _lamp(points, look.light)
        shade.shadow_map(points @ lamp[:, :3].T + lamp[:, 3], mesh.faces, self._shadows)
        lamp[2, 3] -= _SHADOW_BIAS
        shade.shade(
            points,
            normals,
            mesh.faces,
            mesh.rows,
            mesh.material,
            window.face_id,
            window.barycentric,
            self.body.texels,
            _materials(look),
            _lights(look, background),
            self._shadows,
            lamp,
            _openness(window.depth, focal),
            window.colour,
        )

    def _background(self, look: Look) -> np.ndarray:
        which, x, y, flipped = look.background
        image = self._backgrounds[which][y : y + self.size, x : x + self.size]
        image = image[:, ::-1] if flipped else image
        return image * np.float32(look.background_gain)

    def _shadowed(self, background: np.ndarray, window: _Window, look: Look) -> np.ndarray:
        """The background with a soft shadow of what stands before it."""
        strength, across, down = look.shadow
        mask = np.zeros((self.size, self.size), np.float32)
        cover = (window.face_id[::SAMPLES, ::SAMPLES] >= 0).astype(np.float32)
        high, wide = cover.shape
        mask[window.top : window.top + high, window.left : window.left + wide] = cover
        small = cv2.resize(mask, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), max(1.0, 0.012 * self.size))
        shift = np.float32([[4, 0, across * self.size], [0, 4, down * self.size]])
        dark = cv2.warpAffine(small, shift, (self.size, self.size), flags=cv2.INTER_LINEAR)
        return background * (1 - np.float32(strength) * dark)[..., None]

    def _develop(
        self, window: _Window, look: Look, background: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        out = np.empty((self.size, self.size, 3), np.uint8)
        y, x = rng.integers(_GRAIN_SPARE, size=2)
        grain = self._grain[y : y + self.size, x : x + self.size] * np.float32(look.noise)
        shade.develop(
            window.colour,
            window.face_id,
            window.left,
            window.top,
            SAMPLES,
            background,
            look.balance.astype(np.float32),
            np.float32(look.vignette),
            self._curves[look.tone_curve],
            grain,
            out,
        )
        return cv2.GaussianBlur(out, (0, 0), look.blur) if look.blur > 0.25 else out


def _lamp(points: np.ndarray, light: np.ndarray) -> np.ndarray:
    """(3, 4) float32: camera point -> shadow map px x, px y, depth m, fitted around the mesh."""
    aside = np.cross(light, [0, 1, 0] if abs(light[1]) < 0.9 else [1, 0, 0])
    aside /= np.linalg.norm(aside)
    frame = np.stack([aside, np.cross(aside, light), -light])
    seen = points @ frame.T.astype(np.float32)
    low, high = seen.min(0), seen.max(0)
    scale = (_SHADOW_SIZE - 4) / max(high[0] - low[0], high[1] - low[1])
    lamp = np.concatenate([frame, np.zeros((3, 1))], 1)
    lamp[:2] *= scale
    lamp[:2, 3] = 2 - low[:2] * scale
    return lamp.astype(np.float32)


def _lights(look: Look, background: np.ndarray) -> np.ndarray:
    """(6, 3) float32: what `shade` reads; surroundings colour the light they throw back."""
    around = background[::16, ::16].mean((0, 1))
    cast = 0.5 + 0.5 * around / max(float(around.mean()), 1e-3)
    rows = [look.light, look.fill, look.key, look.fill_colour, look.sky * cast, look.ground * cast]
    return np.stack(rows).astype(np.float32)


def _materials(look: Look) -> np.ndarray:
    skin = [*look.skin, look.shine, look.shine_exponent, *_SKIN_WRAP]
    cloth = [1, 1, 1, 0, 1, 0.1, 0.1, 0.1]
    thing = [1, 1, 1, 0.15, 25, 0, 0, 0]
    return np.array([skin, cloth, thing], np.float32)


def _openness(depth: np.ndarray, focal: float) -> np.ndarray:
    """(h, w) share of light from all around that reaches a sample: less where it lies in a crease.

    A sample that lies behind the mean of its neighbourhood has walls around it.
    """
    seen = np.isfinite(depth)
    if not seen.any():
        return np.ones_like(depth)
    middle = float(np.median(depth[seen]))
    solid = np.where(seen, depth, middle + 0.1)
    reach = max(3, int(focal * SAMPLES * _CREASE / middle)) | 1
    around = cv2.blur(np.minimum(solid, middle + 0.03), (2 * reach + 1, 2 * reach + 1))
    return 1 - 0.75 * ((np.minimum(solid, middle + 0.03) - around) / _CREASE).clip(0, 1)
