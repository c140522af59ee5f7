"""Chooses how a clip looks: light, skin, sleeve, surroundings, camera; no label depends on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.data.synthetic.backgrounds import thing_colour

NUM_TONE_CURVES = 6
SLEEVE_ROWS = 32


@dataclass(frozen=True)
class Sleeve:
    """Cloth around the forearm."""

    ring: int  # ring of the forearm at which the cuff lies
    width: float  # of the arm's own
    folds: np.ndarray  # (8, 16) added to the width, ring by ring
    texels: np.ndarray  # (SLEEVE_ROWS, 45, 4)
    rows: np.ndarray  # (272,) row of texels of each face, from the cuff on


@dataclass(frozen=True)
class Look:
    """Everything a picture needs beside geometry; colours are linear RGB."""

    light: np.ndarray  # (3,) unit, towards the key light, camera frame
    key: np.ndarray  # (3,) key light
    fill: np.ndarray  # (3,) unit, towards a second light that casts no shadow
    fill_colour: np.ndarray  # (3,)
    sky: np.ndarray  # (3,) light from above
    ground: np.ndarray  # (3,) light from below
    skin: np.ndarray  # (3,) factor on the skin's texels
    shine: float
    shine_exponent: float
    sleeve: Sleeve | None
    bend: tuple[float, float]  # rad, wrist against forearm
    balance: np.ndarray  # (3,) exposure and white balance
    vignette: float  # darkening at the corners
    tone_curve: int
    noise: float  # grey values of 255
    blur: float  # px
    quality: int  # of the JPEG
    background: tuple[int, int, int, bool]  # of the bank: which, x and y offset, flipped
    background_gain: float
    shadow: tuple[float, float, float]  # the hand's on what is behind: strength, x and y px / side


def draw_look(rng: np.random.Generator, *, backgrounds: int, spare: int) -> Look:
    """A random look.

    backgrounds: pictures in the bank; spare: px by which they are larger than a picture.
    """
    warmth, ambient = rng.normal(0, 0.12), rng.uniform(0.12, 0.45)
    fill = rng.standard_normal(3)
    return Look(
        light=_light(rng),
        key=rng.uniform(0.45, 1.1) * np.array([1 + warmth, 1, 1 - warmth]),
        fill=fill / np.linalg.norm(fill),
        fill_colour=rng.uniform(0, 0.3) * rng.normal(1, 0.12, 3),
        sky=ambient * rng.normal(1.1, [0.10, 0.06, 0.10]),
        ground=ambient * rng.normal(0.6, [0.08, 0.07, 0.06]),
        skin=_skin(rng),
        shine=rng.uniform(0.02, 0.14),
        shine_exponent=rng.uniform(8, 30),
        sleeve=_sleeve(rng) if rng.random() < 0.55 else None,
        bend=tuple(rng.normal(0, 0.3, 2)),
        balance=rng.uniform(0.8, 1.25) * rng.normal(1, [0.05, 0.02, 0.06]),
        vignette=max(0.0, rng.normal(0.05, 0.15)),
        tone_curve=int(rng.integers(NUM_TONE_CURVES)),
        noise=rng.gamma(1.5, 1.2),
        blur=max(0.0, rng.normal(0.3, 0.3)),
        quality=int(rng.integers(70, 96)),
        background=(
            int(rng.integers(backgrounds)),
            int(rng.integers(spare)),
            int(rng.integers(spare)),
            bool(rng.random() < 0.5),
        ),
        background_gain=rng.uniform(0.6, 1.2),
        shadow=(rng.uniform(0, 0.6), *rng.normal(0, 0.08, 2)),
    )


def _light(rng: np.random.Generator) -> np.ndarray:
    """(3,) unit: on the camera's side of the hand, rather above it."""
    light = rng.standard_normal(3)
    light[2] = -abs(light[2]) - 0.2
    light[1] -= 0.5
    return light / np.linalg.norm(light)


def _skin(rng: np.random.Generator) -> np.ndarray:
    """Melanin takes blue first and red last; the rest is each person's own."""
    melanin = rng.beta(1.2, 1.6)
    absorbed = np.exp(-melanin * np.array([1.05, 1.35, 1.6]))
    return absorbed * np.array([1.28, 1.35, 1.42]) * rng.normal(1, [0.05, 0.04, 0.05])


def _sleeve(rng: np.random.Generator) -> Sleeve:
    texels = np.zeros((SLEEVE_ROWS, 45, 4), np.float32)
    weave = 1 + rng.uniform(0.02, 0.15) * rng.standard_normal((SLEEVE_ROWS, 45, 1))
    half = SLEEVE_ROWS // 2
    texels[:half, :, :3] = thing_colour(rng)
    texels[half:, :, :3] = thing_colour(rng)
    texels[..., :3] *= weave
    ring, side = np.divmod(np.arange(272), 32)
    pattern = rng.random()
    other = np.zeros(272, bool) if pattern < 0.7 else ring % 2 == 0
    other = side // 4 % 2 == 0 if pattern > 0.85 else other
    folds = 0.05 * rng.standard_normal((8, 16))
    folds = folds + np.roll(folds, 1, 1) + np.roll(folds, -1, 1)
    return Sleeve(
        ring=int(rng.integers(0, 4)),
        width=rng.uniform(1.12, 1.35),
        folds=folds.clip(-0.08, 0.15),
        texels=texels.clip(0, 1),
        rows=np.where(other, half, 0) + rng.integers(half, size=272),
    )
