"""Several sources make one stream, each with its share."""

from __future__ import annotations

import gzip
import itertools
import shutil
from collections import Counter
from pathlib import Path

import pytest

from zoo.contracts import SkippedSample
from zoo.data.shards import fingerprint, resolve_shards, write_shard
from zoo.data.sources import Handclip, as_sources, count_hands, data_fingerprint, tar_members
from zoo.data.streams import EvalStream, StreamLoader, TrainStream


@pytest.fixture
def two(shards, make_sample, tmp_path_factory):
    """35 hands with weight 3, and 4 hands, keys 90 to 93, with weight 1."""
    folder = tmp_path_factory.mktemp("few")
    for n in range(4):
        write_shard(folder / f"{n}.tar", [make_sample(90 + n, hands=1, frames=1)[0]])
    return {"many": Handclip(shards=shards, weight=3.0), "few": Handclip(shards=folder)}


def keys(loader, batches):
    taken = itertools.islice(iter(loader), batches)
    return [[int(f.key.split("/s")[1][:-2]) for f in batch.frames] for batch in taken]


def train(sources, workers=0):
    stream = TrainStream(sources, batch_size=8, seed=1, shuffle=16)
    return StreamLoader(stream, steps=100, num_workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_each_source_has_the_share_of_its_weight(two, workers):
    flat = list(itertools.chain.from_iterable(keys(train(two, workers), 50)))
    share = sum(key >= 90 for key in flat) / len(flat)
    assert share == pytest.approx(0.25, abs=0.06)
    seen = Counter(key for key in flat if key >= 90)
    assert set(seen) == {90, 91, 92, 93}  # a small source goes through many epochs
    assert max(seen.values()) - min(seen.values()) <= 5


def test_a_mixture_is_the_same_for_the_same_seed_and_resumes_exactly(two):
    whole = keys(train(two), 12)
    assert keys(train(two), 12) == whole
    resumed = train(two)
    resumed.dataset.skip_batches = 5
    assert keys(resumed, 12)[5:] == whole[5:]


def test_an_evaluation_reads_one_source_after_the_other(two):
    flat = list(itertools.chain.from_iterable(keys(StreamLoader(EvalStream(two, batch_size=8)), 9)))
    assert flat == [*range(35), 90, 91, 92, 93]
    assert count_hands(two) == 39


def test_a_compressed_tar_is_named_and_not_unpacked(shards, tmp_path):
    whole = Path(resolve_shards(shards)[0]).read_bytes()
    (tmp_path / "0.tar").write_bytes(gzip.compress(whole))
    broken: list[SkippedSample] = []
    assert list(tar_members(str(tmp_path / "0.tar"), broken)) == []
    assert [skip.reason for skip in broken] == ["the tar is compressed; unpack it to a plain .tar"]


def test_a_shard_is_a_file_whatever_it_is_called(shards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "pipe:touch ran #.tar"
    shutil.copy(resolve_shards(shards)[0], name)
    assert len(list(tar_members(name, []))) > 0
    assert not Path("ran").exists()


def test_shards_alone_keep_their_fingerprint(shards):
    assert data_fingerprint(str(shards)) == fingerprint(resolve_shards(shards))
    assert data_fingerprint({"a": Handclip(shards=shards)}) == fingerprint(resolve_shards(shards))


def test_impossible_mixtures_are_refused(shards):
    with pytest.raises(ValueError, match="No data were named"):
        as_sources({})
    with pytest.raises(ValueError, match="'a' has weight 0"):
        as_sources({"a": Handclip(shards=shards, weight=0)})
