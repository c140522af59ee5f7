"""Bugs of conventions: what a number stands for, where zero is, and which frame is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.faults import Fault, Plant, override, with_frames, with_model
from zoo.contracts import Frame, FrameBatch, Prediction

Run = Callable[..., Any]
_INDEX_AND_MIDDLE = torch.tensor([*range(5), *range(9, 13), *range(5, 9), *range(13, 21)])


def _box(change: Callable[[Tensor], Tensor]) -> Plant:
    return with_frames(lambda frame: dataclasses.replace(frame, hand_box=change(frame.hand_box)))


def _camera_of_pixel_corners(frame: Frame) -> Frame:
    intrinsics = frame.intrinsics.clone()
    intrinsics[:2, 2] += 0.5
    return dataclasses.replace(frame, intrinsics=intrinsics)


def _betas_negated(frame: Frame) -> Frame:
    return dataclasses.replace(
        frame, label=dataclasses.replace(frame.label, betas=-frame.label.betas)
    )


def _view(**changes: Callable[[Tensor], Tensor]) -> Plant:
    """Plants changes of what the network sees, made after everything else in preprocessing."""

    def plant(model: nn.Module) -> None:
        def forward(
            self: nn.Module, original: Run, data: FrameBatch, training: bool = False
        ) -> dict[str, Any]:
            done = original(data, training)
            view = done["inputs"]
            changed = {name: change(getattr(view, name)) for name, change in changes.items()}
            return {**done, "inputs": dataclasses.replace(view, **changed)}

        override(model.data_preprocessor, forward=forward)

    return with_model(plant)


def _half_a_pixel_on(intrinsics: Tensor) -> Tensor:
    moved = intrinsics.clone()
    moved[:, :2, 2] += 0.5
    return moved


def _halfway(images: Tensor) -> Tensor:
    """Pictures half a pixel to the right and down, as a warp about pixel corners leaves them."""
    padded = F.pad(images, (1, 0, 1, 0), mode="replicate")
    return F.avg_pool2d(padded, 2, stride=1)


def _transposes(model: nn.Module) -> None:
    def read(self: nn.Module, original: Run, *given: Any) -> Prediction:
        said = original(*given)
        return dataclasses.replace(said, rotmats=said.rotmats.mT)

    override(model.head, read=read)


def _hand(change: Callable[[Run, Tensor, Tensor], Any]) -> Plant:
    def plant(model: nn.Module) -> None:
        def forward(self: nn.Module, original: Run, rotmats: Tensor, betas: Tensor) -> Any:
            return change(original, rotmats, betas)

        override(model.hand, forward=forward)

    return with_model(plant)


def _exchanged(run: Run, rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    vertices, joints = run(rotmats, betas)
    return vertices, joints[:, _INDEX_AND_MIDDLE]


def _mirrors_the_wrist(model: nn.Module) -> None:
    def place(self: nn.Module, original: Run, said: Prediction) -> Any:
        camera = said.camera
        turned = camera.position * camera.position.new_tensor((1.0, -1.0, 1.0))
        moved = type(camera)(turned, camera.anchor, camera.intrinsics)
        return original(dataclasses.replace(said, camera=moved))

    override(model.hand, place=place)


def _reversed(model: nn.Module) -> None:
    def forward(self: nn.Module, original: Run, queries: Tensor, times: Tensor) -> Tensor:
        return original(queries.flip(1), times)

    override(model.temporal, forward=forward)


FAULTS = (
    Fault(
        "box-of-rows-before-columns",
        _box(lambda box: box[[1, 0, 3, 2]]),
        ("label.plausible", "data"),
        "Boxes are y, x, y, x: a hand near the picture's middle stays inside.",
    ),
    Fault(
        "box-of-a-picture-twice-as-large",
        _box(lambda box: 2 * box),
        ("label.plausible", "data"),
        "Pictures were halved and their boxes were not.",
    ),
    Fault(
        "principal-point-half-a-pixel-off",
        with_frames(_camera_of_pixel_corners),
        ("label.projection", "data"),
        "The camera counts from the corner of the first pixel, keypoints from its centre.",
    ),
    Fault(
        "crop-camera-half-a-pixel-off",
        _view(intrinsics=_half_a_pixel_on),
        ("augmentation.consistent", "augmentation.crop"),
        "The crop's camera counts from pixel corners.",
    ),
    Fault(
        "crop-half-a-pixel-off",
        _view(images=_halfway),
        ("augmentation.consistent", "augmentation.crop"),
        "The picture is warped about pixel corners, labels about pixel centres.",
    ),
    Fault(
        "betas-of-the-other-sign",
        with_frames(_betas_negated),
        ("label.fk", "data"),
        "Betas of another hand model, whose first direction points the other way.",
    ),
    Fault(
        "hand-ignores-the-shape",
        _hand(lambda run, rotmats, betas: run(rotmats, torch.zeros_like(betas))),
        ("label.fk", "model.hand"),
        "Every hand is posed with the mean shape.",
    ),
    Fault(
        "hand-exchanges-two-fingers",
        _hand(_exchanged),
        ("label.fk", "model.hand"),
        "The hand model gathers index and middle finger in each other's place.",
    ),
    Fault(
        "hand-placed-with-y-upwards",
        with_model(_mirrors_the_wrist),
        ("label.fk", "model.hand"),
        "The hand's place is read with y pointing up; losses and label agree, pictures do not.",
    ),
    Fault(
        "rotations-leave-the-head-transposed",
        with_model(_transposes),
        ("ledger.scale", "model.head"),
        "Columns are read as rows: the mean hand's fingers bend backwards.",
    ),
    Fault(
        "clips-run-backwards",
        with_model(_reversed),
        ("shape.clip", "model.temporal"),
        "Frames come last to first, and the first one's hand is answered for.",
        base="csvit2_stage2",
    ),
)
