"""Faults of recipes: keys, schedules, switches, ranges, normalisation, grids."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import Fault, override, with_config, with_frames, with_model, with_settings
from benchmarks.subject import Subject
from zoo.contracts import Frame


def added_key(subject: Subject) -> Subject:
    # Building refuses such a key; a loader that reads with defaults would not.
    config = copy.deepcopy(dict(subject.config))
    config["model"]["head"]["camera"]["heatmap_resulotion"] = (64, 64, 64)
    return dataclasses.replace(subject, config=config, _memory={})


def misspelt_group(config: dict) -> None:
    keys = config["optim_wrapper"]["paramwise_cfg"]["custom_keys"]
    keys["backbones"] = keys.pop("backbone")


def misspelt_decay(config: dict) -> None:
    optimizer = config["optim_wrapper"]["optimizer"]
    optimizer["weight_decy"] = optimizer.pop("weight_decay")


def validates_on_training(config: dict) -> None:
    config["data"]["train"]["shards"] = ["hands/000000.tar", "hands/000001.tar"]
    config["data"]["val"]["shards"] = ["hands/000001.tar"]


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
        "misspelt-key",
        added_key,
        ("config.keys", "model.head.camera"),
        "heatmap_resulotion leaves the default in place (P-09).",
    ),
    Fault(
        "rule-for-no-parameter",
        with_config(misspelt_group),
        ("config.keys", "optim_wrapper.paramwise_cfg.custom_keys"),
        "A rate meant for the backbone is given to nobody.",
    ),
    Fault(
        "misspelt-optimiser-argument",
        with_config(misspelt_decay),
        ("config.keys", "optim_wrapper.optimizer"),
        "The optimiser would refuse it hours later, or a wrapper swallow it.",
    ),
    Fault(
        "warm-up-longer-than-the-budget",
        with_settings("param_scheduler.warmup=5000"),
        ("config.schedule", "param_scheduler.warmup"),
        "A short run with the warm-up of a long one never reaches its rate.",
    ),
    Fault(
        "rate-that-rises-again",
        with_settings("param_scheduler.cycles=1.6"),
        ("config.schedule", "param_scheduler.cycles"),
        "Four times too fast a cosine: to zero and up again (P-12).",
    ),
    Fault(
        "rate-for-another-optimiser",
        with_settings("optim_wrapper.optimizer.lr=0.1"),
        ("config.schedule", "optim_wrapper.optimizer.lr"),
        "A rate of SGD given to AdamW.",
    ),
    Fault(
        "validation-beyond-the-budget",
        with_settings("train_cfg.val_interval=3000"),
        ("config.schedule", "train_cfg.val_interval"),
        "The run ends before it is ever judged.",
    ),
    Fault(
        "dropout-beyond-the-budget",
        with_settings("custom_hooks.dropout.start_step=10000"),
        ("config.schedule", "custom_hooks.dropout"),
        "A milestone written for 100 000 steps in a run of 1000.",
    ),
    Fault(
        "constant-query-with-steps",
        with_settings("model.head.query=zero"),
        ("config.contradictions", "model.head.query"),
        "Three steps make one correction three times.",
    ),
    Fault(
        "supervising-steps-that-are-not-there",
        with_settings("model.head.steps=1", "model.supervise_earlier=0.5"),
        ("config.contradictions", "model.supervise_earlier"),
        "A switch for earlier steps of a head that takes one.",
    ),
    Fault(
        "best-by-a-metric-nobody-computes",
        with_settings("evaluation.metrics.root_mpjpe=none"),
        ("config.contradictions", "default_hooks.checkpoint.save_best"),
        "The best checkpoint is never written, or the first stays the best for ever (P-26).",
    ),
    Fault(
        "best-is-largest-error",
        with_settings("default_hooks.checkpoint.rule=greater"),
        ("config.contradictions", "default_hooks.checkpoint.rule"),
        "The checkpoint with the largest error is kept.",
    ),
    Fault(
        "validates-on-training-shards",
        with_config(validates_on_training),
        ("config.contradictions", "data.val.shards"),
        "The same shards train and judge.",
    ),
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
