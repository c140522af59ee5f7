"""A rendered data set is decided by its seed, survives being killed, and says what it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from zoo.data.schema import COLUMNS
from zoo.data.shards import count_frames, read_samples, resolve_shards
from zoo.data.streams import EvalStream
from zoo.data.synthetic import write, write_dataset

SETTINGS = {"count": 14, "image_size": 48, "seed": 11, "split": (0.6, 0.4)}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(write, "SHARD_PICTURES", 4)


def labels(folder):
    """Every array of every sample by key, as bytes."""
    return {
        sample.key: {name: sample.arrays[name].tobytes() for name in COLUMNS}
        for path in resolve_shards(f"{folder}/*/*.tar")
        for sample in read_samples(path)
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "SHARD_PICTURES", 4)
        told = write_dataset(folder, **SETTINGS, sequences=0.5, clip_frames=2)
    return folder, told


def test_both_splits_hold_what_was_asked_for_and_share_no_pose(written):
    folder, told = written
    train, val = (resolve_shards(folder / name) for name in ("train", "val"))
    assert (count_frames(train), count_frames(val)) == (8, 6)
    assert told["splits"]["train"]["frames"] == 8
    poses = [
        {s.arrays["mano_pose"][0, 0].tobytes() for url in urls for s in read_samples(url)}
        for urls in (train, val)
    ]
    assert not poses[0] & poses[1]


def test_what_is_written_can_be_streamed(written):
    batches = list(EvalStream(written[0] / "val", batch_size=4))
    assert sum(len(batch) for batch in batches) == 6
    assert not any(batch.skipped for batch in batches)
    assert batches[0].frames[0].source == "synthetic"


def test_clips_have_a_clock_and_single_pictures_have_none(written):
    lengths = []
    for url in resolve_shards(written[0] / "train"):
        for sample in read_samples(url):
            lengths.append(len(sample.pictures))
            clock = sample.meta["time"]
            assert (clock["source"] == "frame_rate") == (len(sample.pictures) > 1)
    assert sorted(lengths) == [1, 1, 1, 1, 2, 2]


def test_the_folder_says_how_it_was_made(written):
    folder, told = written
    found = json.loads((folder / "dataset.json").read_text())
    assert found == json.loads(json.dumps(told))
    assert found["complete"]
    assert found["recipe"]["generator"] == write.generator()
    assert "--seed 11" in found["command"]
    assert len(found["splits"]["val"]["fingerprint"]) == 64


def test_two_jobs_write_what_one_writes(written, tmp_path, monkeypatch):
    # Spawned workers re-import the module, so the shard size has to hold for the parent alone.
    told = write_dataset(tmp_path, **SETTINGS, sequences=0.5, clip_frames=2, jobs=2)
    assert labels(tmp_path) == labels(written[0])
    assert told["splits"] == written[1]["splits"]


def test_another_seed_is_another_set(written, tmp_path):
    write_dataset(tmp_path, **(SETTINGS | {"seed": 12}), sequences=0.5, clip_frames=2)
    other, first = labels(tmp_path), labels(written[0])
    assert all(other[key]["kp3d"] != first[key]["kp3d"] for key in other)


def test_a_killed_run_goes_on_where_it_stopped(written, tmp_path, monkeypatch):
    settings = SETTINGS | {"sequences": 0.5, "clip_frames": 2}
    whole, drawn = write.draw_sample, []

    def dies(*where):
        drawn.append(where)
        if len(drawn) == 6:
            raise KeyboardInterrupt
        return whole(*where)

    monkeypatch.setattr(write, "draw_sample", dies)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, **settings)
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.tar")}
    assert finished
    assert len(list(tmp_path.glob("*/.*.part"))) == 1
    assert not json.loads((tmp_path / "dataset.json").read_text())["complete"]
    monkeypatch.setattr(write, "draw_sample", whole)
    seen = []
    write_dataset(tmp_path, **settings, progress=seen.append)
    assert labels(tmp_path) == labels(written[0])
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in finished.items())
    assert sum(seen) == SETTINGS["count"]


def test_a_folder_with_another_set_is_left_alone(written):
    with pytest.raises(ValueError, match=r"already holds a data set with another seed; choose"):
        write_dataset(written[0], **(SETTINGS | {"seed": 12}), sequences=0.5, clip_frames=2)


def test_a_set_of_another_hand_is_not_taken_for_this_one(written):
    settings = SETTINGS | {"sequences": 0.5, "clip_frames": 2}
    path = written[0] / "dataset.json"
    told = path.read_text()
    path.write_text(told.replace(write.generator(), "clayhand-render-0-00000000"))
    with pytest.raises(ValueError, match="another generator"):
        write_dataset(written[0], **settings)
    path.write_text(told)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "at least one picture"),
        ({"image_size": 8}, "32 px"),
        ({"split": (0.0, 0.0)}, "two shares"),
        ({"sequences": 1.5}, "a share from 0 to 1"),
        ({"sequences": 0.5, "clip_frames": 1}, "at least 2 frames"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_before_any_work(tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        write_dataset(tmp_path / "new", **(SETTINGS | change))
    assert not (tmp_path / "new").exists()


def test_a_sample_does_not_depend_on_those_before_it():
    recipe = write.Recipe(14, 48, 11, (0.6, 0.4), 0.0, 8)
    write.draw_sample(recipe, 0, 0, 0, 1)
    late = write.draw_sample(recipe, 0, 1, 2, 1)
    again = write.draw_sample(recipe, 0, 1, 2, 1)
    assert late.pictures == again.pictures
    np.testing.assert_array_equal(late.arrays["kp2d"], again.arrays["kp2d"])
