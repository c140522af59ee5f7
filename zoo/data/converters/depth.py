"""Depth pictures of releases as the schema keeps them: one channel of 16 bits in a told unit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from zoo.data.pictures import decode_depth, decode_picture, encode_depth
from zoo.data.schema import BadSample

MILLIMETRE = 1e-3
HO3D_UNIT = 0.00012498664727900177  # m, as the makers' own reader has it


def as_released(data: bytes) -> bytes:
    """A depth picture that is kept to the byte (DexYCB)."""
    return data


def from_two_bytes(data: bytes) -> bytes:
    """Depth spread over two channels, the low byte red and the high byte green (HO-3D)."""
    low, high = decode_picture(data).astype(np.float64)[..., :2].transpose(2, 0, 1)
    return encode_depth((low + 256 * high) * HO3D_UNIT, unit=HO3D_UNIT)


def read_depth(
    path: Path, make: Callable[[bytes], bytes], *, size: tuple[int, int], key: str
) -> bytes | None:
    """The depth picture of a frame for a sample, or None where the release has none.

    size: (w, h) px of the frame's picture.

    Raises:
        BadSample: where it is there and cannot be used.
    """
    if not path.is_file():
        return None
    try:
        data = make(path.read_bytes())
        found = decode_depth(data, unit=1.0).shape
    except ValueError as error:
        raise BadSample(str(error), key=key, field="depth") from None
    if found != size[::-1]:
        raise BadSample("the depth has another size than the picture", key=key, field="depth")
    return data
