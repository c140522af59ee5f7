"""Bugs of data: pictures that are black, blue, repeated, of another range or of the other split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.faults import Fault, Plant, override, with_frames, with_model
from benchmarks.subject import Subject
from zoo.contracts import Frame, FrameBatch


def _frames(change: Callable[[list[Frame]], list[Frame]]) -> Plant:
    """Plants a change of all frames together."""

    def plant(subject: Subject) -> Subject:
        return subject.with_frames(FrameBatch(tuple(change(list(subject.frames.frames)))))

    return plant


def _picture(change: Callable[[torch.Tensor], torch.Tensor]) -> Plant:
    return with_frames(lambda frame: dataclasses.replace(frame, image=change(frame.image)))


def _crops(change: Callable[[torch.Tensor], torch.Tensor]) -> Plant:
    """Plants a change of the crops that preprocessing makes."""

    def plant(model: nn.Module) -> None:
        def forward(
            self: nn.Module, original: Callable, data: FrameBatch, training: bool = False
        ) -> dict[str, Any]:
            made = original(data, training)
            view = made["inputs"]
            return {**made, "inputs": dataclasses.replace(view, images=change(view.images))}

        override(model.data_preprocessor, forward=forward)

    return with_model(plant)


def _scaled_constants(model: nn.Module) -> None:
    model.backbone.mean.mul_(255)
    model.backbone.std.mul_(255)


def _named(frame: Frame, split: str, index: int, **changes: Any) -> Frame:
    return dataclasses.replace(frame, key=f"set/{split}/{index:04d}", **changes)


def _leaking(frames: list[Frame]) -> list[Frame]:
    half = frames[: len(frames) // 2]
    train = [_named(frame, "train", i) for i, frame in enumerate(half)]
    return train + [_named(frame, "val", i) for i, frame in enumerate(half[:8])]


def _farther(frame: Frame) -> Frame:
    joints = frame.label.joints + torch.tensor([0.0, 0.0, 1.5])
    return dataclasses.replace(frame, label=dataclasses.replace(frame.label, joints=joints))


def _far_validation(frames: list[Frame]) -> list[Frame]:
    half = len(frames) // 2
    train = [_named(frame, "train", i) for i, frame in enumerate(frames[:half])]
    return train + [_named(_farther(f), "val", i) for i, f in enumerate(frames[half:])]


def _stored_anew(frames: list[Frame]) -> list[Frame]:
    def again(frame: Frame, index: int) -> torch.Tensor:
        rng = torch.Generator().manual_seed(index)
        noise = torch.randint(-3, 4, frame.image.shape, generator=rng)
        return (frame.image.int() + noise).clamp(0, 255).to(torch.uint8)

    train = [_named(frame, "train", i) for i, frame in enumerate(frames)]
    return train + [
        _named(frame, "val", i, image=again(frame, i)) for i, frame in enumerate(frames[:8])
    ]


def _one_source(change: Callable[[Frame], Frame]) -> Plant:
    """Plants a fault in every third hand, which is of a data set of its own."""

    def mixed(frames: list[Frame]) -> list[Frame]:
        broken = [change(dataclasses.replace(f, source="second")) for f in frames[::3]]
        return [f for i, f in enumerate(frames) if i % 3] + broken

    return _frames(mixed)


def _odd_order(frame: Frame) -> Frame:
    order = torch.tensor([*range(9), *range(17, 21), *range(13, 17), *range(9, 13)])
    moved = {
        name: getattr(frame.label, name)[order]
        for name in ("joints", "joints_valid", "keypoints", "keypoints_valid")
    }
    return dataclasses.replace(frame, label=dataclasses.replace(frame.label, **moved))


def _depth(change: Callable[[Frame], torch.Tensor]) -> Plant:
    return with_frames(lambda frame: dataclasses.replace(frame, depth=change(frame)))


FAULTS = (
    Fault(
        "validation-is-training-stored-anew",
        _frames(_stored_anew),
        ("data.support", "data"),
        "Training pictures come back, compressed once more, in validation.",
    ),
    Fault(
        "one-source-in-blue-green-red",
        _one_source(lambda frame: dataclasses.replace(frame, image=frame.image.flip(0))),
        ("data.colours", "data"),
        "One data set of a mixture keeps OpenCV's order of channels.",
    ),
    Fault(
        "one-source-with-rows-before-columns",
        _one_source(
            lambda frame: dataclasses.replace(frame, hand_box=frame.hand_box[[1, 0, 3, 2]])
        ),
        ("label.plausible", "data"),
        "One data set of a mixture stores its boxes as y, x, y, x.",
    ),
    Fault(
        "one-source-in-another-order",
        _one_source(_odd_order),
        ("label.fk", "data"),
        "One data set of a mixture lists its fingers in another order, on 2D and 3D alike.",
    ),
    Fault(
        "depth-in-millimetres",
        _depth(lambda frame: 1000 * frame.depth),
        ("label.depth", "data"),
        "The sensor's millimetres are read as metres.",
        base="utnet_rgbd",
    ),
    Fault(
        "depth-beside-its-picture",
        _depth(lambda frame: frame.depth.roll(frame.depth.shape[-1] // 4, -1)),
        ("label.depth", "data"),
        "Depth and colour are of two cameras, and nothing brings them together.",
        base="utnet_rgbd",
    ),
    Fault(
        "depth-of-left-hands-already-mirrored",
        _depth(lambda frame: frame.depth.flip(-1) if frame.is_left else frame.depth),
        ("label.depth", "data"),
        "A converter mirrors the depth of left hands, and preprocessing does it again.",
        base="utnet_rgbd",
    ),
    Fault(
        "blue-green-red",
        _picture(lambda image: image.flip(0)),
        ("data.colours", "data"),
        "OpenCV's channel order is kept (UTNet R1).",
    ),
    Fault(
        "channels-exchanged-on-the-way",
        _crops(lambda images: images.flip(1)),
        ("data.colours", "augmentation"),
        "Preprocessing exchanges red and blue.",
    ),
    Fault(
        "black-pictures",
        _picture(torch.zeros_like),
        ("data.pictures", "data"),
        "Guards return black pictures and training goes on blind (UTNet V5).",
    ),
    Fault(
        "one-picture-for-all",
        _frames(
            lambda frames: [
                dataclasses.replace(f, key=f"a/{i}") for i, f in enumerate(frames[:1] * 24)
            ]
        ),
        ("data.pictures", "data"),
        "An index is not advanced: every sample is the first.",
    ),
    Fault(
        "keys-repeat",
        with_frames(lambda frame: dataclasses.replace(frame, key="same")),
        ("data.pictures", "data"),
        "Keys are not unique, and whatever gathers by key loses hands.",
    ),
    Fault(
        "constants-of-another-range",
        with_model(_scaled_constants),
        ("data.range", "model.backbone"),
        "Pictures in [0, 1] are normalised by constants for [0, 255].",
    ),
    Fault(
        "crops-of-another-range",
        _crops(lambda images: images * 255),
        ("data.range", "augmentation"),
        "Crops in [0, 255] reach a backbone that normalises [0, 1].",
    ),
    Fault(
        "validation-in-training",
        _frames(_leaking),
        ("data.support", "data"),
        "Frames are split at random, and neighbours of test frames are trained on (UTNet R4).",
    ),
    Fault(
        "validation-beyond-training",
        _frames(_far_validation),
        ("data.support", "data"),
        "Test hands stand at depths no training hand has (P-14).",
    ),
)
