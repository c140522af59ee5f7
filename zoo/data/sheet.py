"""A contact sheet: many samples at a glance, with their labels drawn where the reader will see."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from zoo.contracts import Frame
from zoo.mano.topology import BONES, FINGERS

# One colour a finger, told apart on skin and by readers who cannot tell red from green.
FINGER_COLOURS = {
    "thumb": (255, 194, 10),
    "index": (64, 210, 255),
    "middle": (240, 80, 190),
    "ring": (120, 240, 110),
    "pinky": (120, 130, 255),
}
_BOX = (255, 255, 255)
_PAPER, _INK, _FAINT = (24, 24, 28), (235, 235, 235), (150, 150, 156)
_CAPTION = 34  # px under each picture
_GAP = 6  # px between cells
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SUBPIXEL = 4  # bits of a pixel that OpenCV's lines may resolve


def contact_sheet(frames: Sequence[Frame], *, columns: int = 6, cell: int = 224) -> np.ndarray:
    """A page of samples: skeleton, hand box, side, distance, source and key of each.

    frames: as a stream yields them. cell: px of a picture's longer side on the page.
    returns: (H, W, 3) uint8 RGB.
    """
    if not frames:
        raise ValueError("A contact sheet needs at least one frame; the stream gave none.")
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    high, wide = cell + _CAPTION + _GAP, cell + _GAP
    page = np.full((rows * high + _GAP, columns * wide + _GAP, 3), _PAPER, np.uint8)
    for number, frame in enumerate(frames):
        row, column = divmod(number, columns)
        top, left = _GAP + row * high, _GAP + column * wide
        page[top : top + cell + _CAPTION, left : left + cell] = _card(frame, cell)
    return page


def draw_label(image: np.ndarray, frame: Frame, scale: float) -> None:
    """Draw a frame's box and skeleton into its picture, enlarged by `scale`, in place.

    image: (h, w, 3) uint8 RGB. Only what is labelled is drawn.
    """
    width = max(1, round(len(image) / 160))
    low, high = _place(frame.hand_box.numpy().reshape(2, 2), scale)
    cv2.rectangle(image, low, high, _BOX, 1, cv2.LINE_AA, _SUBPIXEL)
    points = _place(frame.label.keypoints.numpy(), scale)
    valid = frame.label.keypoints_valid.numpy() > 0
    bones = [(parent, child) for parent, child in BONES if valid[parent] and valid[child]]
    rim = image.copy()  # a faint dark rim keeps lines readable on any picture
    for parent, child in bones:
        line = (points[parent], points[child])
        cv2.line(rim, *line, (0, 0, 0), width + 2, cv2.LINE_AA, _SUBPIXEL)
    cv2.addWeighted(rim, 0.35, image, 0.65, 0, dst=image)
    for parent, child in bones:
        line = (points[parent], points[child])
        cv2.line(image, *line, _colour_of(child), width, cv2.LINE_AA, _SUBPIXEL)
    for joint in np.flatnonzero(valid):
        radius = round((width + 0.6) * (1 << _SUBPIXEL))
        colour = _colour_of(joint) if joint else _BOX
        cv2.circle(image, points[joint], radius, colour, -1, cv2.LINE_AA, _SUBPIXEL)


def _colour_of(joint: int) -> tuple[int, int, int]:
    return FINGER_COLOURS[FINGERS[(joint - 1) // 4]]


def _place(points: np.ndarray, scale: float) -> list[tuple[int, int]]:
    """Picture px to the enlarged picture, in OpenCV's fixed point."""
    moved = (points + 0.5) * scale - 0.5
    return [tuple(point) for point in np.rint(moved * (1 << _SUBPIXEL)).astype(int).tolist()]


def _card(frame: Frame, cell: int) -> np.ndarray:
    """(cell + caption, cell, 3): one picture with its label and caption."""
    card = np.full((cell + _CAPTION, cell, 3), _PAPER, np.uint8)
    image = frame.image.permute(1, 2, 0).numpy()
    scale = cell / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = cv2.resize(image, size, interpolation=method)
    draw_label(shown, frame, scale)
    top, left = (cell - size[1]) // 2, (cell - size[0]) // 2
    card[top : top + size[1], left : left + size[0]] = shown
    _write(card, _caption(frame), (2, cell + 14), _INK)
    _write(card, frame.key, (2, cell + 29), _FAINT)
    return card


def _caption(frame: Frame) -> str:
    label = frame.label
    words = ["left" if frame.is_left else "right"]
    if label.joints_valid[0] > 0:
        words.append(f"{float(label.joints[0, 2]):.2f} m")
    if label.has_intrinsics > 0:
        words.append(f"f {float(frame.intrinsics[0, 0]):.0f} px")
    words.append("MANO" if label.has_mano > 0 else "no MANO")
    return ", ".join(words)


def _write(card: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """One line of text, the beginning left out where it is too long."""
    scale, room = 0.38, card.shape[1] - 2 * at[0]
    while len(text) > 4 and cv2.getTextSize(text, _FONT, scale, 1)[0][0] > room:
        text = ".." + text.lstrip(".")[1:]
    cv2.putText(card, text, at, _FONT, scale, colour, 1, cv2.LINE_AA)
