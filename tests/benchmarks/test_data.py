from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import data


def test_both_ways_make_the_same_crop_and_move_points_alike():
    rng = np.random.default_rng(0)
    for size in ((320, 300), (900, 700)):
        sample = data._sample(size, rng)
        (_, theirs), (_, ours) = data.hamers_way(*sample), data.zoos_way(*sample)
        np.testing.assert_allclose(theirs, ours, atol=1e-9)
        assert data.difference(size, rng) < 0.6  # grey levels


def test_a_picture_of_which_much_is_thrown_away_is_decoded_small():
    rng = np.random.default_rng(0)
    sample = data._sample((1920, 1080), rng)
    planes, reduced = data.zoos_way(*sample)[0], data.reduced(*sample)[0]
    whole = (planes * data.STD[:, None, None] + data.MEAN[:, None, None]).transpose(1, 2, 0)
    assert whole.shape == reduced.shape == (data.CROP, data.CROP, 3)
    # a shift by a pixel between the two would show as far more than smoothing does
    assert np.abs(whole.astype(float) - reduced).mean() < 6


def test_the_figures_are_written_with_every_way(tmp_path, capsys):
    path = tmp_path / "a.json"
    data.main(["--sizes", "64x48", "--hands", "2", "--rounds", "1", "--json", str(path)])
    (row,) = json.loads(path.read_text())["sizes"]
    assert row["hands_per_s"].keys() == data.WAYS.keys()
    assert all(rate > 0 for rate in row["hands_per_s"].values())
    assert "times as fast" in capsys.readouterr().out


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_the_middle_of_the_box_is_the_middle_of_the_crop(angle):
    matrix = data.crop_from_frame(np.array([40.0, 30.0, 64.0]), angle)
    np.testing.assert_allclose(matrix @ [40, 30, 1], [data.CROP / 2] * 2)
