"""The known exporters' errors, planted one by one: `zoo data check` has to find each."""

from __future__ import annotations

import dataclasses
import io
import pickle
import tarfile

import numpy as np
import pytest

from zoo.data.check import check_shards
from zoo.data.schema import ARRAYS
from zoo.data.shards import read_samples, resolve_shards, write_shard
from zoo.data.synthetic.write import write_dataset


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Rendered films of four frames with exact labels."""
    folder = tmp_path_factory.mktemp("films")
    write_dataset(folder, count=24, image_size=64, seed=3, split=(1, 0), sequences=1, clip_frames=4)
    return [sample for shard in resolve_shards(folder / "train") for sample in read_samples(shard)]


def planted(sample, change, **meta):
    arrays = {name: array.copy() for name, array in sample.arrays.items()}
    change(arrays)
    return dataclasses.replace(sample, arrays=arrays, meta={**sample.meta, **meta})


def found(tmp_path, samples, **options):
    write_shard(tmp_path / "a.tar", samples)
    return {f.id: f for f in check_shards(str(tmp_path / "a.tar"), pictures=False).findings}


def thirty_a_second(arrays, *, start=10**15, step=33_333_123):
    count = len(arrays["timestamp_ns"])
    arrays["frame_index"][:] = np.arange(count)
    arrays["timestamp_ns"][:] = start + np.arange(count) * step


def time_from_frame_numbers_that_step_by_eighteen(arrays):
    thirty_a_second(arrays)
    arrays["frame_index"] *= 18
    arrays["timestamp_ns"][:] = arrays["frame_index"] * 200_000_000


def through_float32_milliseconds(arrays):
    thirty_a_second(arrays)
    milliseconds = (arrays["timestamp_ns"] / 1e6).astype(np.float32)
    arrays["timestamp_ns"][:] = (milliseconds.astype(np.float64) * 1e6).astype(np.int64)


def nanoseconds_as_milliseconds(arrays):
    thirty_a_second(arrays, start=0)
    arrays["timestamp_ns"] *= 10**6


def a_frame_dropped_inside(arrays):
    thirty_a_second(arrays)
    arrays["frame_index"][2:] += 1


def thumb_base_as_midpoint(arrays):
    thirty_a_second(arrays)
    arrays["kp3d"][:, :, 1] = (arrays["kp3d"][:, :, 0] + arrays["kp3d"][:, :, 2]) / 2


def boxes_as_corner_and_size(arrays):
    thirty_a_second(arrays)
    arrays["bbox_xyxy"][..., 2:] -= arrays["bbox_xyxy"][..., :2]


def flipped_in_place_twice(arrays):
    thirty_a_second(arrays)
    arrays["kp3d"] *= np.float32([1, -1, -1])


def test_films_as_they_are_break_no_law(films, tmp_path):
    assert found(tmp_path, [planted(s, thirty_a_second, time={"fps": 30.0}) for s in films]) == {}


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (time_from_frame_numbers_that_step_by_eighteen, "data.step"),
        (through_float32_milliseconds, "data.rounded_time"),
        (nanoseconds_as_milliseconds, "data.step"),
        (a_frame_dropped_inside, "data.gap"),
        (thumb_base_as_midpoint, "data.invented_joint"),
        (boxes_as_corner_and_size, "data.box"),
        (flipped_in_place_twice, "data.depth"),
    ],
)
def test_each_known_error_is_found_when_it_is_planted(films, tmp_path, change, law):
    told = {"source": "native_clock", "fps": None}
    samples = [planted(sample, change, time=told) for sample in films]
    assert law in found(tmp_path, samples)


def test_a_step_longer_than_the_told_rate_is_found(films, tmp_path):
    def slow(arrays):
        thirty_a_second(arrays, step=100_000_000)

    time = {"source": "frame_rate", "fps": 30.0}
    assert "data.step" in found(tmp_path, [planted(films[0], slow, time=time)])


def test_pictures_as_pickled_lists_and_pickled_labels_are_unreadable(films, tmp_path):
    film = films[0]
    listed = tuple(pickle.dumps([list(picture[:9])]) for picture in film.pictures)
    write_shard(tmp_path / "a.tar", [dataclasses.replace(film, pictures=listed)])
    messages = [f.message for f in check_shards(str(tmp_path / "a.tar")).findings]
    assert any("cannot be decoded" in message for message in messages)
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for name, data in (("k.jpg", film.pictures[0]), ("k.data.pyd", pickle.dumps([{}]))):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    (finding,) = check_shards(str(tmp_path / "b.tar")).findings
    assert finding.id == "data.unreadable"
    assert "missing" in finding.message
    assert ARRAYS not in finding.message


def test_left_hands_of_two_left_models_in_one_set_are_told(films, tmp_path):
    sides = [{"side": "left"}]
    one, two = (
        planted(sample, lambda a: None, hands=sides, mano={"left_shapedirs": kind, "fit": "x"})
        for sample, kind in zip(films[:2], ("fixed", "unfixed"), strict=True)
    )
    assert "data.left_model" in found(tmp_path, [one, two])
    assert "data.left_model" not in found(tmp_path, [one])
