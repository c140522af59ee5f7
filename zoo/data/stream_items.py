"""What stands in shards, one still encoded item after another, whatever is broken on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import webdataset as wds

from zoo.contracts import Frame, SkippedSample
from zoo.data.clips import Slots, times_of
from zoo.data.collate import Run
from zoo.data.schema import BadSample, ClipSample, decode_slot, parse

_END_MARK = 1024  # bytes of zeros that close every tar

Choose = Callable[[ClipSample], list[Slots]]  # which frames of a sample make one item each


@dataclass(frozen=True)
class Item:
    """A hand in one or several pictures, still encoded; or a sample that could not be read."""

    sample: ClipSample | None
    slots: Slots = ()
    failure: SkippedSample | None = None

    def frame(self) -> Frame | SkippedSample:
        """The first picture's hand, decoded."""
        decoded = self.run()
        return decoded.frames[0] if isinstance(decoded, Run) else decoded

    def run(self) -> Run | SkippedSample:
        """Every picture's hand with its time, or why that is not to be had."""
        if self.failure is not None:
            return self.failure
        try:
            frames = tuple(decode_slot(self.sample, *slot) for slot in self.slots)
            return Run(frames, times_of(self.sample, [frame for _, frame in self.slots]))
        except BadSample as bad:
            return _skipped(bad)


def read_items(urls: Sequence[str], broken: list[SkippedSample], choose: Choose) -> Iterator[Item]:
    """What `choose` takes of each sample, in order; shards that break off go to `broken`."""
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
                chosen = choose(sample)
            except BadSample as bad:
                yield Item(None, failure=_skipped(bad))
                continue
            yield from (Item(sample, slots) for slots in chosen)


def every_hand(sample: ClipSample) -> list[Slots]:
    """Each labelled hand of each picture by itself."""
    return [(slot,) for slot in sample.slots()]


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


def _skipped(bad: BadSample) -> SkippedSample:
    return SkippedSample(key=bad.key, shard=bad.shard, reason=f"{bad.field}: {bad.reason}")
