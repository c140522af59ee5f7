"""Frames to a batch, and a batch to a few flat tensors so that it travels cheaply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.contracts import Frame, FrameBatch, HandTarget, SkippedSample

_NUMBERS = {
    "intrinsics": (3, 3),
    "hand_box": (4,),
    "rotmats": (16, 3, 3),
    "betas": (10,),
    "has_mano": (),
    "joints": (21, 3),
    "joints_valid": (21,),
    "keypoints": (21, 2),
    "keypoints_valid": (21,),
    "has_intrinsics": (),
}
_SURFACE = {"vertices": (778, 3), "vertices_valid": ()}
_OF_THE_FRAME = ("intrinsics", "hand_box")


@dataclass(frozen=True)
class Run:
    """Consecutive frames of one hand in one film."""

    frames: tuple[Frame, ...]
    times: Tensor  # (R,) s, float64, from any origin


def collate_runs(items: Iterable[Run | SkippedSample], frames: int) -> FrameBatch:
    """Runs of consecutive frames as clips of `frames` each, every window of every run once.

    A run's frames stand once in the batch however many clips share them; a run in which one frame
    could not be used is left out.
    """
    items = list(items)
    runs = [item for item in items if not isinstance(item, SkippedSample)]
    rows, times, owners, first = [], [], [], 0
    for number, run in enumerate(runs):
        for last in range(frames - 1, len(run.frames)):
            window = torch.arange(last - frames + 1, last + 1)
            rows.append(window + first)
            times.append(run.times[window] - run.times[last])
        owners += [number] * len(run.frames)
        first += len(run.frames)
    return FrameBatch(
        frames=tuple(frame for run in runs for frame in run.frames),
        skipped=tuple(item for item in items if isinstance(item, SkippedSample)),
        times=torch.stack(times) if times else torch.empty(0, frames, dtype=torch.float64),
        rows=torch.stack(rows) if rows else torch.empty(0, frames, dtype=torch.int64),
        runs=torch.tensor(owners, dtype=torch.int64),
    )


def collate(items: Iterable[Frame | SkippedSample]) -> FrameBatch:
    """What could be used as frames, in order, beside what could not."""
    items = list(items)
    return FrameBatch(
        frames=tuple(item for item in items if isinstance(item, Frame)),
        skipped=tuple(item for item in items if isinstance(item, SkippedSample)),
    )


@dataclass(frozen=True)
class PackedBatch:
    """A FrameBatch as few tensors: each one that leaves a worker costs a file handle."""

    pixels: Tensor  # (sum of h*w*3,) uint8
    numbers: Tensor  # all labels one after another, float32
    heads: tuple[tuple[str, str, bool, int, int, bool, bool], ...]  # what `_head` tells
    skipped: tuple[SkippedSample, ...]
    clips: dict[str, Tensor | None]  # times, rows and runs of a FrameBatch
    depths: Tensor | None = None  # (sum of h*w of the frames that have one,) float32


def pack(batch: FrameBatch) -> PackedBatch:
    """The same batch as flat tensors; `unpack` gives it back."""
    pixels, numbers = [], []
    for frame in batch.frames:
        pixels.append(frame.image.permute(1, 2, 0).reshape(-1))
        numbers.extend(value.reshape(-1) for value in _numbers(frame, _has_surface(frame)))
    depths = [frame.depth.reshape(-1) for frame in batch.frames if frame.depth is not None]
    return PackedBatch(
        pixels=torch.cat(pixels) if pixels else torch.empty(0, dtype=torch.uint8),
        numbers=torch.cat(numbers) if numbers else torch.empty(0),
        heads=tuple(_head(frame) for frame in batch.frames),
        skipped=batch.skipped,
        clips={"times": batch.times, "rows": batch.rows, "runs": batch.runs},
        depths=torch.cat(depths) if depths else None,
    )


def unpack(packed: PackedBatch) -> FrameBatch:
    """The batch that was packed; its tensors are views of the flat ones."""
    frames, pixel, number, reading = [], 0, 0, 0
    for key, source, is_left, height, width, surface, deep in packed.heads:
        values = {}
        for name, shape in (_NUMBERS | _SURFACE if surface else _NUMBERS).items():
            size = torch.Size(shape).numel()
            values[name] = packed.numbers[number : number + size].view(shape)
            number += size
        image = packed.pixels[pixel : pixel + height * width * 3].view(height, width, 3)
        pixel += height * width * 3
        outside = {name: values.pop(name) for name in _OF_THE_FRAME}
        if deep:
            area = height * width
            outside["depth"] = packed.depths[reading : reading + area].view(height, width)
            reading += area
        label = HandTarget(**values)
        image = image.permute(2, 0, 1)
        frames.append(
            Frame(image=image, is_left=is_left, label=label, key=key, source=source, **outside)
        )
    return FrameBatch(frames=tuple(frames), skipped=packed.skipped, **packed.clips)


def _head(frame: Frame) -> tuple[str, str, bool, int, int, bool, bool]:
    """Key, source, left, h, w, has surface, has depth."""
    height, width = frame.image.shape[-2:]
    told = _has_surface(frame), frame.depth is not None
    return frame.key, frame.source, frame.is_left, height, width, *told


def _has_surface(frame: Frame) -> bool:
    return frame.label.vertices is not None


def _numbers(frame: Frame, surface: bool) -> Iterator[Tensor]:
    for name in _NUMBERS | _SURFACE if surface else _NUMBERS:
        yield getattr(frame if name in _OF_THE_FRAME else frame.label, name)
