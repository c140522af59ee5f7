"""Faults of the loop: rates, steps, frozen parts that move, one answer for all."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import Fault, override, with_model, with_settings
from benchmarks.subject import Subject


class Ascent(torch.optim.AdamW):
    """A step the wrong way."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.neg_()
        return super().step(closure)


class Forgetful(torch.optim.AdamW):
    """An optimiser that leaves the camera read-out out."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            if group.get("name") == "model.head.camera":
                for parameter in group["params"]:
                    parameter.grad = None
        return super().step(closure)


def with_optimizer(kind: type[torch.optim.Optimizer]) -> Any:
    def plant(subject: Subject) -> Subject:
        def make(model: nn.Module) -> torch.optim.Optimizer:
            groups = [
                {k: g[k] for k in ("params", "lr", "name")}
                for g in subject.optimizer(model).param_groups
            ]
            return kind(groups, lr=6e-4)

        return dataclasses.replace(subject, make_optimizer=make, _memory={})

    return plant


def pooled_over_the_batch(model: nn.Module) -> None:
    def forward(self: Any, original: Any, images: Tensor) -> Tensor:
        tokens = original(images)
        return tokens.mean(0, keepdim=True).expand_as(tokens)

    override(model.backbone, forward=forward)


def frozen_and_moved(model: nn.Module) -> None:
    model.backbone.requires_grad_(False)


def drifting_backbone(model: nn.Module) -> None:
    frozen_and_moved(model)

    def forward(self: Any, original: Any, images: Tensor) -> Tensor:
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(0.999)
        return original(images)

    override(model.backbone, forward=forward)


def exploding_token(model: nn.Module) -> None:
    def query(self: Any, original: Any, tokens: Tensor, view: Any) -> Any:
        said = original(tokens, view)
        return dataclasses.replace(said, token=said.token / said.token.detach().mul(0))

    override(model.head, query=query)


FAULTS = [
    Fault(
        "gradient-ascent",
        with_optimizer(Ascent),
        ("learning.overfit", "optim_wrapper"),
        "A sign: the loss rises.",
    ),
    Fault(
        "rate-too-small",
        with_settings("optim_wrapper.optimizer.lr=1e-9"),
        ("learning.steps", "model.head"),
        "Nothing is learnt within any budget.",
    ),
    Fault(
        "rate-too-small-for-the-neck",
        with_settings(
            "optim_wrapper.paramwise_cfg.custom_keys={'neck': {'lr_mult': 1e-6}}",
        ),
        ("learning.steps", "model.neck"),
        "A multiplier with too many zeros all but freezes one part.",
    ),
    Fault(
        "rate-too-large",
        with_settings("optim_wrapper.optimizer.lr=0.3"),
        ("learning.steps", "model.head"),
        "Every step overwrites the weights.",
    ),
    Fault(
        "optimiser-forgets-the-camera",
        with_optimizer(Forgetful),
        ("learning.steps", "model.head.camera"),
        "A part has gradients and never moves.",
    ),
    Fault(
        "frozen-part-drifts",
        with_model(drifting_backbone),
        ("learning.steps", "model.backbone"),
        "Weight decay, or an average, moves what is frozen.",
    ),
    Fault(
        "one-answer-for-all-hands",
        with_model(pooled_over_the_batch),
        ("learning.overfit", "model.backbone"),
        "Features are averaged over the batch: validation repeats one constant (problems 2, 3).",
        base="hamer",
    ),
    Fault(
        "division-by-nothing",
        with_model(exploding_token),
        ("learning.overfit", ""),
        "The first step is not finite.",
    ),
]
