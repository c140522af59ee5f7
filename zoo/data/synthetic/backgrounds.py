"""Out-of-focus surroundings made of noise, surfaces and shapes, a bank of them for a data set."""

from __future__ import annotations

import cv2
import numpy as np


def background_bank(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Pictures to stand behind hands.

    returns: (count, size, size, 3) float32 linear RGB in [0, 1].
    """
    return np.stack([_background(size, rng) for _ in range(count)])


def _background(size: int, rng: np.random.Generator) -> np.ndarray:
    image = _wash(size, rng)
    for _ in range(int(rng.integers(0, 14))):
        _add_shape(image, rng)
    if rng.random() < 0.4:
        image *= _grain(size, rng)[..., None]
    image *= _falloff(size, rng)[..., None]
    blur = rng.choice([0.0, 0.8, 2.0, 4.0, 8.0])
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), float(blur))
    return image.clip(0, 1).astype(np.float32)


def _colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of a room: mostly muted, seldom black or pure."""
    saturation = rng.beta(1.2, 2.2)
    colour = rng.random(3)
    grey = colour.mean()
    return (grey + (colour - grey) * saturation) ** 1.8


def _noise(size: int, rng: np.random.Generator, cells: tuple[int, ...]) -> np.ndarray:
    total = np.zeros((size, size), np.float32)
    for octave, cell in enumerate(cells):
        field = rng.standard_normal((cell, cell)).astype(np.float32)
        total += cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC) * 0.5**octave
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


def _wash(size: int, rng: np.random.Generator) -> np.ndarray:
    noise = (_noise(size, rng, (3, 6, 12, 24, 64)) - 0.5) * rng.uniform(0.2, 1.2) + 0.5
    first, second = _colour(rng), _colour(rng)
    return (first + (second - first) * noise.clip(0, 1)[..., None]).astype(np.float32)


def _add_shape(image: np.ndarray, rng: np.random.Generator) -> None:
    size = len(image)
    centre, half = rng.uniform(0, size, 2), rng.uniform(0.03, 0.4, 2) * size
    mask = np.zeros((size, size), np.float32)
    if rng.random() < 0.65:
        box = cv2.boxPoints((centre.tolist(), (2 * half).tolist(), rng.uniform(0, 180)))
        cv2.fillConvexPoly(mask, box.astype(np.int32), 1.0, cv2.LINE_AA)
    else:
        axes = tuple(int(h) for h in half)
        at = tuple(int(c) for c in centre)
        cv2.ellipse(mask, at, axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
    mask *= rng.uniform(0.6, 1.0)
    image += mask[..., None] * (_colour(rng).astype(np.float32) - image)


def _grain(size: int, rng: np.random.Generator) -> np.ndarray:
    """Fibres, as of wood or cloth: noise drawn long in one direction."""
    field = rng.standard_normal((size, size)).astype(np.float32)
    length = float(rng.uniform(6, 40))
    field = cv2.GaussianBlur(field, (0, 0), length, sigmaY=float(rng.uniform(0.5, 1.5)))
    if rng.random() < 0.5:
        field = field.T
    return 1 + rng.uniform(0.03, 0.15) * field / field.std()


def _falloff(size: int, rng: np.random.Generator) -> np.ndarray:
    """A lamp somewhere: brightness that changes across the picture."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    slope = rng.uniform(-0.8, 0.8, 2)
    return (1 + slope[0] * x + slope[1] * y).clip(0.2, 2)
