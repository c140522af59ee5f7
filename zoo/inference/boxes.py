"""Which part of a picture holds a hand: the user's word, a detector's, or the whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Side = Literal["left", "right"]

MIN_SIDE = 4.0
"""px; a smaller box cannot be told from a slip of the mouse."""


@dataclass(frozen=True)
class HandBox:
    """Where one hand is, and which hand it is."""

    corners: tuple[float, float, float, float]  # px, x0 y0 x1 y1
    side: Side = "right"


@dataclass(frozen=True)
class Boxes:
    """The hands to look at in one picture, and a sentence on where the boxes came from."""

    hands: tuple[HandBox, ...]
    origin: Literal["user", "detector", "whole picture"]
    note: str


class Detector(Protocol):
    """Finds hands: (h, w, 3) uint8 RGB -> boxes in its pixels."""

    def __call__(self, image: np.ndarray) -> Sequence[HandBox]: ...


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Corners x0, y0, x1, y1 (px) of a box written as "x0,y0,x1,y1".

    Raises:
        ValueError: when it is not four numbers, or its corners are not in order.
    """
    form = "write x0,y0,x1,y1 in pixels, for example 40,60,310,350"
    try:
        corners = tuple(float(part) for part in text.replace(";", ",").split(","))
    except ValueError:
        raise ValueError(f"--box {text!r} is not made of numbers; {form}.") from None
    if len(corners) != 4 or not np.isfinite(corners).all():
        raise ValueError(f"--box {text!r} has {len(corners)} numbers where 4 are needed; {form}.")
    x0, y0, x1, y1 = corners
    if x1 - x0 < MIN_SIDE or y1 - y0 < MIN_SIDE:
        raise ValueError(
            f"--box {text!r} is {x1 - x0:g} px wide and {y1 - y0:g} px high; both must be at "
            f"least {MIN_SIDE:g}: the second corner stands right of and below the first. "
            "A box of x, y, width, height has to be turned into corners first."
        )
    return corners


def check_inside(corners: Sequence[float], size: tuple[int, int], picture: str) -> None:
    """Passes a box that touches the picture, even when parts of it lie outside.

    corners: x0 y0 x1 y1 px.
    size: (height, width) px of the picture.
    picture: the name the error speaks of.

    Raises:
        ValueError: when the box lies wholly outside.
    """
    (x0, y0, x1, y1), (height, width) = corners, size
    if x0 > width - 1 or y0 > height - 1 or x1 < 0 or y1 < 0:
        raise ValueError(
            f"--box {x0:g},{y0:g},{x1:g},{y1:g} lies outside {picture}, which is {width} px wide "
            f"and {height} px high; give corners inside it, or leave --box out to use all of it."
        )


def whole_picture(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box of all pixels of a picture of size (height, width) px, edge to edge."""
    height, width = size
    return (-0.5, -0.5, width - 0.5, height - 0.5)


def choose_boxes(
    image: np.ndarray,
    *,
    given: Sequence[HandBox] = (),
    side: Side = "right",
    detector: Detector | None = None,
    picture: str = "the picture",
) -> Boxes:
    """The hands to look at: those the user gave, else a detector's, else the whole picture.

    image: (h, w, 3) uint8 RGB.
    side: which hand the whole picture shows, when nobody gave a box.

    Raises:
        ValueError: when a given box lies wholly outside the picture.
    """
    if given:
        for hand in given:
            check_inside(hand.corners, image.shape[:2], picture)
        return Boxes(tuple(given), "user", f"{len(given)} box(es) given by the user")
    if detector is None:
        note = (
            f"no box was given and no hand detector is installed: all of {picture} is taken as "
            f"one {side} hand; give --box x0,y0,x1,y1 where the hand is smaller"
        )
        return Boxes((HandBox(whole_picture(image.shape[:2]), side),), "whole picture", note)
    found = tuple(detector(image))
    return Boxes(found, "detector", f"{len(found)} hand(s) found by the detector in {picture}")
