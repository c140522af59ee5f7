"""Encoded pictures to pixels and back, refusing the half pictures that decoders forgive."""

from __future__ import annotations

import cv2
import numpy as np

SUFFIXES = ("jpg", "jpeg", "png", "webp")
# The stored pixels are what labels speak of, so a camera's orientation tag is not obeyed.
_READ = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def decode_picture(data: bytes) -> np.ndarray:
    """The picture as (h, w, 3) uint8 RGB.

    Raises ValueError where the bytes end early: OpenCV would fill the rest of a JPEG with grey.
    """
    if not data:
        raise ValueError("the picture is empty")
    if not _is_whole(data):
        raise ValueError("the picture is truncated")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), _READ)
    if image is None:
        raise ValueError("the picture cannot be decoded (jpg, png and webp are understood)")
    return image


def encode_jpeg(image: np.ndarray, *, quality: int) -> bytes:
    """The JPEG of an (h, w, 3) uint8 RGB picture."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()


def _is_whole(data: bytes) -> bool:
    """Whether the format's own end mark is where it belongs."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in data[-256:]  # some cameras pad behind the mark
    if data.startswith(b"\x89PNG"):
        return b"IEND" in data[-64:]
    if data.startswith(b"RIFF"):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return True
