"""A stream is the same for the same seed, complete, exactly resumable, and honest about gaps."""

from __future__ import annotations

import gc
import itertools
from collections import Counter

import pytest
import torch

from zoo.data.schema import ClipSample
from zoo.data.shards import resolve_shards, write_shard
from zoo.data.streams import EvalStream, StreamLoader, TooManyBadSamples, TrainStream

ALL = {f"made_up/train/s{n}/0" for n in range(35)}


def keys(batch):
    return [frame.key for frame in batch.frames]


def take(loader, count):
    """Keys of the first batches, and the workers stopped."""
    batches = iter(loader)
    return [keys(batch) for batch in itertools.islice(batches, count)]


def train(shards, workers=0, **changes):
    stream = TrainStream(shards, **({"batch_size": 4, "seed": 5, "shuffle": 10} | changes))
    return StreamLoader(stream, steps=10, num_workers=workers)


def damage(path, make_sample, bad=()):
    """Rewrites a shard with some pictures cut in half, behind the writer's back."""
    samples = []
    for n in range(7):
        sample = make_sample(7 * int(path.stem) + n, hands=1, frames=1)[0]
        if n in bad:
            picture = sample.pictures[0]
            object.__setattr__(sample, "pictures", (picture[: len(picture) // 2],))
        samples.append(sample)
    write_shard(path, samples)


@pytest.mark.parametrize("workers", [0, 2])
def test_one_seed_is_one_stream(shards, workers):
    first, second = (take(train(shards, workers), 24) for _ in range(2))
    assert first == second
    assert take(train(shards, workers, seed=6), 24) != first


def test_frames_of_one_seed_are_equal_to_the_last_bit(shards):
    first, second = (next(iter(train(shards))) for _ in range(2))
    for a, b in zip(first.frames, second.frames, strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.label.joints, b.label.joints)


def test_every_epoch_holds_every_sample_once_in_an_order_of_its_own(shards):
    flat = list(itertools.chain.from_iterable(take(train(shards, batch_size=5), 21)))
    epochs = [flat[:35], flat[35:70], flat[70:]]
    for epoch in epochs:
        assert set(epoch) == ALL
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("world", [1, 2, 5, 7])
def test_readers_share_an_epoch_without_overlap_or_gap(shards, world):
    streams = [
        TrainStream(shards, batch_size=1, seed=1, shuffle=4, rank=rank, world_size=world)
        for rank in range(world)
    ]
    epoch = []
    for rank, stream in enumerate(streams):
        items = stream._epoch(0, rank, world, tally=_NoTally())
        epoch.append([item.sample.key for item in items])
    assert Counter(itertools.chain.from_iterable(epoch)) == Counter(ALL)


class _NoTally:
    broken_shards: tuple = ()


def test_workers_of_a_loader_share_an_epoch_without_overlap_or_gap(make_sample, tmp_path):
    for shard in range(4):
        samples = [make_sample(8 * shard + n, hands=1, frames=1)[0] for n in range(8)]
        write_shard(tmp_path / f"{shard}.tar", samples)
    flat = list(itertools.chain.from_iterable(take(train(tmp_path, workers=2), 16)))
    for epoch in (flat[:32], flat[32:]):
        assert len(set(epoch)) == 32


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("skip", [1, 7, 12])
def test_skipped_batches_leave_the_rest_of_the_stream_as_it_was(shards, workers, skip):
    whole = take(train(shards, workers), 20)
    resumed = train(shards, workers)
    resumed.dataset.skip_batches = skip
    batches = take(resumed, 20)
    assert batches[:skip] == [[]] * skip
    assert batches[skip:] == whole[skip:]


def test_skipping_does_not_decode(shards, monkeypatch):
    def never(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("zoo.data.stream_items.decode_slot", never)
    loader = train(shards)
    loader.dataset.skip_batches = 3
    assert take(loader, 3) == [[], [], []]


def test_skip_batches_may_be_set_until_the_first_batch_is_asked_for(shards):
    whole = take(train(shards, 2), 6)
    loader = train(shards, 2)
    batches = iter(loader)
    loader.dataset.skip_batches = 4
    assert [keys(batch) for batch in itertools.islice(batches, 6)] == [[]] * 4 + whole[4:]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_leaves_a_gap_and_moves_no_other(shards, make_sample, workers):
    whole = take(train(shards, workers), 18)
    damage(shards / "03.tar", make_sample, bad=(2,))
    lost = "made_up/train/s23/0"
    batches = list(itertools.islice(iter(train(shards, workers)), 18))
    assert [keys(b) for b in batches] == [[k for k in b if k != lost] for b in whole]
    skipped = [s for b in batches for s in b.skipped]
    assert skipped
    for sample in skipped:
        assert sample.key == lost
        assert sample.shard.endswith("03.tar")
        assert "truncated" in sample.reason


def test_too_many_bad_samples_stop_the_stream(shards, make_sample):
    damage(shards / "00.tar", make_sample, bad=range(7))
    with pytest.raises(TooManyBadSamples, match=r"of the first 1\d\d samples .* zoo data check"):
        take(train(shards), 40)


def test_few_bad_samples_do_not_stop_the_stream(shards, make_sample):
    damage(shards / "00.tar", make_sample, bad=range(3))
    assert len(take(train(shards), 60)) == 60


@pytest.mark.parametrize("keep", [0.3, 0.55, 0.8])
def test_a_cut_off_shard_is_a_counted_skip_and_the_others_go_on(shards, keep):
    path = shards / "02.tar"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    batches = list(itertools.islice(iter(train(shards, max_bad=0.9)), 18))
    skipped = [s for b in batches for s in b.skipped if not s.key]
    assert skipped
    assert all(s.shard.endswith("02.tar") for s in skipped)
    found = {key for b in batches for key in keys(b)}
    assert found > {f"made_up/train/s{n}/0" for n in range(35) if not 14 <= n < 21}


def test_a_reader_without_samples_is_told_why(tmp_path, make_sample):
    write_shard(tmp_path / "a.tar", [make_sample(n, hands=1, frames=1)[0] for n in range(2)])
    stream = TrainStream(tmp_path, batch_size=1, seed=0, rank=2, world_size=3)
    with pytest.raises(ValueError, match="fewer workers or ranks"):
        next(iter(stream))


def test_every_hand_of_every_frame_is_an_item(tmp_path, make_sample):
    write_shard(tmp_path / "a.tar", [make_sample(n)[0] for n in range(4)])
    flat = list(itertools.chain.from_iterable(take(train(tmp_path, batch_size=6), 4)))
    assert len(set(flat)) == 4 * 2 * 3


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_world_judges_the_same_samples_once(shards, world, workers):
    seen = []
    for rank in range(world):
        stream = EvalStream(shards, batch_size=4, rank=rank, world_size=world)
        assert len(stream) == 35
        loader = StreamLoader(stream, num_workers=workers)
        batches = [keys(batch) for batch in loader]
        assert len(batches) == len(loader)
        seen.extend(itertools.chain.from_iterable(batches))
    assert sorted(seen) == sorted(ALL)


def test_an_evaluation_is_in_the_shards_order_whatever_the_workers(shards):
    runs = [take(StreamLoader(EvalStream(shards, batch_size=4), num_workers=w), 99) for w in (0, 2)]
    expected = [f"made_up/train/s{n}/0" for n in range(35)]
    for run in runs:
        assert list(itertools.chain.from_iterable(run)) == expected


def test_an_evaluation_says_what_it_could_not_judge(shards, make_sample):
    damage(shards / "01.tar", make_sample, bad=(0,))
    batches = list(StreamLoader(EvalStream(shards, batch_size=8)))
    assert sum(len(b) for b in batches) == 34
    assert [s.key for b in batches for s in b.skipped] == ["made_up/train/s7/0"]


def test_a_train_loader_needs_a_length(shards):
    with pytest.raises(ValueError, match="steps="):
        StreamLoader(TrainStream(resolve_shards(shards), batch_size=2, seed=0))


@pytest.mark.parametrize("count", [4, 24])
def test_a_stream_holds_its_buffer_and_no_more_however_many_shards_there_are(
    tmp_path, make_sample, count
):
    write_shard(tmp_path / "one", [make_sample(n, hands=1, frames=1)[0] for n in range(7)])
    for number in range(count):
        (tmp_path / f"{number:02d}.tar").symlink_to(tmp_path / "one")
    batches = iter(TrainStream(tmp_path, batch_size=2, seed=0, shuffle=10))
    gc.collect()
    before = _held()
    for _ in range(30):
        next(batches)
    gc.collect()
    assert _held() - before <= 10 + 2 * 2


def _held():
    return sum(isinstance(thing, ClipSample) for thing in gc.get_objects())


def test_a_missing_shard_is_said_before_any_work(shards):
    with pytest.raises(ValueError, match=r"09\.tar does not exist"):
        TrainStream(f"{shards}/09.tar", batch_size=2, seed=0)
