"""Bugs of weights: not loaded, not trained, not known to anyone, or not numbers."""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import Fault, Plant, override, with_model, with_settings
from benchmarks.subject import Subject

State = Mapping[str, Tensor]


def _checkpoint(rename: Callable[[State], State], trained: bool = True) -> Plant:
    """Plants a checkpoint that was written by a model like this one, and then renamed."""

    def plant(subject: Subject) -> Subject:
        source = subject.fresh_model()
        if trained:
            with torch.no_grad():
                for parameter in source.parameters():
                    parameter.add_(0.01)
        state = rename(source.state_dict())
        folder = Path(tempfile.mkdtemp(prefix="zoo-bug-"))
        torch.save({"state_dict": dict(state)}, folder / "iter_1.pth")
        model = subject.fresh_model()
        model.load_state_dict(dict(state), strict=False)
        return dataclasses.replace(
            subject, model=model.eval(), checkpoint=folder / "iter_1.pth", _memory={}
        )

    return plant


def _called_pretrained(subject: Subject) -> Subject:
    config = copy.deepcopy(dict(subject.config))
    config["model"]["backbone"]["pretrained"] = "facebook/dinov2-large"
    return dataclasses.replace(subject, config=config, _memory={})


def _hidden_layers(model: nn.Module) -> None:
    model.head.refiners = [nn.Linear(8, 8), nn.Linear(8, 8)]


def _nan(model: nn.Module) -> None:
    with torch.no_grad():
        model.head.decpose.weight[0, 0] = torch.nan


def _wild(model: nn.Module) -> None:
    with torch.no_grad():
        model.neck.zero_linear.weight.fill_(1e5)


def _without(part: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if not k.startswith(part)}


def _in_ddp(state: State) -> dict[str, Any]:
    return {f"module.{key}": value for key, value in state.items()}


def _collapsed_hand(model: nn.Module) -> None:
    def forward(self: nn.Module, original: Callable, rotmats: Tensor, betas: Tensor) -> Any:
        return tuple(0 * points for points in original(rotmats, betas))

    override(model.hand, forward=forward)


def _rigid_hand(model: nn.Module) -> None:
    def forward(self: nn.Module, original: Callable, rotmats: Tensor, betas: Tensor) -> Any:
        mean = self.mean_pose_rotmats().expand_as(rotmats)
        return original(torch.cat((rotmats[:, :1], mean[:, 1:]), dim=1), betas)

    override(model.hand, forward=forward)


FAULTS = (
    Fault(
        "pretrained-in-name-alone",
        _called_pretrained,
        ("weights.pretrained", "model.backbone"),
        "Loading fails without a word and the backbone is random (UTNet R6, HaMeR issue 24).",
    ),
    Fault(
        "frozen-at-random",
        with_settings("model.backbone.frozen=True"),
        ("weights.pretrained", "model.backbone"),
        "A random backbone is frozen.",
    ),
    Fault(
        "checkpoint-of-a-wrapped-model",
        _checkpoint(_in_ddp),
        ("weights.loaded", "model"),
        "Every key begins with 'module.', and non-strict loading takes none (P-42).",
    ),
    Fault(
        "checkpoint-without-its-head",
        _checkpoint(_without("head.")),
        ("weights.loaded", "model.head"),
        "A checkpoint of the backbone alone is loaded as if it were the model (P-42).",
    ),
    Fault(
        "checkpoint-of-a-new-model",
        _checkpoint(lambda state: state, trained=False),
        ("weights.loaded", "model"),
        "The weights were saved before they were trained.",
    ),
    Fault(
        "layers-in-a-list",
        with_model(_hidden_layers),
        ("weights.registered", "model.head"),
        "Layers in a Python list are in no optimiser and no checkpoint.",
    ),
    Fault(
        "missing-hand-goes-unnoticed",
        with_settings("model.hand.missing=zeros"),
        ("weights.hand", "model.hand"),
        "A hand whose file is not found is replaced by zeros (UTNet V13).",
    ),
    Fault(
        "hand-of-zeros",
        with_model(_collapsed_hand),
        ("weights.hand", "model.hand"),
        "Vertices and joints are exactly zero, as where no hand was found (UTNet V13, V7).",
    ),
    Fault(
        "hand-that-is-never-bent",
        with_model(_rigid_hand),
        ("weights.hand", "model.hand"),
        "The hand layer is given the mean pose whatever the rotations.",
    ),
    Fault(
        "weight-is-nan", with_model(_nan), ("weights.finite", "model.head"), "One weight is NaN."
    ),
    Fault(
        "weights-exploded",
        with_model(_wild),
        ("weights.finite", "model.neck"),
        "Weights have grown beyond any use.",
    ),
)
