"""Faults of parts: switches and cameras they ignore, pixels, grids, ranges, targets."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import Fault, override, with_config, with_frames, with_model, with_settings
from zoo.contracts import Frame


class DeafNeck(nn.Module):
    """A neck with a switch and a camera it forgets."""

    def __init__(self, *, token_dim: int, use_rays: bool = True) -> None:
        super().__init__()
        self.layer, self.use_rays = nn.Linear(token_dim, token_dim), use_rays

    def forward(self, tokens: Tensor, view: Any) -> Tensor:
        return tokens + self.layer(tokens)


def deaf_neck(config: dict) -> None:
    config["model"]["neck"] = {"type": DeafNeck, "use_rays": True}


def first_crop_for_all(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: Tensor) -> Tensor:
        return original(torch.zeros_like(images))

    override(model.backbone, forward=forward)


def constant_query(model: nn.Module) -> None:
    def _decode(self: Any, original: Any, estimate: Tensor, context: Any) -> Tensor:
        return original(torch.zeros_like(estimate), context)

    override(model.head, _decode=_decode)


def pixels_of_255(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: Tensor) -> Tensor:
        return original(images * 255)

    override(model.backbone, forward=forward)


def pixels_divided_twice(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: Tensor) -> Tensor:
        return original(images / 255)

    override(model.backbone, forward=forward)


def blue_first(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: Tensor) -> Tensor:
        return original(images.flip(1))

    override(model.backbone, forward=forward)


def turned_grid(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: Tensor) -> Tensor:
        tokens = original(images)
        rows, columns = self.token_grid
        patches = tokens[:, self.num_prefix_tokens :].unflatten(1, (rows, columns))
        turned = patches.transpose(1, 2).flatten(1, 2)
        return torch.cat((tokens[:, : self.num_prefix_tokens], turned), 1)

    override(model.backbone, forward=forward)


def grid_guessed_square(model: nn.Module) -> None:
    rows, columns = model.backbone.token_grid
    model.backbone.token_grid = (columns, rows)


def prefix_forgotten(model: nn.Module) -> None:
    model.backbone.num_prefix_tokens += 1


def far_away(frame: Frame) -> Frame:
    label = frame.label
    further = 4.0 / float(label.joints[0, 2])
    joints = label.joints + label.joints[:1] * (further - 1)
    pixels = joints @ frame.intrinsics.T
    keypoints = pixels[:, :2] / pixels[:, 2:]
    label = dataclasses.replace(label, joints=joints, keypoints=keypoints)
    return dataclasses.replace(frame, label=label)


def in_millimetres(frame: Frame) -> Frame:
    label = dataclasses.replace(frame.label, joints=frame.label.joints * 1000)
    return dataclasses.replace(frame, label=label)


FAULTS = [
    Fault(
        "neck-that-ignores-its-switch",
        with_config(deaf_neck),
        ("config.switches", "model.neck.use_rays"),
        "A part stores a switch and never reads it (P-29, R9).",
    ),
    Fault(
        "neck-that-ignores-the-camera",
        with_config(deaf_neck),
        ("config.conditioning", "model.neck"),
        "A conditioning part that conditions nothing (P-22).",
    ),
    Fault(
        "black-crops",
        with_model(first_crop_for_all),
        ("config.conditioning", "model.backbone"),
        "Failed crops come out black, and training goes on blind (V5).",
    ),
    Fault(
        "steps-that-never-look-back",
        with_model(constant_query),
        ("config.conditioning", "model.head"),
        "Iterative feedback without feedback.",
    ),
    Fault(
        "pixels-of-255",
        with_model(pixels_of_255),
        ("config.pixels", "model.backbone"),
        "Pixels up to 255 meet constants for pixels up to 1.",
    ),
    Fault(
        "pixels-divided-twice",
        with_model(pixels_divided_twice),
        ("config.pixels", "model.backbone"),
        "A picture divided by 255 twice is all but black.",
    ),
    Fault(
        "blue-before-red",
        with_model(blue_first),
        ("config.pixels", "model.backbone"),
        "OpenCV's channel order under weights made for RGB (R1).",
    ),
    Fault(
        "grid-turned",
        with_model(turned_grid),
        ("config.grid", "model.backbone"),
        "Tokens are laid out column by column.",
    ),
    Fault(
        "rows-and-columns-swapped",
        with_model(grid_guessed_square),
        ("config.grid", "model.backbone"),
        "A grid of 6 x 8 where it is 8 x 6 (V2).",
        base="hamer",
    ),
    Fault(
        "one-token-too-many",
        with_model(prefix_forgotten),
        ("config.grid", "model.backbone"),
        "The backbone says it has a class token and has none (P-27).",
    ),
    Fault(
        "hands-beyond-the-heat-maps",
        with_frames(far_away),
        ("config.range", "model.head.camera"),
        "Hands at 4 m, bins up to 2 m: they can never be reached (P-16).",
    ),
    Fault(
        "hands-outside-every-bin",
        with_frames(far_away),
        ("config.targets", "model.losses.wrist"),
        "Labels outside the grid contribute nothing, silently (P-16).",
    ),
    Fault(
        "labels-in-millimetres",
        with_frames(in_millimetres),
        ("config.range", "model.head.camera"),
        "Labels in mm, read-out in m.",
    ),
    Fault(
        "sigma-far-below-a-bin",
        with_settings("model.losses.wrist.sigma=0.00001"),
        ("config.targets", "model.losses.wrist"),
        "3.5 % of the labels have a target at all (P-15).",
    ),
    Fault(
        "sigma-below-a-bin-as-released",
        with_settings("model.losses.wrist.sigma=0.000006", "model.losses.wrist.outside=vanish"),
        ("config.targets", "model.losses.wrist"),
        "The released normalisation lets such targets vanish (P-15).",
    ),
    Fault(
        "sigma-in-another-unit",
        with_settings("model.losses.wrist.sigma=2.0"),
        ("config.targets", "model.losses.wrist"),
        "2.0 mm written where metres are read: the target is flat.",
    ),
]
