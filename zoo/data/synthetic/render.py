"""Turns a scene and a look into a photograph."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from zoo.contracts import NUM_VERTICES
from zoo.data.synthetic.appearance import NUM_TONE_CURVES, Look
from zoo.data.synthetic.backgrounds import BackgroundBank
from zoo.data.synthetic.body import Body, Mesh, joined
from zoo.data.synthetic.film import Film, develop, tone_curves
from zoo.data.synthetic.props import Prop
from zoo.data.synthetic.scene import Scene, see
from zoo.data.synthetic.shade import Lighting, Surface, Window, shade, shadow_map, vertex_normals
from zoo.geometry.raster import rasterize, rasterize_into
from zoo.mano.procedural.appearance import SIDE

SAMPLES = 2  # along each side of a pixel
NUM_BACKGROUNDS, SPARE = 64, 96
_SHADOW_SIZE = 192
_SHADOW_BIAS = 0.003  # m
_CREASE = 0.010  # m; how far around a point its surroundings take light away
_SKIN_WRAP = (0.24, 0.12, 0.09)
_GRAIN_SPARE = 64
_COARSE = 4  # px; shadows on the background are soft


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
        self._curves = tone_curves(NUM_TONE_CURVES)
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
        mesh = self._mesh(scene, frame, look, props)
        window = self._rasterize(mesh, scene.intrinsics)
        background = self._background(look)
        self._shade(mesh, look, background, window, scene.intrinsics[0, 0])
        out = self._develop(window, look, background, rng)
        return out[:, ::-1] if scene.is_left else out

    def depth(self, scene: Scene, frame: int, look: Look, props: Sequence[Prop]) -> np.ndarray:
        """(S, S) float32 m at the centres of the picture's pixels, mirrored as it is; 0: nothing.

        Exact: what stands there is the mesh. The background is a flat picture and has no depth.
        """
        mesh = self._mesh(scene, frame, look, props)
        points = np.column_stack([see(mesh.vertices, scene.intrinsics), mesh.vertices[:, 2]])
        depth, _, _ = rasterize(points, mesh.faces, (self.size, self.size), cull=True)
        depth[np.isinf(depth)] = 0
        return depth[:, ::-1] if scene.is_left else depth

    def _mesh(self, scene: Scene, frame: int, look: Look, props: Sequence[Prop]) -> Mesh:
        arm = self.body.arm(scene.vertices[frame], scene.orient[frame], look.bend, look.sleeve)
        return joined([arm, *(prop.at(scene, frame) for prop in props)])

    def _rasterize(self, mesh: Mesh, intrinsics: np.ndarray) -> Window:
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
        window = Window(
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
        self, mesh: Mesh, look: Look, background: np.ndarray, window: Window, focal: float
    ) -> None:
        points = mesh.vertices.astype(np.float32)
        normals = np.empty_like(points)
        vertex_normals(points, mesh.faces, normals)
        lamp, seen = _lamp(points, look.light)
        shadow_map(seen, mesh.faces, self._shadows)
        around, crease = _surroundings(window.depth, points, focal)
        lighting = Lighting(
            texels=self.body.texels,
            materials=_materials(look),
            light=_lights(look, background),
            shadows=self._shadows,
            lamp=lamp,
            around=around,
            crease=crease,
        )
        surface = Surface(points, normals, mesh.faces, mesh.rows, mesh.material)
        shade(surface, window, lighting, SAMPLES)

    def _background(self, look: Look) -> np.ndarray:
        which, x, y, flipped = look.background
        image = self._backgrounds[which][y : y + self.size, x : x + self.size]
        return image[:, ::-1] if flipped else image

    def _shadow(self, window: Window, look: Look) -> np.ndarray:
        """(S, S) how much of the background's light the mesh before it takes."""
        strength, across, down = look.shadow
        mask = np.zeros((self.size // _COARSE + 1, self.size // _COARSE + 1), np.float32)
        step = SAMPLES * _COARSE
        cover = window.face_id[::step, ::step] >= 0
        top, left = window.top // _COARSE, window.left // _COARSE
        spot = mask[top : top + cover.shape[0], left : left + cover.shape[1]]
        spot[:] = cover[: spot.shape[0], : spot.shape[1]] * strength
        soft = cv2.GaussianBlur(mask, (0, 0), max(1.0, 0.05 * self.size / _COARSE))
        place = np.float32([[_COARSE, 0, across * self.size], [0, _COARSE, down * self.size]])
        return cv2.warpAffine(soft, place, (self.size, self.size), flags=cv2.INTER_LINEAR)

    def _develop(
        self, window: Window, look: Look, background: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        out = np.empty((self.size, self.size, 3), np.uint8)
        y, x = rng.integers(_GRAIN_SPARE, size=2)
        film = Film(
            background=background,
            gain=np.float32(look.background_gain),
            shadow=self._shadow(window, look),
            balance=look.balance.astype(np.float32),
            vignette=np.float32(look.vignette),
            curve=self._curves[look.tone_curve],
            grain=self._grain[y : y + self.size, x : x + self.size],
            noise=np.float32(look.noise),
        )
        develop(window, film, SAMPLES, out)
        return cv2.GaussianBlur(out, (0, 0), look.blur) if look.blur > 0.25 else out


def _lamp(points: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the light sees: camera points to px of the shadow map, and the points there.

    returns: (3, 4) float32, its depth less the bias; (V, 3) float32 px x, px y, depth m.
    """
    x, y, z = light.tolist()
    aside = np.array([z, 0, -x] if abs(y) < 0.9 else [0, -z, y])  # at right angles to the light
    u, v, w = (aside / np.sqrt((aside**2).sum())).tolist()
    down = [v * z - w * y, w * x - u * z, u * y - v * x]
    frame = np.array([[u, v, w], down, [-x, -y, -z]], np.float32)
    seen = points @ frame.T
    near = seen[: NUM_VERTICES + 4 * SIDE]  # the hand and its wrist; farther things cast none
    low, high = near.min(0), near.max(0)
    scale = (_SHADOW_SIZE - 4) / max(high[0] - low[0], high[1] - low[1])
    offset = np.array([2 - low[0] * scale, 2 - low[1] * scale, 0], np.float32)
    scales = np.array([scale, scale, 1], np.float32)
    lamp = np.concatenate([frame * scales[:, None], offset[:, None]], 1)
    lamp[2, 3] -= _SHADOW_BIAS
    return lamp, seen * scales + offset


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


def _surroundings(
    depth: np.ndarray, points: np.ndarray, focal: float
) -> tuple[np.ndarray, np.float32]:
    """(h, w) m mean depth about each sample, and how far behind it a crease lies.

    What is empty counts as lying a little behind the hand, so that outlines do not darken.
    """
    middle = float(points[:NUM_VERTICES, 2].mean())
    reach = max(3, int(focal * SAMPLES * _CREASE / middle)) | 1
    solid = np.minimum(depth, np.float32(middle + 0.03))
    return cv2.blur(solid, (2 * reach + 1, 2 * reach + 1)), np.float32(_CREASE)
