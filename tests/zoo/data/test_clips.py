"""Clips are consecutive frames of one hand, with real times, each supervised frame once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from zoo.data.clips import ClipRequest, films, times_of
from zoo.data.collate import pack, unpack
from zoo.data.schema import BadSample
from zoo.data.shards import write_shard
from zoo.data.streams import EvalStream, StreamLoader, TrainStream


@pytest.fixture
def film(make_sample):
    """One hand in eleven frames, the sixth of which shows it not."""
    sample, _ = make_sample(hands=1, frames=11)
    for name, values in sample.arrays.items():
        if values.ndim >= 2 and values.shape[:2] == (1, 11):
            values[0, 5] = np.nan if name == "fit_error" else 0
    return sample


@pytest.fixture
def long_shards(tmp_path, make_sample):
    """Two shards of three films, nine frames each, of one hand."""
    for shard in range(2):
        samples = [make_sample(3 * shard + n, hands=1, frames=9)[0] for n in range(3)]
        write_shard(tmp_path / f"{shard:02d}.tar", samples)
    return tmp_path


def test_a_film_ends_where_the_hand_is_not_seen(film):
    assert [[frame for _, frame in run] for run in films(film)] == [
        [0, 1, 2, 3, 4],
        [6, 7, 8, 9, 10],
    ]


def test_hands_of_one_picture_are_films_of_their_own(make_sample):
    sample, _ = make_sample(hands=2, frames=3)
    assert films(sample) == [((0, 0), (0, 1), (0, 2)), ((1, 0), (1, 1), (1, 2))]


@pytest.mark.parametrize(("stride", "starts"), [(1, [0, 1, 2, 6, 7, 8]), (2, [0, 2, 6, 8])])
def test_dense_windows_are_every_clip_of_consecutive_frames(film, stride, starts):
    request = ClipRequest(frames=3, stride=stride, windows="dense")
    runs = request.training_runs(film, "seed")
    assert [run[0][1] for run in runs] == starts
    assert all([f for _, f in run] == list(range(run[0][1], run[0][1] + 3)) for run in runs)


def test_random_windows_move_from_pass_to_pass_and_repeat_with_the_seed(film):
    request = ClipRequest(frames=2)
    passes = [request.training_runs(film, f"pass {n}") for n in range(12)]
    assert all(len(runs) == 2 for runs in passes)
    assert len(set(map(tuple, passes))) > 3
    assert request.training_runs(film, "pass 3") == passes[3]


def test_a_film_shorter_than_the_clip_gives_none(film):
    assert ClipRequest(frames=6, windows="dense").training_runs(film, "seed") == []
    assert ClipRequest(frames=6).training_runs(film, "seed") == []


@pytest.mark.parametrize("run", [3, 4, 5, 32])
def test_evaluation_supervises_every_frame_with_enough_history_once(film, run):
    request = ClipRequest(frames=3, run=run)
    last = [frame for slots in request.evaluation_runs(film) for _, frame in slots[2:]]
    assert last == [2, 3, 4, 8, 9, 10]


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_clips_of_every_length_can_be_judged_on_the_same_frames(film, frames):
    request = ClipRequest(frames=frames, history=3, run=6)
    runs = request.evaluation_runs(film)
    assert [frame for slots in runs for _, frame in slots[frames - 1 :]] == [3, 4, 9, 10]


def test_times_are_whole_nanoseconds_before_they_are_seconds(film):
    film.arrays["timestamp_ns"][:] = 57_000_000_000_000_000 + np.arange(11) * 33_333_333
    times = times_of(film, range(4))
    assert times.dtype == torch.float64
    np.testing.assert_allclose(times, np.arange(-3, 1) * 0.033333333, rtol=1e-12)


def test_frame_numbers_and_a_frame_rate_serve_where_there_is_no_clock(film):
    film.arrays["timestamp_ns"][:] = -1
    film.arrays["frame_index"][:] = np.arange(11) * 3
    film.meta["time"] = {"source": "frame_rate", "fps": 30.0}
    np.testing.assert_allclose(times_of(film, [1, 2]), [-0.1, 0])


def test_a_clip_without_times_is_refused_and_a_single_frame_is_not(film):
    film.arrays["timestamp_ns"][:] = -1
    with pytest.raises(BadSample, match="timestamp_ns: clips need times"):
        times_of(film, [0, 1])
    assert times_of(film, [4]).tolist() == [0]


def test_time_that_stands_still_is_refused(film):
    film.arrays["timestamp_ns"][:] = 5
    with pytest.raises(BadSample, match="do not go forward"):
        times_of(film, [0, 1])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"frames": 0}, "clip.frames"),
        ({"frames": 3, "stride": 0}, "clip.stride"),
        ({"frames": 3, "windows": "all"}, "clip.windows"),
        ({"frames": 7, "run": 6}, "clip.run"),
        ({"frames": 7, "history": 5}, "clip.history"),
    ],
)
def test_requests_that_cannot_be_met_say_so(settings, named):
    with pytest.raises(ValueError, match=named):
        ClipRequest(**settings)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_batch_holds_whole_clips(long_shards, workers):
    stream = TrainStream(long_shards, batch_size=3, seed=0, shuffle=4, clip=ClipRequest(frames=4))
    loader = StreamLoader(stream, steps=4, num_workers=workers)
    for batch in itertools.islice(iter(loader), 4):
        assert batch.rows.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
        assert batch.runs.tolist() == [0] * 4 + [1] * 4 + [2] * 4
        keys = [[batch.frames[row].key.split("#0.") for row in clip] for clip in batch.rows]
        for clip in keys:
            numbers = [int(number) for _, number in clip]
            assert numbers == list(range(numbers[0], numbers[0] + 4))
            assert len({film for film, _ in clip}) == 1
        np.testing.assert_allclose(batch.times, [np.arange(-3, 1) * 0.033333333] * 3, rtol=1e-9)


def test_clips_that_overlap_share_their_frames_in_evaluation(long_shards):
    clip = ClipRequest(frames=4, run=9)
    stream = EvalStream(long_shards, batch_size=18, clip=clip)
    batches = list(StreamLoader(stream))
    assert len(stream) == 6
    assert [len(batch.frames) for batch in batches] == [18, 18, 18]
    assert batches[0].rows[:6].tolist() == [list(range(s, s + 4)) for s in range(6)]
    last = [batch.frames[row].key for batch in batches for row in batch.rows[:, -1]]
    assert len(last) == len(set(last)) == 36


def test_a_broken_picture_takes_its_run_along_and_is_counted(tmp_path, make_sample):
    samples = [make_sample(n, hands=1, frames=5)[0] for n in range(3)]
    broken = samples[1].pictures
    object.__setattr__(samples[1], "pictures", (*broken[:3], broken[3][:40], broken[4]))
    write_shard(tmp_path / "00.tar", samples)
    stream = EvalStream(tmp_path, batch_size=64, clip=ClipRequest(frames=3, run=5))
    batches = list(StreamLoader(stream))
    assert sum(len(batch.rows) for batch in batches) == 6
    assert [skip.reason[:5] for batch in batches for skip in batch.skipped] == ["f0003"]


def test_clips_survive_the_way_from_a_worker(long_shards):
    stream = EvalStream(long_shards, batch_size=9, clip=ClipRequest(frames=4, run=9))
    batch = next(iter(stream))
    again = unpack(pack(batch))
    for name in ("times", "rows", "runs"):
        assert torch.equal(getattr(again, name), getattr(batch, name))
