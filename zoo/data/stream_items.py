"""What stands in sources, one still encoded item after another, whatever is broken on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from zoo.contracts import Frame, SkippedSample
from zoo.data.clips import Slots, times_of
from zoo.data.collate import Run
from zoo.data.schema import BadSample, ClipSample, decode_slot
from zoo.data.shrink import Shrink
from zoo.data.sources import Source, skipped

Choose = Callable[[ClipSample], list[Slots]]  # which frames of a sample make one item each


@dataclass(frozen=True)
class Item:
    """A hand in one or several pictures, still encoded; or a sample that could not be read."""

    sample: ClipSample | None
    slots: Slots = ()
    failure: SkippedSample | None = None

    def frame(self, shrink: Shrink | None = None) -> Frame | SkippedSample:
        """The first picture's hand, decoded, as small as `shrink` allows."""
        decoded = self.run(shrink)
        return decoded.frames[0] if isinstance(decoded, Run) else decoded

    def run(self, shrink: Shrink | None = None) -> Run | SkippedSample:
        """Every picture's hand with its time, or why that is not to be had."""
        if self.failure is not None:
            return self.failure
        try:
            decode = decode_slot if shrink is None else shrink.decode
            frames = tuple(decode(self.sample, *slot) for slot in self.slots)
            return Run(frames, times_of(self.sample, [frame for _, frame in self.slots]))
        except BadSample as bad:
            return skipped(bad)


def read_items(
    source: Source, urls: Iterable[str], broken: list[SkippedSample], choose: Choose
) -> Iterator[Item]:
    """What `choose` takes of each sample, in order; pieces that break off go to `broken`."""
    for url in urls:
        for sample in source.samples(url, broken):
            if isinstance(sample, SkippedSample):
                yield Item(None, failure=sample)
                continue
            try:
                chosen = choose(sample)
            except BadSample as bad:
                yield Item(None, failure=skipped(bad))
                continue
            yield from (Item(sample, slots) for slots in chosen)


def every_hand(sample: ClipSample) -> list[Slots]:
    """Each labelled hand of each picture by itself."""
    return [(slot,) for slot in sample.slots()]
