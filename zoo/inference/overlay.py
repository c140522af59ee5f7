"""Predictions drawn over their pictures: mesh, skeleton, and a second look from the side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zoo.inference.predictor import HandResult
from zoo.inference.shading import Surface, draw_surfaces
from zoo.mano.topology import BONES, FINGERS

FINGER_COLOURS = {
    "thumb": (236, 88, 64),
    "index": (248, 178, 40),
    "middle": (98, 190, 84),
    "ring": (58, 156, 232),
    "pinky": (178, 104, 224),
}
WRIST_COLOUR = (245, 245, 245)
OUTLINE = (24, 26, 30)
SIDE_COLOURS = {"right": (0.66, 0.77, 0.90), "left": (0.70, 0.86, 0.70)}
PAPER = (246, 246, 244)
INK = (40, 42, 48)
_SUBPIXEL = 4  # bits of fraction that OpenCV draws with


def joint_colour(joint: int) -> tuple[int, int, int]:
    """RGB of one of the 21 joints: its finger's, white for the wrist."""
    return WRIST_COLOUR if joint == 0 else FINGER_COLOURS[FINGERS[(joint - 1) // 4]]


def draw_skeleton(
    image: np.ndarray,
    keypoints: np.ndarray,
    *,
    valid: np.ndarray | None = None,
    depth: np.ndarray | None = None,
    width: float | None = None,
) -> np.ndarray:
    """A copy of a picture with 21 joints and their bones, one colour a finger, dark outline.

    image: (h, w, 3) uint8 RGB.
    keypoints: (21, 2) px.
    valid: (21,) a bone is drawn where both its ends are valid; None draws all.
    depth: (21,) m, nearer bones are drawn over farther ones; None keeps the order of the fingers.
    width: px of a bone; None takes a sixtieth of the hand's extent.
    """
    valid = np.ones(21, bool) if valid is None else np.asarray(valid) > 0
    valid = valid & np.isfinite(keypoints).all(1) & (np.abs(keypoints) < 1e5).all(1)
    drawn = np.ascontiguousarray(image).copy()
    if not valid.any():
        return drawn
    if width is None:
        width = max(1.5, float(np.ptp(keypoints[valid], axis=0).max()) / 60)
    # Strokes of few pixels get round joints and straight edges only when drawn larger.
    factor = 4 if width < 8 else 1
    low = np.floor(keypoints[valid].min(0) - 3 * width).astype(int)
    high = np.ceil(keypoints[valid].max(0) + 3 * width).astype(int) + 1
    x0, y0 = np.clip(low, 0, drawn.shape[1::-1])
    x1, y1 = np.clip(high, 0, drawn.shape[1::-1])
    if x1 <= x0 or y1 <= y0:
        return drawn
    part = drawn[y0:y1, x0:x1]
    canvas = part.repeat(factor, 0).repeat(factor, 1)
    enlarged = (keypoints - (x0, y0) + 0.5) * factor - 0.5
    _draw_bones(canvas, enlarged, valid, depth, width * factor)
    size = part.shape[1::-1]
    drawn[y0:y1, x0:x1] = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    return drawn


def _draw_bones(
    canvas: np.ndarray,
    keypoints: np.ndarray,
    valid: np.ndarray,
    depth: np.ndarray | None,
    width: float,
) -> None:
    bones = [bone for bone in BONES if valid[list(bone)].all()]
    if depth is not None:
        bones.sort(key=lambda bone: -depth[list(bone)].mean())
    for parent, child in bones:
        for colour, thick in ((OUTLINE, width * 1.7), (joint_colour(child), width)):
            ends = (_fixed(keypoints[parent]), _fixed(keypoints[child]))
            cv2.line(canvas, *ends, colour, max(1, round(thick)), cv2.LINE_AA, _SUBPIXEL)
        for joint in (parent, child):
            _dot(canvas, keypoints[joint], joint_colour(joint), 0.95 * width)
    for joint in np.flatnonzero(valid):
        if not any(joint in bone for bone in bones):
            _dot(canvas, keypoints[joint], joint_colour(joint), 0.95 * width)


def surface_of(result: HandResult, frame_to_drawing: np.ndarray | None = None) -> Surface:
    """The hand's mesh in the picture, or in a scaled and shifted part of it.

    frame_to_drawing: (3, 3) affine, px of the picture -> px of the drawing.
    """
    move = np.eye(3) if frame_to_drawing is None else frame_to_drawing
    intrinsics = move @ result.intrinsics
    return Surface(result.vertices, result.faces, intrinsics, SIDE_COLOURS[result.side])


def draw_hands(
    image: np.ndarray,
    results: Sequence[HandResult],
    *,
    opacity: float = 0.85,
    skeleton: bool = True,
    frame_to_drawing: np.ndarray | None = None,
) -> np.ndarray:
    """A copy of a picture with every hand's mesh over it, and skeletons over the meshes.

    image: (h, w, 3) uint8 RGB.
    frame_to_drawing: (3, 3) px of the results' picture -> px of `image`; None where they agree.
    """
    move = np.eye(3) if frame_to_drawing is None else frame_to_drawing
    drawn = image
    if results:
        drawn = draw_surfaces(image, [surface_of(r, move) for r in results], opacity=opacity)
    for result in results if skeleton else ():
        keypoints = result.keypoints @ move[:2, :2].T + move[:2, 2]
        drawn = draw_skeleton(drawn, keypoints, depth=result.joints[:, 2])
    return drawn


def from_the_side(
    result: HandResult, size: tuple[int, int], *, degrees: float = 75.0
) -> np.ndarray:
    """The mesh alone on paper, the camera walked round it about the upright axis.

    size: (height, width) px.
    returns: (height, width, 3) uint8 RGB.
    """
    height, width = size
    centre = (result.vertices.min(0) + result.vertices.max(0)) / 2
    turn, _ = cv2.Rodrigues(np.array([0.0, np.deg2rad(degrees), 0.0]))
    turned = (result.vertices - centre) @ turn.T
    reach = np.abs(turned[:, :2]).max(0)
    distance = 8 * float(np.linalg.norm(np.ptp(turned, axis=0)))  # far: nearly parallel projection
    focal = 0.42 * distance * min(width / reach[0], height / reach[1])
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    paper = np.full((height, width, 3), PAPER, np.uint8)
    turned = turned + np.array([0.0, 0.0, distance])
    surface = Surface(turned, result.faces, intrinsics, SIDE_COLOURS[result.side])
    return draw_surfaces(paper, [surface], opacity=1.0)


def panel(
    image: np.ndarray,
    result: HandResult,
    *,
    height: int = 560,
    margin: float = 1.6,
    note: str = "",
) -> np.ndarray:
    """Picture, overlay and the mesh from the side, next to each other with captions.

    A hand that fills little of its picture is shown enlarged: the region is the box widened by
    `margin`, kept to the picture, or the whole picture where that is hardly larger.

    image: (h, w, 3) uint8 RGB.
    note: added to the caption under the mesh.
    returns: (height + caption, W, 3) uint8 RGB.
    """
    region = hand_region(result.box, image.shape[:2], margin=margin)
    drawing, move = _enlarged(image, region, height)
    side = from_the_side(result, (height, round(0.8 * height)))
    overlay = draw_hands(drawing, [result], frame_to_drawing=move)
    captions = (result.name, f"{result.side} hand", "from the side" + (f", {note}" if note else ""))
    gap = np.full((height, 6, 3), 255, np.uint8)
    row = np.concatenate((drawing, gap, overlay, gap, side), 1)
    starts = (0, drawing.shape[1] + 6, 2 * drawing.shape[1] + 12)
    return with_captions(row, [(x + 8, text) for x, text in zip(starts, captions, strict=True)])


def hand_region(
    box: np.ndarray, size: tuple[int, int], *, margin: float
) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 (whole px) of what to show around a box; all of a picture it mostly fills.

    box: (4,) px. size: (height, width) px.
    """
    height, width = size
    x0, y0, x1, y1 = box
    half = margin * max(x1 - x0, y1 - y0) / 2
    if 2 * half > 0.7 * max(height, width):
        return 0, 0, width, height
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    low = np.clip(np.floor((cx - half, cy - half)), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil((cx + half, cy + half)), low + 1, (width, height)).astype(int)
    return (*low.tolist(), *high.tolist())


def with_captions(row: np.ndarray, captions: Sequence[tuple[int, str]]) -> np.ndarray:
    """The picture with a strip of paper under it, each text starting at its x (px)."""
    size = max(12, row.shape[0] // 36)
    strip = np.full((2 * size, row.shape[1], 3), PAPER, np.uint8)
    for x, text in captions:
        strip = write_text(strip, (x, size // 3), text, size=size)
    return np.concatenate((row, strip), 0)


def write_text(
    image: np.ndarray,
    corner: tuple[int, int],
    text: str,
    *,
    size: int,
    colour: tuple[int, int, int] = INK,
) -> np.ndarray:
    """A copy of a picture with a line of text whose top left corner stands at `corner` (px)."""
    canvas = Image.fromarray(image)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(canvas).text(corner, text, fill=colour, font=font)
    return np.array(canvas)


def _enlarged(
    image: np.ndarray, region: tuple[int, int, int, int], height: int
) -> tuple[np.ndarray, np.ndarray]:
    """The region scaled to a height, and px of the picture -> px of the drawing (3, 3)."""
    x0, y0, x1, y1 = region
    scale = height / (y1 - y0)
    width = max(1, round(scale * (x1 - x0)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    drawing = cv2.resize(image[y0:y1, x0:x1], (width, height), interpolation=method)
    across = width / (x1 - x0)
    # Centres of pixels stand half a pixel inside, on both sides of the scaling.
    move = np.array(
        [
            [across, 0, across * (0.5 - x0) - 0.5],
            [0, scale, scale * (0.5 - y0) - 0.5],
            [0, 0, 1],
        ]
    )
    return drawing, move


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.round(np.asarray(point) * 2**_SUBPIXEL).astype(int)
    return int(x), int(y)


def _dot(image: np.ndarray, point: np.ndarray, colour: tuple[int, int, int], radius: float) -> None:
    for fill, r in ((OUTLINE, radius * 1.35), (colour, radius)):
        fixed = round(r * 2**_SUBPIXEL)
        cv2.circle(image, _fixed(point), fixed, fill, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL)
