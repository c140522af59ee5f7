"""A picture is decoded whole, or refused with what is wrong with it."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from zoo.data.pictures import MOST_PIXELS, decode_depth, decode_picture


def png_of(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(64))
    parts = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("decode", [decode_picture, lambda data: decode_depth(data, unit=1e-4)])
def test_a_small_file_that_claims_a_huge_picture_is_refused_before_it_is_decoded(decode):
    side = int(MOST_PIXELS**0.5)
    with pytest.raises(ValueError, match=f"claims {side + 1}x{side} pixels"):
        decode(png_of(side + 1, side))


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
def test_pictures_of_every_kind_come_out_in_rgb(ending):
    image = np.zeros((8, 12, 3), np.uint8)
    image[..., 0] = 200
    done, data = cv2.imencode(ending, image[..., ::-1])
    assert done
    found = decode_picture(data.tobytes())
    assert found.shape == (8, 12, 3)
    assert found[..., 0].mean() > 180 > 40 > found[..., 2].mean()
