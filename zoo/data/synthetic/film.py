"""What the camera makes of light: pixels, lens, tone curve and grain."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from zoo.data.synthetic.shade import HALF, ONE, ZERO, Window

CURVE_SIZE = 4096


class Film(NamedTuple):
    """What stands behind the mesh, and how the picture is taken; float32."""

    background: np.ndarray  # (S, S, 3) linear RGB
    gain: np.float32  # brightness of the background
    shadow: np.ndarray  # (S, S) share of its light that the mesh takes
    balance: np.ndarray  # (3,) exposure and white balance
    vignette: np.float32
    curve: np.ndarray  # (CURVE_SIZE + 1,) grey values of 255
    grain: np.ndarray  # (S, S, 3) of unit variance
    noise: np.float32  # grey values, of the grain


@numba.njit(cache=True, fastmath=True)
def develop(window: Window, film: Film, samples: int, out: np.ndarray):  # pragma: no cover
    """Samples over a background to an (S, S, 3) uint8 picture.

    samples: along each side of a pixel.
    """
    height, width = out.shape[:2]
    high, wide = window.face_id.shape[0] // samples, window.face_id.shape[1] // samples
    share = np.float32(1 / samples**2)
    across, down = ONE / np.float32(width), ONE / np.float32(height)
    grey_steps, white = np.float32(CURVE_SIZE), np.float32(255)
    for y in range(height):
        for x in range(width):
            r = g = b = cover = ZERO
            u, v = x - window.left, y - window.top
            if 0 <= u < wide and 0 <= v < high:
                for j in range(samples):
                    for i in range(samples):
                        sy, sx = samples * v + j, samples * u + i
                        if window.face_id[sy, sx] >= 0:
                            cover += share
                            r += share * window.colour[sy, sx, 0]
                            g += share * window.colour[sy, sx, 1]
                            b += share * window.colour[sy, sx, 2]
            dx, dy = np.float32(x) * across - HALF, np.float32(y) * down - HALF
            lens = ONE - (film.vignette + film.vignette) * (dx * dx + dy * dy)
            through = (ONE - cover) * film.gain * (ONE - film.shadow[y, x])
            for k in range(3):
                value = r if k == 0 else g if k == 1 else b
                value = (value + through * film.background[y, x, k]) * film.balance[k] * lens
                value = min(ONE, max(ZERO, value))
                grey = film.curve[int(value * grey_steps)] + film.noise * film.grain[y, x, k] + HALF
                out[y, x, k] = np.uint8(min(white, max(ZERO, grey)))


def tone_curves(count: int) -> np.ndarray:
    """(count, CURVE_SIZE + 1) float32: linear light to grey values, from flat to contrasty."""
    grey = np.linspace(0, 1, CURVE_SIZE + 1) ** (1 / 2.2)
    bend = np.linspace(-0.15, 0.5, count)[:, None]
    return (255 * (grey + bend * grey * (1 - grey) * (2 * grey - 1))).astype(np.float32)
