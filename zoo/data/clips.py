"""Which frames of a film make a clip: the runs a stream draws, and their real times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from zoo.data.schema import ClipSample

NANOSECONDS = 1_000_000_000

Slots = tuple[tuple[int, int], ...]  # (hand, frame) of a ClipSample


@dataclass(frozen=True)
class ClipRequest:
    """Clips of `frames` consecutive frames, the last one supervised (CS-ViT2, Stage 2).

    frames: T.
    stride: from the start of one clip to the start of the next.
    windows: "dense" takes every clip of a film each pass, "random" one clip at a random place.
    run: frames that are decoded and encoded together in evaluation; clips that overlap share them.
    history: frames that must stand before a supervised one; above T - 1 it lets clips of several
        lengths be judged on the same frames.
    """

    frames: int
    stride: int = 1
    windows: Literal["dense", "random"] = "random"
    run: int = 32
    history: int | None = None

    def __post_init__(self) -> None:
        if self.frames < 1 or self.stride < 1:
            raise ValueError(
                f"data.clip.frames and data.clip.stride are whole numbers from 1 up, not "
                f"{self.frames} and {self.stride}"
            )
        if self.windows not in ("dense", "random"):
            raise ValueError(f"data.clip.windows is 'dense' or 'random', not {self.windows!r}")
        if self.run < self.frames:
            raise ValueError(
                f"data.clip.run is {self.run} frames, too few for a clip of {self.frames}; "
                f"give at least data.clip.frames"
            )
        if self.history is not None and self.history < self.frames - 1:
            raise ValueError(
                f"data.clip.history is {self.history}, but a clip of {self.frames} frames has "
                f"{self.frames - 1} before its last; give at least that, or leave it out"
            )

    def training_runs(self, sample: ClipSample, seed: str) -> list[Slots]:
        """One clip a run, from every hand of the film; a film too short gives none.

        seed: of this pass over the data; a film's window depends on it and on the film alone.
        """
        rng, found = random.Random(f"{seed} {sample.key}"), []
        for film in films(sample):
            starts = range(0, len(film) - self.frames + 1, self.stride)
            if self.windows == "random":
                starts = [rng.randrange(len(starts)) * self.stride] if len(starts) else []
            found += [film[start : start + self.frames] for start in starts]
        return found

    def evaluation_runs(self, sample: ClipSample) -> list[Slots]:
        """Runs whose clips end at each frame with enough history once, in order."""
        found, back = [], self.frames - 1
        for film in films(sample):
            first = back if self.history is None else self.history
            for start in range(first, len(film), self.run - back):
                found.append(film[start - back : start - back + self.run])
        return found


def films(sample: ClipSample) -> list[Slots]:
    """Every longest stretch of consecutive labelled frames of one hand."""
    frames_of: dict[int, list[int]] = {}
    for hand, frame in sample.slots():
        frames_of.setdefault(hand, []).append(frame)
    found = []
    for hand, frames in sorted(frames_of.items()):
        cuts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(frames)) if b != a + 1), len(frames)]
        found += [tuple((hand, f) for f in frames[a:b]) for a, b in pairwise(cuts)]
    return found


def times_of(sample: ClipSample, frames: Sequence[int]) -> Tensor:
    """(R,) s, float64, of these frames; the last is 0.

    Differences are taken in whole nanoseconds: a clock's absolute time in float32 loses frames.
    Where no clock was stored, frame numbers over the film's frame rate serve. Raises BadSample
    where neither is there, or time does not go forward.
    """
    stamps = sample.arrays["timestamp_ns"][list(frames)]
    numbers = sample.arrays["frame_index"][list(frames)]
    rate = (sample.meta.get("time") or {}).get("fps")
    if (stamps >= 0).all():
        times = (stamps - stamps[-1]).astype(np.float64) / NANOSECONDS
    elif rate and (numbers >= 0).all():
        times = (numbers - numbers[-1]).astype(np.float64) / rate
    elif len(frames) == 1:
        times = np.zeros(1)
    else:
        raise sample.bad("timestamp_ns", "clips need times, or frame_index and a frame rate")
    if (np.diff(times) <= 0).any():
        raise sample.bad("timestamp_ns", "times of consecutive frames do not go forward")
    return torch.from_numpy(times)
