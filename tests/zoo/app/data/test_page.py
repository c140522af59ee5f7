from __future__ import annotations

import re

import pytest
from rich.console import Console

from zoo.app.data.page import statistics_page, write_statistics
from zoo.data.laws import LabelledHand
from zoo.data.schema import ClipSample, absent_arrays
from zoo.data.statistics import QUANTITIES, Statistics, _add
from zoo.data.synthetic.write import write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_dataset(folder, count=8, image_size=64, seed=1, split=(1, 0), sequences=0, clip_frames=2)
    return folder


def test_the_page_holds_every_histogram_and_asks_for_nothing(folder, tmp_path):
    told = write_statistics([str(folder / "train")], tmp_path / "a.html", Console())
    html = (tmp_path / "a.html").read_text()
    assert told["synthetic"]["hands"] == 8
    assert 0.2 < told["synthetic"]["depth"] < 1.6
    for quantity in QUANTITIES:
        assert f'id="histogram-{quantity.name}"' in html
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)


def test_more_sources_than_colours_are_drawn_in_part_and_told_whole():
    found = Statistics()
    for number in range(8):
        arrays = absent_arrays(hands=1, frames=1)
        arrays["present"][:] = arrays["has_bbox"][:] = 1
        arrays["bbox_xyxy"][:] = [5, 5, 40, 30]
        meta = {
            "dataset": f"source{number}",
            "hands": [{"side": "left"}],
            "frames": [{"width": 64, "height": 48}],
        }
        _add(found, LabelledHand(ClipSample("k", meta, arrays, (b"",), ("jpg",)), 0, 0))
    found.histograms = {quantity.name: {} for quantity in QUANTITIES}
    html = statistics_page(found, "f" * 64, 1)
    assert "8 hands of 8 sources" in html
    assert "The 2 smallest sources" in html
    assert "source7" in html
