"""Frames to a batch, and a batch to two flat tensors so that it travels cheaply from a worker."""

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


def collate(items: Iterable[Frame | SkippedSample]) -> FrameBatch:
    """What could be used as frames, in order, beside what could not."""
    items = list(items)
    return FrameBatch(
        frames=tuple(item for item in items if isinstance(item, Frame)),
        skipped=tuple(item for item in items if isinstance(item, SkippedSample)),
    )


@dataclass(frozen=True)
class PackedBatch:
    """A FrameBatch as two tensors: each tensor that leaves a worker costs a file handle."""

    pixels: Tensor  # (sum of h*w*3,) uint8
    numbers: Tensor  # all labels one after another, float32
    heads: tuple[tuple[str, str, bool, int, int, bool], ...]  # key, source, left, h, w, has surface
    skipped: tuple[SkippedSample, ...]


def pack(batch: FrameBatch) -> PackedBatch:
    """The same batch as two flat tensors; `unpack` gives it back."""
    pixels, numbers, heads = [], [], []
    for frame in batch.frames:
        height, width = frame.image.shape[-2:]
        surface = frame.label.vertices is not None
        pixels.append(frame.image.permute(1, 2, 0).reshape(-1))
        numbers.extend(value.reshape(-1) for value in _numbers(frame, surface))
        heads.append((frame.key, frame.source, frame.is_left, height, width, surface))
    return PackedBatch(
        pixels=torch.cat(pixels) if pixels else torch.empty(0, dtype=torch.uint8),
        numbers=torch.cat(numbers) if numbers else torch.empty(0),
        heads=tuple(heads),
        skipped=batch.skipped,
    )


def unpack(packed: PackedBatch) -> FrameBatch:
    """The batch that was packed; its tensors are views of the two flat ones."""
    frames, pixel, number = [], 0, 0
    for key, source, is_left, height, width, surface in packed.heads:
        values = {}
        for name, shape in (_NUMBERS | _SURFACE if surface else _NUMBERS).items():
            size = torch.Size(shape).numel()
            values[name] = packed.numbers[number : number + size].view(shape)
            number += size
        image = packed.pixels[pixel : pixel + height * width * 3].view(height, width, 3)
        pixel += height * width * 3
        outside = {name: values.pop(name) for name in _OF_THE_FRAME}
        label = HandTarget(**values)
        image = image.permute(2, 0, 1)
        frames.append(
            Frame(image=image, is_left=is_left, label=label, key=key, source=source, **outside)
        )
    return FrameBatch(frames=tuple(frames), skipped=packed.skipped)


def _numbers(frame: Frame, surface: bool) -> Iterator[Tensor]:
    for name in _NUMBERS | _SURFACE if surface else _NUMBERS:
        yield getattr(frame if name in _OF_THE_FRAME else frame.label, name)
