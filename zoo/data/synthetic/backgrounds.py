"""Surroundings for hands: tables, rooms, gardens, clothes and shelves, mostly out of focus."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

# Colours that rooms and streets are made of, sRGB of 255.
_WALLS = [(236, 231, 221), (204, 186, 158), (150, 150, 152), (176, 190, 200), (222, 214, 190)]
_WOODS = [(190, 150, 105), (150, 105, 66), (95, 62, 40), (214, 186, 148), (70, 48, 36)]
_THINGS = [
    *_WALLS,
    *_WOODS,
    (40, 42, 48),
    (18, 18, 20),
    (110, 125, 145),
    (35, 45, 80),
    (70, 100, 50),
    (150, 80, 60),
    (60, 80, 120),
    (160, 45, 42),
    (215, 178, 70),
    (50, 108, 108),
    (190, 190, 186),
]
_LEAVES = [(52, 78, 34), (84, 110, 48), (120, 140, 66), (38, 56, 30), (150, 150, 84)]


class BackgroundBank:
    """A fixed number of backgrounds, each drawn when it is first asked for."""

    def __init__(self, *, count: int, size: int, seed: int) -> None:
        """size: px of a side. seed: decides every picture of the bank."""
        self.count, self._size, self._seed = count, size, seed
        self._drawn = lru_cache(maxsize=None)(self._draw)

    def __getitem__(self, index: int) -> np.ndarray:
        """(size, size, 3) float32 linear RGB in [0, 1]."""
        return self._drawn(index)

    def _draw(self, index: int) -> np.ndarray:
        return draw_background(np.random.default_rng([self._seed, index]), self._size)


def draw_background(rng: np.random.Generator, size: int) -> np.ndarray:
    """One background, (size, size, 3) float32 linear RGB in [0, 1]."""
    kinds = (_table, _room, _garden, _clothes, _shelf, _wall)
    image = kinds[rng.choice(len(kinds), p=[0.3, 0.22, 0.12, 0.12, 0.12, 0.12])](rng, size)
    image *= 1 + 0.05 * rng.random() * _grain(rng, size, 1)[..., None]
    image *= _lamp(rng, size)[..., None]
    blur = rng.choice([0.5, 1.0, 2.0, 3.5, 6.0]) * size / 256
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), float(blur)).clip(0, 1)


def colour_of(rng: np.random.Generator, anchors: list[tuple[int, int, int]]) -> np.ndarray:
    """(3,) float32 linear RGB near one of some sRGB colours."""
    anchor = np.array(anchors[int(rng.integers(len(anchors)))]) / 255
    anchor = anchor * rng.uniform(0.75, 1.2) + rng.normal(0, 0.02, 3)
    return (anchor.clip(0.01, 1) ** 2.2).astype(np.float32)


def thing_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) float32 linear RGB of cloth, plastic, paint or paper."""
    return colour_of(rng, _THINGS)


def _table(rng: np.random.Generator, size: int) -> np.ndarray:
    """A table, desk or floor from above with things on it."""
    image = _surface(rng, size)
    for _ in range(int(rng.integers(0, 7))):
        _lay(rng, image, shadow=True)
    return image


def _room(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall, a table's edge, and things that stand there."""
    image = _wall(rng, size)
    edge = rng.uniform(0.3, 0.9) * size
    tilt = rng.normal(0, 0.06)
    y, x = _grid(size)
    below = np.clip(y - edge - tilt * (x - size / 2), 0, 1)[..., None]
    for _ in range(int(rng.integers(1, 6))):
        wide, high = rng.uniform(0.05, 0.35, 2) * size
        _lay(rng, image, at=(rng.uniform(0, size), edge - high / 2), half=(wide / 2, high), tilt=0)
    return image + below * (_surface(rng, size) * rng.uniform(0.6, 1.2) - image)


def _garden(rng: np.random.Generator, size: int) -> np.ndarray:
    """Leaves against light, ground below."""
    y, _ = _grid(size)
    sky = colour_of(rng, [(190, 210, 235), (225, 228, 230), (140, 175, 220)])
    image = np.broadcast_to(sky, (size, size, 3)) * rng.uniform(0.8, 1.3)
    horizon = rng.uniform(-0.1, 0.6) * size
    for cells in (4, 8, 16, 32):
        field = _noise(rng, size, (cells, 2 * cells, 4 * cells))
        inside = np.clip((field - 0.5 + (y - horizon) / size * 0.8) * 12, 0, 1)[..., None]
        light = (0.4 + 0.9 * _noise(rng, size, (2 * cells, 4 * cells)))[..., None]
        image = image + inside * (colour_of(rng, _LEAVES) * light - image)
    return image.astype(np.float32)


def _clothes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Somebody's shirt or a curtain: folds, perhaps a pattern, in front of a room."""
    image = _wall(rng, size)
    cloth = np.broadcast_to(thing_colour(rng), (size, size, 3)).copy()
    y, x = _grid(size)
    bend = 0.15 * size * _noise(rng, size, (2, 4))
    across = (x + bend) * np.cos(angle := rng.uniform(0, np.pi)) + y * np.sin(angle)
    if rng.random() < 0.5:
        period = rng.uniform(0.02, 0.15) * size
        stripe = (np.sin(2 * np.pi * across / period) > rng.uniform(-0.6, 0.6))[..., None]
        cloth = np.where(stripe, cloth, thing_colour(rng))
    folds = 1 - np.abs(2 * _noise(rng, size, (3, 6, 12)) - 1)
    cloth *= (0.45 + 0.7 * folds)[..., None]
    edge = rng.uniform(-0.4, 0.6) * size + bend
    inside = np.clip(x - edge, 0, 1)[..., None]
    return (image + inside * (cloth - image)).astype(np.float32)


def _shelf(rng: np.random.Generator, size: int) -> np.ndarray:
    """Books, boxes and doors: rows of upright rectangles."""
    image = _wall(rng, size) * np.float32(0.6)
    top = -rng.uniform(0, 0.3) * size
    while top < size:
        high, left = rng.uniform(0.2, 0.5) * size, -5.0
        while left < size:
            wide = rng.uniform(0.02, 0.12) * size
            tall = high * rng.uniform(0.6, 0.95)
            if rng.random() < 0.9:
                corner = (int(left), int(top + high - tall))
                end = (int(left + wide), int(top + high))
                colour = thing_colour(rng) * rng.uniform(0.5, 1.1)
                cv2.rectangle(image, corner, end, colour.tolist(), -1)
                cv2.line(image, corner, (corner[0], end[1]), (colour * 0.4).tolist(), 1)
            left += wide + 1
        top += high + rng.uniform(0.02, 0.06) * size
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 12), 1.25)
    return cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REFLECT)


def _wall(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall, perhaps with a window, a frame or a door."""
    base = colour_of(rng, _WALLS if rng.random() < 0.7 else _THINGS)
    stain = 1 + rng.uniform(0.02, 0.12) * (_noise(rng, size, (3, 6, 12, 48)) - 0.5)
    image = (base * stain[..., None]).astype(np.float32)
    for _ in range(int(rng.integers(0, 4))):
        _lay(rng, image, tilt=float(rng.normal(0, 3)))
    return image


def _surface(rng: np.random.Generator, size: int) -> np.ndarray:
    kind = rng.random()
    if kind < 0.45:
        return _planks(rng, size)
    base = thing_colour(rng)
    if kind < 0.75:  # cloth or carpet
        rough = 0.5 * (_grain(rng, size, 2) + _grain(rng, size, 2).T)
        return (base * (1 + rng.uniform(0.05, 0.2) * rough)[..., None]).astype(np.float32)
    stone = _noise(rng, size, (4, 8, 16, 32, 64)) - 0.5
    return (base * (1 + rng.uniform(0.1, 0.6) * stone)[..., None]).astype(np.float32)


def _planks(rng: np.random.Generator, size: int) -> np.ndarray:
    base, other = colour_of(rng, _WOODS), colour_of(rng, _WOODS)
    across = rng.uniform(0.12, 0.5) * size
    image = np.empty((size, size, 3), np.float32)
    field = 0.6 * _grain(rng, size, 30) + 0.4 * _grain(rng, size, 8)
    for top in np.arange(-rng.uniform(0, across), size, across):
        rows = slice(max(0, int(top)), int(top + across))
        tone = base + 0.25 * rng.random() * (other - base)
        grain = 1 + 0.13 * np.roll(field[rows], int(rng.integers(size)), 1)
        image[rows] = tone * rng.uniform(0.85, 1.1) * grain[..., None]
        image[rows][:1] *= 0.55  # the seam
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 360), 1.45)
    return cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REFLECT)


def _lay(
    rng: np.random.Generator,
    image: np.ndarray,
    *,
    at: tuple[float, float] | None = None,
    half: tuple[float, float] | None = None,
    tilt: float | None = None,
    shadow: bool = False,
) -> None:
    """Put one flat thing into the picture: a box, a plate, a sheet."""
    size = len(image)
    centre = at if at is not None else rng.uniform(0, size, 2)
    half = half if half is not None else rng.uniform(0.04, 0.3, 2) * size
    angle = rng.uniform(0, 180) if tilt is None else tilt
    mask = np.zeros((size, size), np.float32)
    if rng.random() < 0.7:
        spot = ((float(centre[0]), float(centre[1])), (2 * half[0], 2 * half[1]), angle)
        cv2.fillConvexPoly(mask, cv2.boxPoints(spot).astype(np.int32), 1.0, cv2.LINE_AA)
    else:
        radii = (int(half[0]) + 1, int(half[0] * rng.uniform(0.7, 1)) + 1)
        at = (int(centre[0]), int(centre[1]))
        cv2.ellipse(mask, at, radii, angle, 0, 360, 1.0, -1, cv2.LINE_AA)
    if shadow:
        reach = float(rng.uniform(0.01, 0.04) * size)
        shift = np.float32([[1, 0, rng.normal(0, reach)], [0, 1, rng.normal(0, reach)]])
        dark = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), reach), shift, (size, size))
        image *= 1 - rng.uniform(0.3, 0.7) * dark[..., None]
    y, x = _grid(size)
    slope = (
        1
        + rng.normal(0, 0.25) * (x - centre[0]) / size
        + rng.normal(0, 0.4) * (y - centre[1]) / size
    )
    image += mask[..., None] * (thing_colour(rng) * slope[..., None].clip(0.3, 2) - image)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    return y, x


def _noise(rng: np.random.Generator, size: int, cells: tuple[int, ...]) -> np.ndarray:
    """(size, size) smooth noise in [0, 1], octave by octave."""
    total = np.zeros((size, size), np.float32)
    for octave, cell in enumerate(cells):
        field = rng.standard_normal((cell, cell), dtype=np.float32)
        total += cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


def _grain(rng: np.random.Generator, size: int, length: float) -> np.ndarray:
    """(size, size) noise of unit variance, drawn out along x by `length` px."""
    field = rng.standard_normal((size, size), dtype=np.float32)
    if length > 1:
        field = cv2.GaussianBlur(field, (0, 0), length, sigmaY=0.7)
    return field / field.std()


def _lamp(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size) brightness of one lamp somewhere."""
    y, x = _grid(size)
    slope = rng.uniform(-0.7, 0.7, 2)
    level = 1 + slope[0] * (x / size - 0.5) + slope[1] * (y / size - 0.5)
    return level.clip(0.2, 2) * np.float32(rng.uniform(0.5, 1.2))
