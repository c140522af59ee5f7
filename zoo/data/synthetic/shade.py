"""The pixel loops of a picture: light on every seen sample, then samples to a photograph.

Pictures need to look right, not to agree to the last bit between machines, hence fastmath here and
not in the z-buffer.
"""

from __future__ import annotations

import numba
import numpy as np

from zoo.mano.procedural.appearance import TEXEL_STEPS

# A material's columns: tint R G B, specular strength, specular exponent, wrap R G B.
# Rows of the light array: directions towards the two lights, and four colours.
DIRECTION, FILL_DIRECTION, KEY, FILL, SKY, GROUND = range(6)
CURVE_SIZE = 4096


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
        length = np.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2) + np.float32(1e-20)
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
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                w0 = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
                w1 = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
                w2 = 1 - w0 - w1
                if w0 >= 0 and w1 >= 0 and w2 >= 0:
                    z = w0 * z0 + w1 * z1 + w2 * z2
                    out[y, x] = min(out[y, x], z)


@numba.njit(cache=True, fastmath=True, inline="always")
def _lit(shadows, lamp, px, py, pz):  # pragma: no cover
    """Share of the key light that reaches a point: four taps, bilinear."""
    size = shadows.shape[0]
    x = lamp[0, 0] * px + lamp[0, 1] * py + lamp[0, 2] * pz + lamp[0, 3]
    y = lamp[1, 0] * px + lamp[1, 1] * py + lamp[1, 2] * pz + lamp[1, 3]
    z = lamp[2, 0] * px + lamp[2, 1] * py + lamp[2, 2] * pz + lamp[2, 3]
    ix, iy = int(np.floor(x)), int(np.floor(y))
    if ix < 0 or iy < 0 or ix >= size - 1 or iy >= size - 1:
        return np.float32(1)
    fx, fy = x - ix, y - iy
    a = np.float32(z < shadows[iy, ix])
    b = np.float32(z < shadows[iy, ix + 1])
    c = np.float32(z < shadows[iy + 1, ix])
    d = np.float32(z < shadows[iy + 1, ix + 1])
    return (1 - fy) * (a + fx * (b - a)) + fy * (c + fx * (d - c))


@numba.njit(cache=True, fastmath=True)
def shade(
    points,
    normals,
    faces,
    rows,
    material,
    face_id,
    barycentric,
    texels,
    materials,
    light,
    shadows,
    lamp,
    occlusion,
    out,
):  # pragma: no cover
    """Linear RGB of every seen sample into `out` (h, w, 3).

    points, normals: (V, 3), camera. rows, material: (F,) each face's texels and material.
    lamp: (3, 4) camera point -> shadow map px x, px y, depth less its bias.
    occlusion: (h, w) share of the surroundings' light that arrives.
    """
    height, width = face_id.shape
    steps = TEXEL_STEPS
    lx, ly, lz = light[DIRECTION, 0], light[DIRECTION, 1], light[DIRECTION, 2]
    gx0, gy0, gz0 = light[FILL_DIRECTION, 0], light[FILL_DIRECTION, 1], light[FILL_DIRECTION, 2]
    for y in range(height):
        for x in range(width):
            f = face_id[y, x]
            if f < 0:
                continue
            w0, w1 = barycentric[y, x, 0], barycentric[y, x, 1]
            w2 = 1 - w0 - w1
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            px = w0 * points[a, 0] + w1 * points[b, 0] + w2 * points[c, 0]
            py = w0 * points[a, 1] + w1 * points[b, 1] + w2 * points[c, 1]
            pz = w0 * points[a, 2] + w1 * points[b, 2] + w2 * points[c, 2]
            nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
            ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
            nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
            inverse = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-20))
            nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
            # The texels of a face form a triangle: interpolate in the small one that is hit.
            gx = max(np.float32(0), min(w1 * steps, np.float32(steps - 1e-3)))
            gy = max(np.float32(0), min(w2 * steps, np.float32(steps - 1e-3)))
            i, j = int(gx), int(gy)
            if i + j > steps - 1:
                i = max(0, steps - 1 - j)
            fx, fy = min(np.float32(1), gx - i), gy - j
            low = j * (steps + 1) - j * (j - 1) // 2 + i
            high = (j + 1) * (steps + 1) - (j + 1) * j // 2 + i
            first, t1, t2 = low, fx, fy
            if fx + fy > 1 and i + j < steps - 1:
                first, t1, t2 = high + 1, 1 - fx, 1 - fy
                low, high = high - 1, low + 1
            t0 = 1 - t1 - t2
            texel = texels[rows[f]]
            kind = materials[material[f]]
            # Light.
            inverse = 1 / np.sqrt(px * px + py * py + pz * pz)
            vx, vy, vz = -px * inverse, -py * inverse, -pz * inverse
            facing = nx * lx + ny * ly + nz * lz
            lit = _lit(shadows, lamp, px, py, pz) if facing > np.float32(-0.25) else np.float32(0)
            up = np.float32(0.5) - np.float32(0.5) * ny
            open_sky = occlusion[y, x]
            filled = max(np.float32(0), nx * gx0 + ny * gy0 + nz * gz0)
            gleam = np.float32(0)
            if facing > 0 and lit > 0 and kind[3] > 0:
                hx, hy, hz = vx + lx, vy + ly, vz + lz
                inverse = 1 / np.sqrt(hx * hx + hy * hy + hz * hz + np.float32(1e-20))
                half = max(np.float32(0), (nx * hx + ny * hy + nz * hz) * inverse)
                gloss = np.float32(0.35) + np.float32(2.2) * texel[first, 3]
                gleam = kind[3] * half ** kind[4] * gloss * lit
            for k in range(3):
                albedo = t0 * texel[first, k] + t1 * texel[low + 1, k] + t2 * texel[high, k]
                wrap = kind[5 + k]  # light that went through skin comes out past the terminator
                diffuse = max(np.float32(0), (facing + wrap) / (1 + wrap)) * (
                    lit + (1 - lit) * wrap * np.float32(0.25)
                )
                around = light[GROUND, k] + (light[SKY, k] - light[GROUND, k]) * up
                around = (around + light[FILL, k] * filled) * open_sky
                key = light[KEY, k] * (np.float32(0.5) + np.float32(0.5) * open_sky)
                out[y, x, k] = albedo * kind[k] * (key * diffuse + around) + gleam * key


@numba.njit(cache=True, fastmath=True)
def develop(
    colour, face_id, left, top, samples, background, balance, vignette, curve, noise, out
):  # pragma: no cover
    """Samples over a background to an (S, S, 3) uint8 picture: coverage, lens, tones and grain.

    colour, face_id: of the window whose first sample belongs to picture px (left, top).
    samples: along each side of a pixel. balance: (3,) factors. curve: (CURVE_SIZE + 1,) of 255.
    """
    height, width = out.shape[:2]
    high, wide = face_id.shape[0] // samples, face_id.shape[1] // samples
    share = np.float32(1 / samples**2)
    for y in range(height):
        for x in range(width):
            r = g = b = cover = np.float32(0)
            u, v = x - left, y - top
            if 0 <= u < wide and 0 <= v < high:
                for j in range(samples):
                    for i in range(samples):
                        sy, sx = samples * v + j, samples * u + i
                        if face_id[sy, sx] >= 0:
                            cover += share
                            r += share * colour[sy, sx, 0]
                            g += share * colour[sy, sx, 1]
                            b += share * colour[sy, sx, 2]
            dx, dy = (
                np.float32(x) / width - np.float32(0.5),
                np.float32(y) / height - np.float32(0.5),
            )
            lens = 1 - 2 * vignette * (dx * dx + dy * dy)
            for k in range(3):
                value = r if k == 0 else g if k == 1 else b
                value = (value + (1 - cover) * background[y, x, k]) * balance[k] * lens
                value = min(np.float32(1), max(np.float32(0), value))
                grey = curve[int(value * CURVE_SIZE)] + noise[y, x, k] + np.float32(0.5)
                out[y, x, k] = np.uint8(min(np.float32(255), max(np.float32(0), grey)))


def tone_curves(count: int) -> np.ndarray:
    """(count, CURVE_SIZE + 1) float32: linear light to grey values, from flat to contrasty."""
    grey = np.linspace(0, 1, CURVE_SIZE + 1) ** (1 / 2.2)
    bend = np.linspace(-0.15, 0.5, count)[:, None]
    return (255 * (grey + bend * grey * (1 - grey) * (2 * grey - 1))).astype(np.float32)
