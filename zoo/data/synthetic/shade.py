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
# numba makes a double of a float32 and a whole number, and doubles are slow here.
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
TINY = np.float32(1e-20)
STEPS = np.float32(TEXEL_STEPS)


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
def shade(
    points,
    normals,
    faces,
    rows,
    material,
    depth,
    face_id,
    barycentric,
    around,
    crease,
    texels,
    materials,
    light,
    shadows,
    lamp,
    samples,
    out,
):  # pragma: no cover
    """Linear RGB of every seen sample into `out` (h, w, 3).

    points, normals: (V, 3), camera. rows, material: (F,) each face's texels and material.
    lamp: (3, 4) camera point -> shadow map px x, px y, depth less its bias.
    around: (h, w) m, mean depth near a sample; one that lies `crease` m behind it is in a crease.
    samples: along each side of a pixel; those of one face in one pixel share their colour.
    """
    height, width = face_id.shape
    faces_here = np.empty(samples * samples, np.int32)
    for top in range(0, height, samples):
        for left in range(0, width, samples):
            for n in range(samples * samples):
                y, x = top + n // samples, left + n % samples
                f = face_id[y, x]
                faces_here[n] = f
                if f < 0:
                    continue
                shared = False
                for m in range(n):
                    if faces_here[m] == f:
                        ty, tx = top + m // samples, left + m % samples
                        out[y, x, 0], out[y, x, 1] = out[ty, tx, 0], out[ty, tx, 1]
                        out[y, x, 2] = out[ty, tx, 2]
                        shared = True
                        break
                if shared:
                    continue
                behind = (depth[y, x] - around[y, x]) / crease
                openness = ONE - np.float32(0.75) * min(ONE, max(ZERO, behind))
                out[y, x, 0], out[y, x, 1], out[y, x, 2] = _seen(
                    points,
                    normals,
                    faces[f],
                    barycentric[y, x, 0],
                    barycentric[y, x, 1],
                    texels[rows[f]],
                    materials[material[f]],
                    light,
                    shadows,
                    lamp,
                    openness,
                )


@numba.njit(cache=True, fastmath=True, inline="always")
def _seen(
    points, normals, corners, w0, w1, texel, kind, light, shadows, lamp, openness
):  # pragma: no cover
    """Linear RGB of one point of a face."""
    w2 = ONE - w0 - w1
    a, b, c = corners[0], corners[1], corners[2]
    px = w0 * points[a, 0] + w1 * points[b, 0] + w2 * points[c, 0]
    py = w0 * points[a, 1] + w1 * points[b, 1] + w2 * points[c, 1]
    pz = w0 * points[a, 2] + w1 * points[b, 2] + w2 * points[c, 2]
    nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
    ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
    nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
    inverse = ONE / np.sqrt(nx * nx + ny * ny + nz * nz + TINY)
    nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
    lx, ly, lz = light[DIRECTION, 0], light[DIRECTION, 1], light[DIRECTION, 2]
    facing = nx * lx + ny * ly + nz * lz
    lit = _lit(shadows, lamp, px, py, pz) if facing > np.float32(-0.25) else ZERO
    filled = nx * light[FILL_DIRECTION, 0] + ny * light[FILL_DIRECTION, 1]
    filled = max(ZERO, filled + nz * light[FILL_DIRECTION, 2])
    first, second, third, t1, t2 = _texel(w1, w2)
    gleam = ZERO
    if facing > ZERO and lit > ZERO and kind[3] > ZERO:
        inverse = ONE / np.sqrt(px * px + py * py + pz * pz)
        hx, hy, hz = lx - px * inverse, ly - py * inverse, lz - pz * inverse
        inverse = ONE / np.sqrt(hx * hx + hy * hy + hz * hz + TINY)
        between = max(ZERO, (nx * hx + ny * hy + nz * hz) * inverse)
        gloss = np.float32(0.35) + np.float32(2.2) * texel[first, 3]
        gleam = kind[3] * between ** kind[4] * gloss * lit
    r = _mix(0, texel, first, second, third, t1, t2, kind, light, facing, lit, filled, ny, openness)
    g = _mix(1, texel, first, second, third, t1, t2, kind, light, facing, lit, filled, ny, openness)
    b = _mix(2, texel, first, second, third, t1, t2, kind, light, facing, lit, filled, ny, openness)
    direct = HALF + HALF * openness
    r += gleam * light[KEY, 0] * direct
    g += gleam * light[KEY, 1] * direct
    b += gleam * light[KEY, 2] * direct
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
def _mix(
    k, texel, first, second, third, t1, t2, kind, light, facing, lit, filled, ny, openness
):  # pragma: no cover
    """One colour channel without its highlight."""
    albedo = (ONE - t1 - t2) * texel[first, k] + t1 * texel[second, k] + t2 * texel[third, k]
    wrap = kind[5 + k]  # light that went through skin comes out past the terminator
    diffuse = max(ZERO, (facing + wrap) / (ONE + wrap))
    diffuse *= lit + (ONE - lit) * wrap * np.float32(0.25)
    sky = light[GROUND, k] + (light[SKY, k] - light[GROUND, k]) * (HALF - HALF * ny)
    sky = (sky + light[FILL, k] * filled) * openness
    return albedo * kind[k] * (light[KEY, k] * (HALF + HALF * openness) * diffuse + sky)


@numba.njit(cache=True, fastmath=True)
def develop(
    colour,
    face_id,
    left,
    top,
    samples,
    background,
    gain,
    shadow,
    balance,
    vignette,
    curve,
    grain,
    noise,
    out,
):  # pragma: no cover
    """Samples over a background to an (S, S, 3) uint8 picture: coverage, lens, tones and grain.

    colour, face_id: of the window whose first sample belongs to picture px (left, top).
    samples: along each side of a pixel. gain, shadow (S, S): brightness of the background.
    balance: (3,) factors. curve: (CURVE_SIZE + 1,) of 255. grain (S, S, 3) counts `noise` times.
    """
    height, width = out.shape[:2]
    high, wide = face_id.shape[0] // samples, face_id.shape[1] // samples
    share = np.float32(1 / samples**2)
    across, down = ONE / np.float32(width), ONE / np.float32(height)
    grey_steps, white = np.float32(CURVE_SIZE), np.float32(255)
    for y in range(height):
        for x in range(width):
            r = g = b = cover = ZERO
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
            dx, dy = np.float32(x) * across - HALF, np.float32(y) * down - HALF
            lens = ONE - (vignette + vignette) * (dx * dx + dy * dy)
            through = (ONE - cover) * gain * (ONE - shadow[y, x])
            for k in range(3):
                value = r if k == 0 else g if k == 1 else b
                value = (value + through * background[y, x, k]) * balance[k] * lens
                value = min(ONE, max(ZERO, value))
                grey = curve[int(value * grey_steps)] + noise * grain[y, x, k] + HALF
                out[y, x, k] = np.uint8(min(white, max(ZERO, grey)))


def tone_curves(count: int) -> np.ndarray:
    """(count, CURVE_SIZE + 1) float32: linear light to grey values, from flat to contrasty."""
    grey = np.linspace(0, 1, CURVE_SIZE + 1) ** (1 / 2.2)
    bend = np.linspace(-0.15, 0.5, count)[:, None]
    return (255 * (grey + bend * grey * (1 - grey) * (2 * grey - 1))).astype(np.float32)
