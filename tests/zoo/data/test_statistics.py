from __future__ import annotations

import numpy as np
import pytest

from zoo.data.laws import LabelledHand
from zoo.data.shards import write_shard
from zoo.data.statistics import QUANTITIES, collect, palm_away


def test_every_hand_is_counted_once_under_its_source_and_side(shards):
    found = collect(str(shards))
    assert found.sides["made_up"] == {"right": 35}
    assert found.labels["made_up"]["3D"] == 35
    for quantity in QUANTITIES:
        assert found.histograms[quantity.name]["made_up"].sum() == 35


def test_values_are_those_of_the_labels(make_sample, tmp_path):
    sample, _ = make_sample(seed=1)
    write_shard(tmp_path / "a.tar", [sample])
    found = collect(str(tmp_path / "a.tar"))
    depths = sorted(found.values["depth", "made_up"])
    assert depths == pytest.approx(sorted(sample.arrays["kp3d"][:, :, 0, 2].ravel().tolist()))
    assert set(found.values["focal", "made_up"]) == {100 / 80}
    assert set(found.values["box", "made_up"]) == {75.0}  # 60 of 80 px


def test_what_is_not_labelled_is_not_counted(make_sample, tmp_path):
    sample, _ = make_sample(hands=1, frames=1)
    for name in ("has_K", "K", "kp3d_conf", "kp3d"):
        sample.arrays[name][:] = 0
    write_shard(tmp_path / "a.tar", [sample])
    found = collect(str(tmp_path / "a.tar"))
    assert "made_up" not in found.histograms["depth"]
    assert "made_up" not in found.histograms["focal"]
    assert found.histograms["box"]["made_up"].sum() == 1


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_palm_towards_the_camera_is_at_zero_degrees_on_either_side(make_sample, side):
    """A right palm shown to the camera with fingers up has its thumb on the picture's right."""
    sample, _ = make_sample(hands=1, frames=1)
    sample.meta["hands"][0]["side"] = side
    joints = np.zeros((21, 3), np.float32) + np.float32([0, 0, 2])
    joints[5, :2], joints[17, :2] = (0.03, -0.09), (-0.03, -0.08)
    if side == "left":
        joints[:, 0] *= -1
    sample.arrays["kp3d"][0, 0] = joints
    assert palm_away(LabelledHand(sample, 0, 0)) < 5


def test_a_cut_tar_is_reported_and_the_rest_counted(shards):
    path = shards / "03.tar"
    path.write_bytes(path.read_bytes()[:30000])
    found = collect(str(shards))
    assert 28 <= found.sides["made_up"]["right"] < 35
    assert len(found.broken) == 1
