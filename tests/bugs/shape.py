"""Bugs of shapes: hands that see each other, sizes that break a part, inputs nobody reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import Fault, override, with_model
from zoo.contracts import CameraReading, CropView, HandQuery, Prediction
from zoo.mano.topology import mirror_rotmats

Run = Callable[..., Any]


def _backbone(change: Any) -> Any:
    """Plants a change of the backbone's tokens, called as `change(run, images)`."""

    def plant(model: nn.Module) -> None:
        def forward(self: nn.Module, original: Run, images: Tensor) -> Tensor:
            return change(original, images)

        override(model.backbone, forward=forward)

    return with_model(plant)


def _neck(change: Any) -> Any:
    def plant(model: nn.Module) -> None:
        def forward(self: nn.Module, original: Run, tokens: Tensor, view: CropView) -> Tensor:
            return change(original, tokens, view)

        override(model.neck, forward=forward)

    return with_model(plant)


def _query(change: Any) -> Any:
    def plant(model: nn.Module) -> None:
        def query(self: nn.Module, original: Run, tokens: Tensor, view: CropView) -> HandQuery:
            return change(original, tokens, view)

        override(model.head, query=query)

    return with_model(plant)


def _camera(change: Any) -> Any:
    """Plants a change of where the camera read-out puts the hand."""

    def plant(model: nn.Module) -> None:
        def forward(self: nn.Module, original: Run, *given: Any) -> CameraReading:
            reading = original(*given)
            pose = dataclasses.replace(reading.pose, position=change(reading.pose.position))
            return dataclasses.replace(reading, pose=pose)

        override(model.head.camera, forward=forward)

    return with_model(plant)


def _turned_map(run: Run, tokens: Tensor, view: CropView) -> Tensor:
    said = run(tokens, view)
    side = int(said.shape[1] ** 0.5)  # of a square grid behind a few tokens more
    prefix, patches = said[:, : -side * side], said[:, -side * side :]
    turned = patches.unflatten(1, (side, side)).transpose(1, 2).flatten(1, 2)
    return torch.cat((prefix, turned), 1)


def _left_hands_again(model: nn.Module) -> None:
    def read(self: nn.Module, original: Run, query: HandQuery, view: CropView) -> Prediction:
        said = original(query, view)
        mirrored = mirror_rotmats(said.rotmats)
        rotmats = torch.where(view.is_left[:, None, None, None], mirrored, said.rotmats)
        return dataclasses.replace(said, rotmats=rotmats)

    override(model.head, read=read)


def _pixels_of_the_picture(model: nn.Module) -> None:
    def forward(
        self: nn.Module, original: Run, token: Tensor, estimate: Tensor | None, view: CropView
    ) -> CameraReading:
        reading = original(token, estimate, view)
        centre = view.frame_from_crop[:, :2, 2] / 1000
        place = reading.pose.position + torch.cat((centre, 0 * centre[:, :1]), -1)
        return dataclasses.replace(reading, pose=dataclasses.replace(reading.pose, position=place))

    override(model.head.camera, forward=forward)


def _blind_neck(model: nn.Module) -> None:
    def context(self: nn.Module, original: Run, view: CropView) -> Tensor:
        return torch.zeros_like(original(view))

    override(model.neck, context=context)


def _first_camera(model: nn.Module) -> None:
    def cameras(self: nn.Module, original: Run, frames: Any) -> tuple[Tensor, Tensor]:
        intrinsics, measured = original(frames)
        return intrinsics[:1].expand_as(intrinsics), measured

    override(model.data_preprocessor, _cameras=cameras)


def _vector_loss(model: nn.Module) -> None:
    def forward(self: nn.Module, original: Run, *given: Any) -> Tensor:
        return original(*given).expand(3)

    override(model.losses["joints"], forward=forward)


def _temporal(change: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """Plants a change of refined queries: `change(refined, queries)`."""

    def plant(model: nn.Module) -> None:
        def forward(self: nn.Module, original: Run, queries: Tensor, times: Tensor) -> Tensor:
            return change(original(queries, times), queries)

        override(model.temporal, forward=forward)

    return with_model(plant)


FAULTS = (
    Fault(
        "past-ignored",
        _temporal(lambda refined, queries: queries[:, -1]),
        ("shape.clip", "model.temporal"),
        "A temporal part hands on the last frame as it came.",
        base="csvit2_stage2",
    ),
    Fault(
        "clips-lend-each-other-their-past",
        _temporal(lambda refined, queries: refined + queries[:, 0].roll(1, 0)),
        ("shape.clip", "model.temporal"),
        "Frames are regrouped along the wrong axis and clips mix (P-05).",
        base="csvit2_stage2",
    ),
    Fault(
        "backbone-centres-its-batch",
        _backbone(lambda run, images: run(images) - run(images).mean(0, keepdim=True)),
        ("shape.batch", "model.backbone"),
        "Tokens are normalised by the mean of the batch, in evaluation too.",
    ),
    Fault(
        "neck-mixes-neighbours",
        _neck(lambda run, tokens, view: run(tokens, view) + 0.3 * tokens.roll(1, 0)),
        ("shape.batch", "model.neck"),
        "A reshape along the wrong axis leaks tokens of one hand into the next.",
    ),
    Fault(
        "camera-of-the-first-hand",
        _camera(lambda position: position[:1].expand_as(position)),
        ("shape.batch", "model.head"),
        "A flag of shape [B, 1] times a scale of [B, 1, 1] uses sample 0 for all (P-03).",
    ),
    Fault(
        "intrinsics-of-the-first-frame",
        with_model(_first_camera),
        ("shape.batch", "augmentation"),
        "Preprocessing takes one camera for the whole batch.",
    ),
    Fault(
        "regrouped-by-frames",
        _query(lambda run, tokens, view: run(tokens[: len(tokens) // 2 or None], view)),
        ("shape.count", "model.head"),
        "Rows are regrouped with a wrong number of frames and hands are lost (P-05).",
    ),
    Fault(
        "squeezed-batch",
        _backbone(lambda run, images: run(images).squeeze(0)),
        ("shape.count", "model.backbone"),
        "A squeeze() removes the batch axis of a single hand.",
    ),
    Fault(
        "loss-of-many-numbers",
        with_model(_vector_loss),
        ("shape.count", "model.losses.joints"),
        "A loss forgets its reduction.",
    ),
    Fault(
        "neck-without-camera",
        with_model(_blind_neck),
        ("shape.inputs", "model.neck"),
        "A conditioning module is built and fed nothing (P-22).",
    ),
    Fault(
        "backbone-sees-red-alone",
        _backbone(lambda run, images: run(images[:, :1].expand_as(images))),
        ("shape.inputs", "model.backbone"),
        "Only the first channel reaches the network.",
    ),
    Fault(
        "constant-position",
        _camera(lambda position: torch.zeros_like(position) + 0.5),
        ("shape.inputs", "model.head.camera"),
        "The hand always stands in one place: outputs without inputs (UTNet V7).",
    ),
    Fault(
        "head-without-tokens",
        _query(lambda run, tokens, view: run(torch.zeros_like(tokens), view)),
        ("shape.inputs", "model.head"),
        "The decoder attends to a tensor of zeros.",
    ),
    Fault(
        "neck-turns-the-map",
        _neck(_turned_map),
        ("config.grid", "model.neck"),
        "A neck reads rows of tokens as columns of its map, and hands them on turned.",
    ),
    Fault(
        "left-hands-mirrored-twice",
        with_model(_left_hands_again),
        ("shape.drawing", "model.head"),
        "Preprocessing shows right hands alone, and the head mirrors left ones once more.",
    ),
    Fault(
        "camera-counts-the-pictures-pixels",
        with_model(_pixels_of_the_picture),
        ("shape.drawing", "model.head.camera"),
        "The read-out mixes pixels of the whole picture with the camera of the crop.",
    ),
    Fault(
        "head-reads-the-class-token-alone",
        _query(lambda run, tokens, view: run(tokens[:, :1].expand_as(tokens), view)),
        ("shape.reading", "model.head"),
        "Maps are read where nothing is: patch tokens have no part in the answer (UTNet V3).",
    ),
    Fault(
        "map-read-in-one-corner",
        _query(lambda run, tokens, view: run(tokens[:, [0, 1, 2]], view)),
        ("shape.reading", "model.head"),
        "Coordinates of +-0.5 are taken for cells (WiLoR as released: 4 of 192 tokens).",
    ),
)
