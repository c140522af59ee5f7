"""Hand surfaces as shaded, semi-transparent pictures, hidden parts hidden, over any background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from zoo.geometry.raster import NEAR, rasterize

LIGHT = np.array([-0.45, -0.75, -0.7]) / np.linalg.norm([0.45, 0.75, 0.7])
"""Towards the lamp: above the camera's left shoulder, where readers expect light to come from."""

SUPERSAMPLED_UNTIL = 1600
"""px; beyond it edges are fine enough, and four times the samples too slow."""


@dataclass(frozen=True)
class Surface:
    """One mesh and the camera that sees it."""

    vertices: np.ndarray  # (V, 3) m, camera
    faces: np.ndarray  # (F, 3) outward orientation
    intrinsics: np.ndarray  # (3, 3) px of the picture
    colour: tuple[float, float, float]  # RGB in [0, 1]


@dataclass(frozen=True)
class _Scene:
    """All surfaces in one soup, seen through one window of the picture."""

    points: np.ndarray  # (V, 3) px, px, depth comparable between cameras
    vertices: np.ndarray  # (V, 3) m, each in its own camera
    normals: np.ndarray  # (V, 3) unit, outward
    colours: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals at the vertices, faces weighted by their area.

    vertices: (V, 3). faces: (F, 3) outward orientation.
    returns: (V, 3); zero where a vertex has no face with an area.
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def draw_surfaces(
    image: np.ndarray, surfaces: Sequence[Surface], *, opacity: float = 0.85
) -> np.ndarray:
    """A copy of a picture with the surfaces over it, nearer ones hiding farther ones.

    Depths of surfaces with differing cameras are compared by their apparent distance (depth over
    focal length), so that hands from virtual cameras still cover each other by size.

    image: (h, w, 3) uint8 RGB.
    opacity: 0 leaves the picture, 1 hides it.
    """
    scene = _gather(surfaces)
    window = _window(scene.points, image.shape[:2])
    if window is None:
        return image.copy()
    x0, y0, x1, y1 = window
    factor = 2 if max(x1 - x0, y1 - y0) <= SUPERSAMPLED_UNTIL else 1
    colour, cover = _shade(scene, window, factor)
    drawn = image.copy()
    behind = image[y0:y1, x0:x1].astype(np.float32) / 255
    mixed = behind * (1 - opacity * cover[..., None]) + opacity * colour
    drawn[y0:y1, x0:x1] = np.round(255 * mixed.clip(0, 1)).astype(np.uint8)
    return drawn


def _gather(surfaces: Sequence[Surface]) -> _Scene:
    points, vertices, normals, colours, faces = [], [], [], [], []
    count, focal = 0, surfaces[0].intrinsics[0, 0]
    for surface in surfaces:
        camera = surface.intrinsics
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = surface.vertices @ camera.T
            pixels = seen[:, :2] / seen[:, 2:]
        # What is behind the camera has no place in the picture; its faces are left out.
        ahead = surface.vertices[:, 2] > NEAR
        depth = surface.vertices[:, 2] * (focal / camera[0, 0])
        points.append(np.where(ahead[:, None], np.c_[pixels, depth], [0.0, 0.0, -1.0]))
        vertices.append(surface.vertices)
        normals.append(vertex_normals(surface.vertices, surface.faces))
        colours.append(np.tile(surface.colour, (len(surface.vertices), 1)))
        whole = ahead[surface.faces].all(1)
        faces.append(surface.faces[whole] + count)
        count += len(surface.vertices)
    return _Scene(*(np.concatenate(part) for part in (points, vertices, normals, colours, faces)))


def _window(points: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """x0 y0 x1 y1 of the pixels the surfaces may touch, None when they touch none."""
    seen = points[points[:, 2] > 0, :2]
    if not len(seen):
        return None
    height, width = size
    low = np.clip(np.floor(seen.min(0)) - 1, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(seen.max(0)) + 2, 0, (width, height)).astype(int)
    return (*low, *high) if (high > low).all() else None


def _shade(
    scene: _Scene, window: tuple[int, int, int, int], factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Colour already multiplied by its cover (h, w, 3), and cover (h, w), both in [0, 1]."""
    x0, y0, x1, y1 = window
    size = ((y1 - y0) * factor, (x1 - x0) * factor)
    points = scene.points.copy()
    points[:, :2] = (points[:, :2] - (x0, y0) + 0.5) * factor - 0.5
    depth, face, weights = rasterize(points, scene.faces, size)
    hit = face >= 0
    corners = scene.faces[face[hit]]
    weights = np.c_[weights[hit], 1 - weights[hit].sum(1)]

    def at_pixels(per_vertex: np.ndarray) -> np.ndarray:
        values = per_vertex.astype(np.float32)
        return sum(weights[:, k, None] * values[corners[:, k]] for k in range(3))

    inside = _turned_away(points, scene.faces)[face[hit]]
    normals = _unit(at_pixels(scene.normals)) * np.where(inside, -1, 1)[:, None]
    diffuse, gloss = _light(normals, _unit(-at_pixels(scene.vertices)))
    diffuse[inside] *= 0.45  # seen through the open wrist
    gloss[inside] = 0
    picture = np.zeros((*size, 3), np.float32)
    picture[hit] = at_pixels(scene.colours) * diffuse[:, None] + gloss[:, None]
    picture *= _crevices(depth, hit)[..., None]
    small = (x1 - x0, y1 - y0)
    colour = cv2.resize(picture.clip(0, 1), small, interpolation=cv2.INTER_AREA)
    return colour, cv2.resize(hit.astype(np.float32), small, interpolation=cv2.INTER_AREA)


def _light(normals: np.ndarray, to_eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of its colour each pixel returns, and the white shine on top.

    A lamp that wraps softly round the form, a dim sky above, a glint (Blinn and Phong), and edges
    that fall off, so that a finger before the palm keeps its outline.
    """
    wrapped = ((normals @ LIGHT + 0.25) / 1.25).clip(0)
    sky = 0.5 - 0.5 * normals[:, 1]
    edge = 1 - (normals * to_eye).sum(1).clip(0, 1)
    diffuse = (0.40 + 0.16 * sky + 0.60 * wrapped) * (1 - 0.35 * edge**3)
    half = _unit(to_eye + LIGHT)
    gloss = 0.16 * (normals * half).sum(1).clip(0) ** 24
    return diffuse, gloss


def _turned_away(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) whether a face shows the camera its inside: its corners go round clockwise."""
    a, b, c = (points[faces[:, k], :2] for k in range(3))
    return (b - a)[:, 0] * (c - a)[:, 1] - (c - a)[:, 0] * (b - a)[:, 1] > 0


def _crevices(depth: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Darker where the surroundings stand nearer, (H, W) in [0, 1].

    Source: Luft, Colditz and Deussen, Image Enhancement by Unsharp Masking the Depth Buffer, 2006.
    """
    if not hit.any():
        return np.ones(hit.shape)
    reach = 0.03 * np.sqrt(hit.sum())
    mask = hit.astype(np.float32)
    filled = np.where(hit, depth, np.float32(0))
    near = cv2.GaussianBlur(filled, (0, 0), reach)
    near /= np.maximum(cv2.GaussianBlur(mask, (0, 0), reach), 1e-6)
    span = np.ptp(depth[hit]) + 1e-12
    return np.where(hit, 1 - 2.0 * ((filled - near) / span).clip(0, 0.2), 1.0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20)
