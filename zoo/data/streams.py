"""Shards to batches: an endless reproducible stream to train on, an exact one to judge on."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import cv2
import webdataset as wds
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from zoo.contracts import FrameBatch, SkippedSample
from zoo.data.clips import ClipRequest
from zoo.data.collate import PackedBatch, collate, collate_runs, pack, unpack
from zoo.data.shrink import Shrink
from zoo.data.sources import Data, Source, as_sources, count_hands
from zoo.data.stream_items import Item, every_hand, read_items

_PATIENCE = 100  # samples seen before the share of bad ones is judged


class TooManyBadSamples(ValueError):
    """More of a stream cannot be used than can be an accident."""


@dataclass
class _Tally:
    """Counts what could not be used and stops a stream that is mostly unusable."""

    limit: float
    clip: ClipRequest | None = None
    shrink: Shrink | None = None
    seen: int = 0
    bad: int = 0
    last: SkippedSample | None = None
    broken_shards: list[SkippedSample] = field(default_factory=list)

    def take(self, items: Sequence[Item]) -> FrameBatch:
        if self.clip is None:
            batch = collate(item.frame(self.shrink) for item in items)
        else:
            batch = collate_runs((item.run(self.shrink) for item in items), self.clip.frames)
        self.seen += len(items)
        self.bad += len(batch.skipped)
        self.last = batch.skipped[-1] if batch.skipped else self.last
        if self.seen >= _PATIENCE and self.bad > self.limit * self.seen:
            last = self.last
            raise TooManyBadSamples(
                f"{self.bad} of the first {self.seen} samples could not be used "
                f"(more than {self.limit:.0%}), the last one {last.key} of {last.shard}: "
                f"{last.reason}. Look with: zoo data check"
            )
        skipped = (*self.broken_shards, *batch.skipped)
        self.broken_shards.clear()
        return dataclasses.replace(batch, skipped=skipped)


class TrainStream(IterableDataset):
    """Endless shuffled batches, the same for the same seed, ranks and workers.

    Each epoch orders the shards anew and shares them out over ranks and workers; a reader shuffles
    within a buffer and batches what is still encoded, so what a batch is made of never depends on
    decoding. Bad samples leave gaps in their batch, and are in its `skipped`.

    Of several sources every item is drawn by their weights; each goes through epochs of its own,
    and one buffer shuffles them all.
    """

    def __init__(
        self,
        data: Data,
        *,
        batch_size: int,
        seed: int,
        shuffle: int = 1000,
        rank: int = 0,
        world_size: int = 1,
        max_bad: float = 0.1,
        clip: ClipRequest | None = None,
        shrink: Shrink | None = None,
    ) -> None:
        """data: shards as `resolve_shards` reads them, or sources by name.

        clip: a batch holds `batch_size` clips instead of hands.

        shrink: decodes large JPEGs at a fraction of their size where crops are smaller still.

        shuffle: samples in the buffer of one worker. max_bad: share of bad samples that raises
        TooManyBadSamples, once 100 were seen.
        """
        self.sources = as_sources(data)
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.rank, self.world_size, self.max_bad = rank, world_size, max_bad
        self.clip, self.shrink = clip, shrink
        self.skip_batches = 0  # batches already consumed, which come empty and undecoded

    def __iter__(self) -> Iterator[FrameBatch]:
        """Batch after batch, for the worker that calls."""
        worker, workers = _worker()
        tally = _Tally(self.max_bad, self.clip, self.shrink)
        items = self._items(self.rank * workers + worker, self.world_size * workers, tally)
        # A loader takes batches from its workers in turn: this one gives worker, worker + workers..
        for number in itertools.count(worker, workers):
            batch = list(itertools.islice(items, self.batch_size))
            if number < self.skip_batches:
                tally.broken_shards.clear()
                yield FrameBatch(frames=())
            else:
                yield tally.take(batch)

    def _items(self, reader: int, readers: int, tally: _Tally) -> Iterator[Item]:
        """All that one reader ever reads, in order."""
        if len(self.sources) == 1:
            epochs = (self._epoch(epoch, reader, readers, tally) for epoch in itertools.count())
            return itertools.chain.from_iterable(epochs)
        rng = random.Random(f"samples {self.seed} {reader}")
        return _shuffled(self._mixed(reader, readers, tally), self.shuffle, rng)

    def _epoch(self, epoch: int, reader: int, readers: int, tally: _Tally) -> Iterator[Item]:
        """One shuffled pass of one reader over its share of the only source."""
        (source,) = self.sources.values()
        rng = random.Random(f"samples {self.seed} {epoch} {reader}")
        return _shuffled(self._share(source, epoch, reader, readers, tally), self.shuffle, rng)

    def _mixed(self, reader: int, readers: int, tally: _Tally) -> Iterator[Item]:
        """Items of all sources, each drawn by the weights."""

        def endless(source: Source) -> Iterator[Item]:
            for epoch in itertools.count():
                yield from self._share(source, epoch, reader, readers, tally)

        streams = [endless(source) for source in self.sources.values()]
        weights = [source.weight for source in self.sources.values()]
        rng = random.Random(f"mixture {self.seed} {reader}")
        while True:
            yield next(rng.choices(streams, weights)[0])

    def _share(
        self, source: Source, epoch: int, reader: int, readers: int, tally: _Tally
    ) -> Iterator[Item]:
        """One pass of one reader over its share of a source, pieces in the epoch's order."""
        shards = list(source.urls)
        random.Random(f"shards {self.seed} {epoch}").shuffle(shards)
        choose = every_hand
        if self.clip is not None:
            choose = partial(self.clip.training_runs, seed=f"clips {self.seed} {epoch}")
        few = len(shards) < readers
        mine = shards if few else shards[reader::readers]
        items = read_items(source, mine, tally.broken_shards, choose)
        empty = True
        for item in itertools.islice(items, reader, None, readers) if few else items:
            empty = False
            yield item
        if empty:
            hint = "fewer workers or ranks, or more samples" if few else "another set of shards"
            raise ValueError(
                f"Reader {reader} of {readers} found no samples in {shards[0]} and the other "
                f"{len(shards) - 1} shards; use {hint}."
            )


class EvalStream(IterableDataset):
    """Every labelled hand once, in the shards' order, whatever the ranks and workers.

    Rank r takes hands r, r + world_size, ...; within a rank, batches go to the workers in turn.
    `len` is the number of hands over all ranks.
    """

    def __init__(
        self,
        data: Data,
        *,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        max_bad: float = 0.1,
        clip: ClipRequest | None = None,
    ) -> None:
        """data: shards as `resolve_shards` reads them, or sources by name, one after the other.

        clip: a batch holds as many frames, in runs.
        """
        self.sources = as_sources(data)
        self.rank, self.world_size = rank, world_size
        self.max_bad, self.clip = max_bad, clip
        self.batch_size = batch_size if clip is None else max(1, batch_size // clip.run)
        self._length = count_hands(self.sources) if clip is None else self._count_runs()
        if clip is not None and not self._length:
            raise ValueError(
                f"no film of the validation data has {clip.frames} consecutive frames of one hand "
                f"(data.clip.frames); take shorter clips, or data with sequences."
            )

    def __len__(self) -> int:
        """Labelled hands, or runs of clips, over all ranks."""
        return self._length

    def __iter__(self) -> Iterator[FrameBatch]:
        """Batch after batch, for the worker that calls."""
        worker, workers = _worker()
        tally = _Tally(self.max_bad, self.clip)
        mine = itertools.islice(self._every(tally.broken_shards), self.rank, None, self.world_size)
        for number in itertools.count():
            batch = list(itertools.islice(mine, self.batch_size))
            if not batch:
                break
            if number % workers == worker:
                yield tally.take(batch)
            elif worker:
                tally.broken_shards.clear()  # worker 0 reports them
        if worker == 0 and tally.broken_shards:
            yield tally.take([])

    def _every(self, broken: list[SkippedSample]) -> Iterator[Item]:
        choose = every_hand if self.clip is None else self.clip.evaluation_runs
        for source in self.sources.values():
            yield from read_items(source, source.urls, broken, choose)

    def _count_runs(self) -> int:
        return sum(1 for _ in self._every([]))


class StreamLoader(DataLoader):
    """A loader with a length, as mmengine wants one, over a stream that batches for itself.

    Iterating starts the workers at the first batch, so `dataset.skip_batches` may be set until
    then. Batches leave a worker as two tensors each.
    """

    def __init__(
        self, stream: TrainStream | EvalStream, *, steps: int | None = None, num_workers: int = 0
    ) -> None:
        """steps: nominal length; an EvalStream without it has its own number of batches."""
        super().__init__(
            stream,
            batch_size=None,
            num_workers=num_workers,
            collate_fn=pack,
            worker_init_fn=_settle,
        )
        self._steps = steps if steps is not None else _batches_of(stream)

    def __len__(self) -> int:
        """Nominal steps of an epoch."""
        return self._steps

    def __iter__(self) -> Iterator[FrameBatch]:
        """Unpacked batches."""
        return map(unpack, self._packed())

    def _packed(self) -> Iterator[PackedBatch]:
        yield from super().__iter__()


def _batches_of(stream: TrainStream | EvalStream) -> int:
    if isinstance(stream, TrainStream):
        raise ValueError("A TrainStream never ends: StreamLoader needs steps=, its length.")
    mine = len(range(stream.rank, len(stream), stream.world_size))
    return -(-mine // stream.batch_size)


def _shuffled(items: Iterator[Item], size: int, rng: random.Random) -> Iterator[Item]:
    if size < 2:
        return items
    shuffle: Callable = wds.shuffle(size, initial=size, rng=rng)
    return shuffle(items)


def _worker() -> tuple[int, int]:
    info = get_worker_info()
    return (info.id, info.num_workers) if info else (0, 1)


def _settle(worker: int) -> None:
    """One thread a worker: the loader is the parallelism."""
    cv2.setNumThreads(0)
