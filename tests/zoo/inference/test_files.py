from __future__ import annotations

import numpy as np
import pytest

from zoo.inference.files import write_bytes, write_png
from zoo.inference.sources import read_picture


def test_a_file_stands_only_when_it_is_whole(tmp_path, monkeypatch):
    def broken(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("zoo.inference.files.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(tmp_path / "hand.obj", b"v 0 0 0")
    assert list(tmp_path.iterdir()) == []


def test_a_standing_file_is_kept_unless_overwriting_was_asked_for(tmp_path):
    path = write_bytes(tmp_path / "deep" / "a.txt", b"first")
    with pytest.raises(ValueError, match=r"there already.*--overwrite"):
        write_bytes(path, b"second")
    assert path.read_bytes() == b"first"
    assert write_bytes(path, b"second", overwrite=True).read_bytes() == b"second"


def test_a_png_gives_back_its_pixels_in_their_colours(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_picture(write_png(tmp_path / "a.png", image)), image)
