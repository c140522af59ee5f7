"""Bugs between picture and network: what moves alone, leaves its range or edits its input."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from benchmarks.faults import (
    Fault,
    Plant,
    override,
    with_config,
    with_frames,
    with_model,
    with_settings,
)
from benchmarks.subject import Subject
from zoo.contracts import CropView, Frame, FrameBatch, HandTarget
from zoo.geometry.view import warp_to_crop

Seen = tuple[CropView, HandTarget]


class Brighter:
    """Doubles values and does not clip them."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """images: (B, 3, H, W)."""
        return images * 2


class FlipsAlone:
    """Mirrors the crop and tells nobody."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """images: (B, 3, H, W)."""
        return images.flip(-1)


class Shifts:
    """Moves the crop by six pixels and tells nobody."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """images: (B, 3, H, W)."""
        return images.roll((6, 2), (-1, -2))


class BatchContrast:
    """Scales by the brightest pixel of the batch."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """images: (B, 3, H, W)."""
        return images / images.amax().clamp(min=1e-3)


class EditsInPlace:
    """Adds noise to the tensor it was given."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """images: (B, 3, H, W)."""
        return images.add_(0.05 * torch.rand(images.shape, generator=rng)).clamp_(0, 1)


def preprocessing(change: Callable[[Seen, FrameBatch, bool], Seen]) -> Plant:
    """Plants a change of what preprocessing returns."""

    def plant(model: nn.Module) -> None:
        def forward(
            self: nn.Module, original: Callable, data: FrameBatch, training: bool = False
        ) -> dict:
            made = original(data, training)
            view, target = change((made["inputs"], made["data_samples"]), data, training)
            return {"inputs": view, "data_samples": target}

        override(model.data_preprocessor, forward=forward)

    return with_model(plant)


def _view(**changes: Callable[[CropView], Tensor]) -> Plant:
    return preprocessing(
        lambda seen, frames, training: (
            dataclasses.replace(seen[0], **{name: f(seen[0]) for name, f in changes.items()}),
            seen[1],
        )
    )


def _stored_orientation(seen: Seen, data: FrameBatch, training: bool) -> Seen:
    view, target = seen
    rotmats = target.rotmats.clone()
    for row, frame in enumerate(data.frames):
        if training and not frame.is_left:
            rotmats[row, 0] = frame.label.rotmats[0]
    return view, dataclasses.replace(target, rotmats=rotmats)


def _stored_joints(seen: Seen, data: FrameBatch, training: bool) -> Seen:
    view, target = seen
    stored = torch.stack([frame.label.joints for frame in data.frames])
    return view, dataclasses.replace(target, joints=stored if training else target.joints)


def _affine_warp(seen: Seen, data: FrameBatch, training: bool) -> Seen:
    view, target = seen
    matrix = torch.linalg.inv(view.frame_from_crop)
    matrix = matrix / matrix[:, 2:, 2:]
    matrix[:, 2, :2] = 0
    images = warp_to_crop([frame.image for frame in data.frames], matrix, view.crop_size)
    return dataclasses.replace(view, images=images), target


def _unmirrored_keypoints(seen: Seen, data: FrameBatch, training: bool) -> Seen:
    view, target = seen
    width = view.crop_size[1]
    keypoints = target.keypoints.clone()
    left = view.is_left
    keypoints[left, :, 0] = width - 1 - keypoints[left, :, 0]
    return view, dataclasses.replace(target, keypoints=keypoints)


def _dark_training(seen: Seen, data: FrameBatch, training: bool) -> Seen:
    view, target = seen
    return dataclasses.replace(view, images=view.images / 255 if training else view.images), target


def _edits_labels(seen: Seen, data: FrameBatch, training: bool) -> Seen:
    for frame in data.frames:
        frame.label.joints.mul_(1.1)
    return seen


def _edits_own_labels(subject: Subject) -> Subject:
    # labels of its own: the healthy subject must not be spoilt with it
    return preprocessing(_edits_labels)(subject).with_frames(copy.deepcopy(subject.frames))


def _loose_box(frame: Frame) -> Frame:
    center = (frame.hand_box[:2] + frame.hand_box[2:]).repeat(2) / 2
    return dataclasses.replace(frame, hand_box=center + 1.6 * (frame.hand_box - center))


def _pixels(kind: type) -> Plant:
    def change(config: dict[str, Any]) -> None:
        pixels: Mapping[str, Any] = config["augmentation"]["pixels"]
        config["augmentation"]["pixels"] = {**pixels, "broken": {"type": kind}}

    return with_config(change)


def _added_view(name: str, **spec: Any) -> Plant:
    def change(config: dict[str, Any]) -> None:
        views: Mapping[str, Any] = config["augmentation"]["view"]
        config["augmentation"]["view"] = {**views, name: spec}

    return with_config(change)


def _crop_moved_twice(config: dict[str, Any]) -> None:
    crop: Mapping[str, Any] = config["augmentation"]["crop"]
    config["augmentation"]["crop"] = {**crop, "type": "moved_hand", "moving": "as_released"}


FAULTS = (
    Fault(
        "contrast-by-the-whole-batch",
        _pixels(BatchContrast),
        ("augmentation.own", "augmentation.pixels.broken"),
        "What a crop shows is scaled by the brightest of its neighbours.",
    ),
    Fault(
        "orientation-stays",
        preprocessing(_stored_orientation),
        ("augmentation.consistent", "augmentation.view.roll"),
        "A turn of the picture does not turn MANO's root (P-11).",
    ),
    Fault(
        "joints-stay",
        preprocessing(_stored_joints),
        ("augmentation.consistent", "augmentation"),
        "Rotation augmentation skips the joints in space (UTNet V9).",
    ),
    Fault(
        "affine-crop-of-a-tilted-view",
        preprocessing(_affine_warp),
        ("augmentation.consistent", "augmentation.view.tilt"),
        "The third row of a homography is dropped, as kornia 0.8.2 does (P-04).",
        base="csvit2_old",
    ),
    Fault(
        "picture-beside-its-labels",
        _view(images=lambda view: view.images.roll(5, -1)),
        ("augmentation.consistent", "augmentation.crop"),
        "The crop is cut some pixels beside where the labels are moved to.",
    ),
    Fault(
        "camera-of-the-whole-picture",
        _view(intrinsics=lambda view: view.intrinsics * torch.tensor([[0.5], [0.5], [1.0]])),
        ("augmentation.consistent", "augmentation.crop"),
        "The crop's camera is that of another picture size.",
    ),
    Fault(
        "way-back-transposed",
        _view(frame_from_crop=lambda view: torch.linalg.inv(view.frame_from_crop)),
        ("augmentation.consistent", "augmentation.crop"),
        "frame_from_crop is crop_from_frame: overlays land elsewhere.",
    ),
    Fault(
        "keypoints-of-left-hands-not-mirrored",
        preprocessing(_unmirrored_keypoints),
        ("augmentation.mirror", "augmentation"),
        "The picture of a left hand is mirrored and its keypoints are not.",
    ),
    Fault(
        "crop-too-tight",
        with_settings("augmentation.crop.expand=0.4"),
        ("augmentation.consistent", "augmentation.crop"),
        "Most of the hand lies outside the crop.",
    ),
    Fault(
        "colours-out-of-range",
        _pixels(Brighter),
        ("augmentation.pixels", "augmentation.pixels.broken"),
        "A colour operation leaves [0, 1].",
    ),
    Fault(
        "flips-the-picture-alone",
        _pixels(FlipsAlone),
        ("augmentation.pixels", "augmentation.pixels.broken"),
        "A flip among the colour operations moves no label.",
    ),
    Fault(
        "shifts-the-picture-alone",
        _pixels(Shifts),
        ("augmentation.pixels", "augmentation.pixels.broken"),
        "A shift among the colour operations moves no label.",
    ),
    Fault(
        "edits-its-input",
        _pixels(EditsInPlace),
        ("augmentation.untouched", "augmentation.pixels.broken"),
        "An operation works in place, so a batch seen again is another one (P-41).",
    ),
    Fault(
        "edits-the-labels",
        _edits_own_labels,
        ("augmentation.untouched", "augmentation"),
        "Preprocessing changes the loader's labels, a second call changes them twice (P-41).",
    ),
    Fault(
        "roll-that-never-rolls",
        with_settings("augmentation.view.roll.probability=0.0"),
        ("augmentation.effect", "augmentation.view.roll"),
        "A switched-on augmentation does nothing.",
    ),
    Fault(
        "training-divides-by-255-twice",
        preprocessing(_dark_training),
        ("augmentation.identity", "augmentation"),
        "The training path scales colours once more than the evaluation path (P-25).",
    ),
    Fault(
        "stored-boxes-are-loose",
        with_frames(_loose_box),
        ("augmentation.identity", "data"),
        "Stored boxes are padded and training boxes tight: hands look smaller in tests (P-25).",
    ),
    Fault(
        "roll-without-its-3d-labels",
        with_settings("augmentation.view.roll.labels=as_released"),
        ("augmentation.consistent", "augmentation.view.roll"),
        "The picture turns, joints and orientation stay (UTNet V9).",
    ),
    Fault(
        "labels-in-opengls-axes",
        _added_view("axes", type="label_axes"),
        ("augmentation.consistent", "augmentation.view.axes"),
        "Labels are read in the axes of another camera: hands stand behind it (UTNet V5).",
    ),
    Fault(
        "centre-moved-by-back-projection",
        with_config(_crop_moved_twice),
        ("augmentation.consistent", "augmentation.crop"),
        "A quarter of the crops looks beside the picture (UTNet V10).",
    ),
)
