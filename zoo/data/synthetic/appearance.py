"""Chooses how a clip looks: light, skin, sleeve, surroundings, camera; no label depends on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Look:
    """Everything a picture needs beside geometry; colours are linear RGB."""

    light: np.ndarray  # (3,) unit, towards the key light, camera frame
    key: np.ndarray  # (3,) key light
    sky: np.ndarray  # (3,) light from above
    ground: np.ndarray  # (3,) light from below
    skin: np.ndarray  # (3,) factor on the skin's texels
    shine: float
    shine_exponent: float
    sleeve: tuple[int, np.ndarray] | None  # first forearm ring it covers, colour
    bend: tuple[float, float]  # rad, wrist against forearm
    exposure: float
    noise: float  # grey values of 255
    blur: float  # px
    quality: int  # of the JPEG
    background: tuple[int, int, int, bool]  # of the bank: which, x and y offset, flipped
    background_gain: float
    shadow: tuple[float, float, float]  # strength and offset of the hand's shadow behind it


def draw_look(rng: np.random.Generator, *, backgrounds: int, spare: int) -> Look:
    """A random look.

    backgrounds: pictures in the bank; spare: px by which they are larger than a picture.
    """
    light = rng.standard_normal(3)
    light[2] = -abs(light[2]) - 0.2  # in front of the hand
    light[1] -= 0.5  # rather above it
    warmth, brightness = rng.normal(0, 0.10), rng.uniform(0.5, 1.1)
    ambient = rng.uniform(0.12, 0.40)
    return Look(
        light=light / np.linalg.norm(light),
        key=brightness * np.array([1 + warmth, 1, 1 - warmth]),
        sky=ambient * rng.normal(1.1, [0.10, 0.06, 0.10]),
        ground=ambient * rng.normal(0.6, [0.08, 0.07, 0.06]),
        skin=_skin(rng),
        shine=rng.uniform(0.02, 0.16),
        shine_exponent=rng.uniform(8, 30),
        sleeve=_sleeve(rng),
        bend=tuple(rng.normal(0, 0.3, 2)),
        exposure=rng.uniform(0.8, 1.2),
        noise=rng.uniform(0, 4),
        blur=max(0.0, rng.normal(0.2, 0.35)),
        quality=int(rng.integers(70, 96)),
        background=(
            int(rng.integers(backgrounds)),
            int(rng.integers(spare)),
            int(rng.integers(spare)),
            bool(rng.random() < 0.5),
        ),
        background_gain=rng.uniform(0.5, 1.3),
        shadow=(rng.uniform(0, 0.5), *rng.normal(0, 0.06, 2)),
    )


def _skin(rng: np.random.Generator) -> np.ndarray:
    """Melanin takes blue first and red last; the rest is each person's own."""
    melanin = rng.beta(1.3, 1.6)
    absorbed = np.exp(-melanin * np.array([1.05, 1.35, 1.6]))
    return absorbed * np.array([1.28, 1.35, 1.42]) * rng.normal(1, [0.05, 0.04, 0.05])


def _sleeve(rng: np.random.Generator) -> tuple[int, np.ndarray] | None:
    if rng.random() < 0.45:
        return None
    return int(rng.integers(0, 4)), rng.random(3) ** 1.8
