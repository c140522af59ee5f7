"""Shards to batches: an endless reproducible stream to train on, an exact one to judge on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import webdataset as wds
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from zoo.contracts import Frame, FrameBatch, SkippedSample
from zoo.data.collate import PackedBatch, collate, pack, unpack
from zoo.data.schema import BadSample, ClipSample, decode_slot, parse
from zoo.data.shards import count_frames, resolve_shards

_END_MARK = 1024  # bytes of zeros that close every tar
_PATIENCE = 100  # samples seen before the share of bad ones is judged


class TooManyBadSamples(ValueError):
    """More of a stream cannot be used than can be an accident."""


@dataclass(frozen=True)
class _Item:
    """One hand in one picture, still encoded; or a sample whose labels could not be read."""

    sample: ClipSample | None
    slot: tuple[int, int] = (0, 0)
    failure: SkippedSample | None = None

    def decode(self) -> Frame | SkippedSample:
        if self.failure is not None:
            return self.failure
        try:
            return decode_slot(self.sample, *self.slot)
        except BadSample as bad:
            return _skipped(bad)


@dataclass
class _Tally:
    """Counts what could not be used and stops a stream that is mostly unusable."""

    limit: float
    seen: int = 0
    bad: int = 0
    last: SkippedSample | None = None
    broken_shards: list[SkippedSample] = field(default_factory=list)

    def take(self, items: Sequence[_Item]) -> FrameBatch:
        batch = collate([item.decode() for item in items])
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
        return FrameBatch(frames=batch.frames, skipped=skipped)


class TrainStream(IterableDataset):
    """Endless shuffled batches, the same for the same seed, ranks and workers.

    Each epoch orders the shards anew and shares them out over ranks and workers; a reader shuffles
    within a buffer and batches what is still encoded, so what a batch is made of never depends on
    decoding. Bad samples leave gaps in their batch, and are in its `skipped`.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        batch_size: int,
        seed: int,
        shuffle: int = 1000,
        rank: int = 0,
        world_size: int = 1,
        max_bad: float = 0.1,
    ) -> None:
        """urls: as `resolve_shards` reads them.

        shuffle: samples in the buffer of one worker. max_bad: share of bad samples that raises
        TooManyBadSamples, once 100 were seen.
        """
        self.urls = resolve_shards(urls)
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.rank, self.world_size, self.max_bad = rank, world_size, max_bad
        self.skip_batches = 0  # batches already consumed, which come empty and undecoded

    def __iter__(self) -> Iterator[FrameBatch]:
        """Batch after batch, for the worker that calls."""
        worker, workers = _worker()
        tally = _Tally(self.max_bad)
        reader = (self.rank * workers + worker, self.world_size * workers)
        items = itertools.chain.from_iterable(
            self._epoch(epoch, *reader, tally) for epoch in itertools.count()
        )
        # A loader takes batches from its workers in turn: this one gives worker, worker + workers..
        for number in itertools.count(worker, workers):
            batch = list(itertools.islice(items, self.batch_size))
            if number < self.skip_batches:
                tally.broken_shards.clear()
                yield FrameBatch(frames=())
            else:
                yield tally.take(batch)

    def _epoch(self, epoch: int, reader: int, readers: int, tally: _Tally) -> Iterator[_Item]:
        """One pass of one reader over its share."""
        shards = list(self.urls)
        random.Random(f"shards {self.seed} {epoch}").shuffle(shards)
        if few := len(shards) < readers:
            items = itertools.islice(_items(shards, tally.broken_shards), reader, None, readers)
        else:
            items = _items(shards[reader::readers], tally.broken_shards)
        rng = random.Random(f"samples {self.seed} {epoch} {reader}")
        count = 0
        for count, item in enumerate(_shuffled(items, self.shuffle, rng), 1):  # noqa: B007
            yield item
        if not count:
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
        urls: str | Sequence[str],
        *,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        max_bad: float = 0.1,
    ) -> None:
        """urls: as `resolve_shards` reads them."""
        self.urls = resolve_shards(urls)
        self.batch_size, self.rank, self.world_size = batch_size, rank, world_size
        self.max_bad = max_bad
        self._length = count_frames(self.urls)

    def __len__(self) -> int:
        """Labelled hands over all ranks."""
        return self._length

    def __iter__(self) -> Iterator[FrameBatch]:
        """Batch after batch, for the worker that calls."""
        worker, workers = _worker()
        tally = _Tally(self.max_bad)
        every = _items(self.urls, tally.broken_shards)
        mine = itertools.islice(every, self.rank, None, self.world_size)
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


def _items(urls: Sequence[str], broken: list[SkippedSample]) -> Iterator[_Item]:
    """Every hand of the shards in order; shards that break off are added to `broken`."""
    for url in urls:
        report = _Report(url, broken)
        if not _is_closed(url):
            report(ValueError("the tar has no end mark: it was cut off"))
        pipeline = wds.DataPipeline(
            wds.SimpleShardList([url]), wds.tarfile_to_samples(handler=report)
        )
        for members in pipeline:
            try:
                sample = parse(members, url)
                slots = sample.slots()
            except BadSample as bad:
                yield _Item(None, failure=_skipped(bad))
                continue
            yield from (_Item(sample, slot) for slot in slots)


class _Report:
    """webdataset's error handler: notes the first failure of a shard and goes on."""

    def __init__(self, url: str, broken: list[SkippedSample]) -> None:
        self.url, self.broken, self.said = url, broken, False

    def __call__(self, error: Exception) -> bool:
        if not self.said:
            self.broken.append(SkippedSample(key="", shard=self.url, reason=str(error.args[0])))
        self.said = True
        return True


def _is_closed(url: str) -> bool:
    with open(url, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _END_MARK))
        return not file.read().strip(b"\0")


def _shuffled(items: Iterator[_Item], size: int, rng: random.Random) -> Iterator[_Item]:
    if size < 2:
        return items
    shuffle: Callable = wds.shuffle(size, initial=size, rng=rng)
    return shuffle(items)


def _skipped(bad: BadSample) -> SkippedSample:
    return SkippedSample(key=bad.key, shard=bad.shard, reason=f"{bad.field}: {bad.reason}")


def _worker() -> tuple[int, int]:
    info = get_worker_info()
    return (info.id, info.num_workers) if info else (0, 1)


def _settle(worker: int) -> None:
    """One thread a worker: the loader is the parallelism."""
    cv2.setNumThreads(0)
