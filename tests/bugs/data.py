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


FAULTS = (
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
