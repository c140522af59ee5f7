"""Encoded pictures to pixels and back, refusing the half pictures that decoders forgive."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

SUFFIXES = ("jpg", "jpeg", "png", "webp")
DEPTH_UNIT = 1e-4  # m, of one grey value in the depth pictures we write: up to 6.55 m
# A picture of a few kB may claim any size; 8192 x 8192 is more than any data set's.
MOST_PIXELS = 1 << 26
_PNG, _JPEG = b"\x89PNG", b"\xff\xd8"
# The stored pixels are what labels speak of, so a camera's orientation tag is not obeyed.
_READ = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED = {  # of these OpenCV knows blue, green, red alone
    2: cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION,
    4: cv2.IMREAD_REDUCED_COLOR_4 | cv2.IMREAD_IGNORE_ORIENTATION,
    8: cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION,
}


def decode_picture(data: bytes, *, reduce: int = 1) -> np.ndarray:
    """The picture as (h, w, 3) uint8 RGB.

    reduce: 2, 4 or 8 gives a JPEG of ceil(h / reduce) rows at a fraction of the work.

    Raises ValueError where the bytes end early (OpenCV would fill the rest of a JPEG with grey),
    and before decoding where the header claims more than MOST_PIXELS.
    """
    if not data:
        raise ValueError("the picture is empty")
    if not _is_whole(data):
        raise ValueError("the picture is truncated")
    _refuse_huge(data)
    flags = _READ if reduce == 1 else _REDUCED[reduce]
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise ValueError("the picture cannot be decoded (jpg, png and webp are understood)")
    return image if reduce == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def is_jpeg(data: bytes) -> bool:
    """Whether the bytes begin as a JPEG's do."""
    return data.startswith(_JPEG)


def encode_jpeg(image: np.ndarray, *, quality: int) -> bytes:
    """The JPEG of an (h, w, 3) uint8 RGB picture."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()


def decode_depth(data: bytes, *, unit: float) -> np.ndarray:
    """The depth map of a 16-bit grey PNG: (h, w) float32 m, 0 where it is unknown.

    unit: m of one grey value. Raises ValueError for other formats and types, and half files.
    """
    if not data.startswith(_PNG):
        raise ValueError("the depth picture is no PNG")
    if not _is_whole(data):
        raise ValueError("the depth picture is truncated")
    _refuse_huge(data)
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError("the depth picture cannot be decoded")
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ValueError(
            f"the depth picture holds {values.dtype} {values.shape}, not one channel of 16 bits"
        )
    return (values * unit).astype(np.float32)


def encode_depth(depth: np.ndarray, *, unit: float = DEPTH_UNIT) -> bytes:
    """The 16-bit PNG of an (h, w) depth map in m, rounded to the unit; 0 is unknown.

    What lies beyond the last grey value becomes unknown. Raises ValueError for NaN, infinity and
    depths behind the camera.
    """
    if not (np.isfinite(depth).all() and (depth >= 0).all()):
        raise ValueError("a depth map is 0 where unknown, never NaN, infinite or negative")
    values = np.round(depth.astype(np.float64) / unit)
    values[values > np.iinfo(np.uint16).max] = 0
    done, data = cv2.imencode(".png", values.astype(np.uint16))
    if not done:
        raise ValueError(f"a depth map of shape {depth.shape} cannot be encoded as PNG")
    return data.tobytes()


def _refuse_huge(data: bytes) -> None:
    try:
        with Image.open(io.BytesIO(data)) as header:
            width, height = header.size
    except Exception:  # whatever Pillow cannot read is the decoder's to judge
        return
    if width * height > MOST_PIXELS:
        raise ValueError(f"the picture claims {width}x{height} pixels, more than is decoded")


def _is_whole(data: bytes) -> bool:
    """Whether the format's own end mark is where it belongs."""
    if is_jpeg(data):
        return b"\xff\xd9" in data[-256:]  # some cameras pad behind the mark
    if data.startswith(_PNG):
        return b"IEND" in data[-64:]
    if data.startswith(b"RIFF"):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return True
