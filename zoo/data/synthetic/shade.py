"""Light on every seen sample of a mesh.

Pictures need to look right, not to agree to the last bit between machines, hence fastmath here and
not in the z-buffer.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from zoo.mano.procedural.appearance import TEXEL_STEPS

# A material's columns: tint R G B, specular strength, specular exponent, wrap R G B.
# Rows of the light array: directions towards the two lights, and four colours.
DIRECTION, FILL_DIRECTION, KEY, FILL, SKY, GROUND = range(6)
# numba makes a double of a float32 and a whole number, and doubles are slow here.
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
TINY = np.float32(1e-20)
STEPS = np.float32(TEXEL_STEPS)


class Surface(NamedTuple):
    """A mesh in the camera frame with what is needed to colour it."""

    points: np.ndarray  # (V, 3) float32 m
    normals: np.ndarray  # (V, 3) float32, unit
    faces: np.ndarray  # (F, 3) int64
    rows: np.ndarray  # (F,) int64, into the texels
    material: np.ndarray  # (F,) int8


class Window(NamedTuple):
    """The part of the picture that the mesh covers, in samples."""

    left: int  # px
    top: int  # px
    depth: np.ndarray  # (h, w) float32 m
    face_id: np.ndarray  # (h, w) int32, -1 where empty
    barycentric: np.ndarray  # (h, w, 2) float32
    colour: np.ndarray  # (h, w, 3) float32 linear RGB


class Lighting(NamedTuple):
    """Light, and what it falls on; float32."""

    texels: np.ndarray  # (R, 45, 4) albedo RGB and gloss
    materials: np.ndarray  # (3, 8)
    light: np.ndarray  # (6, 3)
    shadows: np.ndarray  # (S, S) m, nearest depth along the light
    lamp: np.ndarray  # (3, 4) camera point -> shadow map px x, px y, depth less its bias
    around: np.ndarray  # (h, w) m, mean depth near a sample
    crease: np.float32  # m behind it at which a sample lies in a crease


@numba.njit(cache=True, fastmath=True)
def vertex_normals(points, faces, out):  # pragma: no cover
    """Unit normals (V, 3) into `out`, the mean of a vertex's faces weighted by area."""
    out[:] = 0
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = (
            points[b, 0] - points[a, 0],
            points[b, 1] - points[a, 1],
            points[b, 2] - points[a, 2],
        )
        vx, vy, vz = (
            points[c, 0] - points[a, 0],
            points[c, 1] - points[a, 1],
            points[c, 2] - points[a, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for v in range(out.shape[0]):
        length = np.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2) + TINY
        out[v, 0] /= length
        out[v, 1] /= length
        out[v, 2] /= length


@numba.njit(cache=True, fastmath=True)
def shadow_map(points, faces, out):  # pragma: no cover
    """Nearest depth along the light into `out` (S, S); points are x px, y px and depth there."""
    size = out.shape[0]
    out[:] = np.float32(1e9)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, z0 = points[a, 0], points[a, 1], points[a, 2]
        x1, y1, z1 = points[b, 0], points[b, 1], points[b, 2]
        x2, y2, z2 = points[c, 0], points[c, 1], points[c, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area <= 0:  # only the far side of things casts, so that no lit side shades itself
            continue
        left, right = max(0, int(np.ceil(min(x0, x1, x2)))), min(size - 1, int(max(x0, x1, x2)))
        top, bottom = max(0, int(np.ceil(min(y0, y1, y2)))), min(size - 1, int(max(y0, y1, y2)))
        scale, first = ONE / area, np.float32(left)
        step0, step1 = (y1 - y2) * scale, (y2 - y0) * scale
        for y in range(top, bottom + 1):
            py = np.float32(y)
            row0 = ((x1 - first) * (y2 - py) - (x2 - first) * (y1 - py)) * scale
            row1 = ((x2 - first) * (y0 - py) - (x0 - first) * (y2 - py)) * scale
            for x in range(left, right + 1):
                along = np.float32(x - left)
                w0, w1 = row0 + step0 * along, row1 + step1 * along
                w2 = ONE - w0 - w1
                if w0 >= ZERO and w1 >= ZERO and w2 >= ZERO:
                    out[y, x] = min(out[y, x], w0 * z0 + w1 * z1 + w2 * z2)


@numba.njit(cache=True, fastmath=True, inline="always")
def _lit(shadows, lamp, px, py, pz):  # pragma: no cover
    """Share of the key light that reaches a point: four taps, bilinear."""
    size = shadows.shape[0]
    x = lamp[0, 0] * px + lamp[0, 1] * py + lamp[0, 2] * pz + lamp[0, 3]
    y = lamp[1, 0] * px + lamp[1, 1] * py + lamp[1, 2] * pz + lamp[1, 3]
    z = lamp[2, 0] * px + lamp[2, 1] * py + lamp[2, 2] * pz + lamp[2, 3]
    ix, iy = int(np.floor(x)), int(np.floor(y))
    if ix < 0 or iy < 0 or ix >= size - 1 or iy >= size - 1:
        return ONE
    fx, fy = x - np.float32(ix), y - np.float32(iy)
    a = np.float32(z < shadows[iy, ix])
    b = np.float32(z < shadows[iy, ix + 1])
    c = np.float32(z < shadows[iy + 1, ix])
    d = np.float32(z < shadows[iy + 1, ix + 1])
    return (ONE - fy) * (a + fx * (b - a)) + fy * (c + fx * (d - c))


@numba.njit(cache=True, fastmath=True)
def shade(surface: Surface, window: Window, lighting: Lighting, samples: int):  # pragma: no cover
    """Linear RGB of every seen sample into the window's colour.

    samples: along each side of a pixel; those of one face in one pixel share their colour.
    """
    height, width = window.face_id.shape
    here = np.empty(samples * samples, np.int32)
    colour = window.colour
    for top in range(0, height, samples):
        for left in range(0, width, samples):
            for n in range(samples * samples):
                y, x = top + n // samples, left + n % samples
                here[n] = window.face_id[y, x]
                if here[n] < 0:
                    continue
                m = 0
                while here[m] != here[n]:
                    m += 1
                if m < n:
                    ty, tx = top + m // samples, left + m % samples
                    colour[y, x, 0], colour[y, x, 1] = colour[ty, tx, 0], colour[ty, tx, 1]
                    colour[y, x, 2] = colour[ty, tx, 2]
                    continue
                behind = (window.depth[y, x] - lighting.around[y, x]) / lighting.crease
                openness = ONE - np.float32(0.75) * min(ONE, max(ZERO, behind))
                w0, w1 = window.barycentric[y, x, 0], window.barycentric[y, x, 1]
                r, g, b = _seen(surface, lighting, here[n], w0, w1, openness)
                colour[y, x, 0], colour[y, x, 1], colour[y, x, 2] = r, g, b


@numba.njit(cache=True, fastmath=True, inline="always")
def _seen(surface, lighting, f, w0, w1, openness):  # pragma: no cover
    """Linear RGB of one point of a face."""
    w2 = ONE - w0 - w1
    a, b, c = surface.faces[f, 0], surface.faces[f, 1], surface.faces[f, 2]
    texel, kind = lighting.texels[surface.rows[f]], lighting.materials[surface.material[f]]
    px = w0 * surface.points[a, 0] + w1 * surface.points[b, 0] + w2 * surface.points[c, 0]
    py = w0 * surface.points[a, 1] + w1 * surface.points[b, 1] + w2 * surface.points[c, 1]
    pz = w0 * surface.points[a, 2] + w1 * surface.points[b, 2] + w2 * surface.points[c, 2]
    nx = w0 * surface.normals[a, 0] + w1 * surface.normals[b, 0] + w2 * surface.normals[c, 0]
    ny = w0 * surface.normals[a, 1] + w1 * surface.normals[b, 1] + w2 * surface.normals[c, 1]
    nz = w0 * surface.normals[a, 2] + w1 * surface.normals[b, 2] + w2 * surface.normals[c, 2]
    inverse = ONE / np.sqrt(nx * nx + ny * ny + nz * nz + TINY)
    nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
    lx, ly, lz = (
        lighting.light[DIRECTION, 0],
        lighting.light[DIRECTION, 1],
        lighting.light[DIRECTION, 2],
    )
    facing = nx * lx + ny * ly + nz * lz
    lit = _lit(lighting.shadows, lighting.lamp, px, py, pz) if facing > np.float32(-0.25) else ZERO
    filled = nx * lighting.light[FILL_DIRECTION, 0] + ny * lighting.light[FILL_DIRECTION, 1]
    filled = max(ZERO, filled + nz * lighting.light[FILL_DIRECTION, 2])
    spot = _texel(w1, w2)
    gleam = ZERO
    if facing > ZERO and lit > ZERO and kind[3] > ZERO:
        inverse = ONE / np.sqrt(px * px + py * py + pz * pz)
        hx, hy, hz = lx - px * inverse, ly - py * inverse, lz - pz * inverse
        inverse = ONE / np.sqrt(hx * hx + hy * hy + hz * hz + TINY)
        between = max(ZERO, (nx * hx + ny * hy + nz * hz) * inverse)
        gloss = np.float32(0.35) + np.float32(2.2) * texel[spot[0], 3]
        gleam = kind[3] * between ** kind[4] * gloss * lit
    r = _mix(0, texel, spot, kind, lighting.light, facing, lit, filled, ny, openness)
    g = _mix(1, texel, spot, kind, lighting.light, facing, lit, filled, ny, openness)
    b = _mix(2, texel, spot, kind, lighting.light, facing, lit, filled, ny, openness)
    direct = HALF + HALF * openness
    r += gleam * lighting.light[KEY, 0] * direct
    g += gleam * lighting.light[KEY, 1] * direct
    b += gleam * lighting.light[KEY, 2] * direct
    return r, g, b


@numba.njit(cache=True, fastmath=True, inline="always")
def _texel(w1, w2):  # pragma: no cover
    """The three texels around a point of a face, and the weights of the last two."""
    most = STEPS - np.float32(1e-3)
    gx, gy = max(ZERO, min(w1 * STEPS, most)), max(ZERO, min(w2 * STEPS, most))
    i, j = int(gx), int(gy)
    if i + j > TEXEL_STEPS - 1:
        i = max(0, TEXEL_STEPS - 1 - j)
    fx, fy = min(ONE, gx - np.float32(i)), gy - np.float32(j)
    low = j * (TEXEL_STEPS + 1) - j * (j - 1) // 2 + i
    high = (j + 1) * (TEXEL_STEPS + 1) - (j + 1) * j // 2 + i
    if fx + fy > ONE and i + j < TEXEL_STEPS - 1:  # the upper of the two small triangles
        return high + 1, high, low + 1, ONE - fx, ONE - fy
    return low, low + 1, high, fx, fy


@numba.njit(cache=True, fastmath=True, inline="always")
def _mix(k, texel, spot, kind, light, facing, lit, filled, ny, openness):  # pragma: no cover
    """One colour channel without its highlight."""
    first, second, third, t1, t2 = spot
    albedo = (ONE - t1 - t2) * texel[first, k] + t1 * texel[second, k] + t2 * texel[third, k]
    wrap = kind[5 + k]  # light that went through skin comes out past the terminator
    diffuse = max(ZERO, (facing + wrap) / (ONE + wrap))
    diffuse *= lit + (ONE - lit) * wrap * np.float32(0.25)
    sky = light[GROUND, k] + (light[SKY, k] - light[GROUND, k]) * (HALF - HALF * ny)
    sky = (sky + light[FILL, k] * filled) * openness
    return albedo * kind[k] * (light[KEY, k] * (HALF + HALF * openness) * diffuse + sky)
