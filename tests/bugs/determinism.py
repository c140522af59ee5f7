"""Bugs of chance: random numbers from elsewhere, in evaluation, or the same on every rank."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from benchmarks.faults import Fault, Plant, override, with_config, with_model
from zoo.contracts import CropView, FrameBatch, HandQuery, ViewChange
from zoo.geometry.rotation import rotation_about_z

Run = Callable[..., Any]


class GlobalRoll:
    """Rolls by torch's global generator."""

    def __call__(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> ViewChange:
        """intrinsics: (B, 3, 3). hand_box: (B, 4)."""
        return ViewChange(rotation_about_z(torch.rand(len(intrinsics)) - 0.5), intrinsics)


class OneGain:
    """Changes brightness by one number for the whole batch."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """images: (B, 3, H, W)."""
        return images * (0.7 + 0.3 * torch.rand(1, generator=rng))


class PythonNoise:
    """Changes brightness by Python's global generator."""

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """images: (B, 3, H, W)."""
        return images * random.uniform(0.7, 1.0)


def _augmentation(kind: str, part: type) -> Plant:
    def change(config: dict[str, Any]) -> None:
        named: Mapping[str, Any] = config["augmentation"][kind]
        config["augmentation"][kind] = {**named, "broken": {"type": part}}

    return with_config(change)


def _constant_generator(model: nn.Module) -> None:
    override(
        model.data_preprocessor, _next_generator=lambda self, original: Generator().manual_seed(1)
    )


def _no_rank(model: nn.Module) -> None:
    def next_generator(self: nn.Module, original: Run) -> Generator:
        original()
        return Generator().manual_seed(int(self.draws))

    override(model.data_preprocessor, _next_generator=next_generator)


def _own_counter(model: nn.Module) -> None:
    def next_generator(self: nn.Module, original: Run) -> Generator:
        rng = Generator().manual_seed(getattr(self, "calls", 0))
        self.calls = getattr(self, "calls", 0) + 1
        return rng

    override(model.data_preprocessor, _next_generator=next_generator)


def _augments_in_evaluation(model: nn.Module) -> None:
    def forward(
        self: nn.Module, original: Run, data: FrameBatch, training: bool = False
    ) -> dict[str, Any]:
        return original(data, True)

    override(model.data_preprocessor, forward=forward)


def _always_drops(model: nn.Module) -> None:
    def query(self: nn.Module, original: Run, tokens: Tensor, view: CropView) -> HandQuery:
        return original(F.dropout(tokens, 0.1, training=True), view)

    override(model.head, query=query)


def _clock_start(model: nn.Module) -> None:
    with torch.no_grad():
        model.head.decshape.bias.fill_(random.random())


def _never_evaluates(model: nn.Module) -> None:
    def train(self: nn.Module, original: Run, mode: bool = True) -> nn.Module:
        return original(True)

    override(model.head, train=train)


FAULTS = (
    Fault(
        "view-from-the-global-generator",
        _augmentation("view", GlobalRoll),
        ("determinism.seed", "augmentation.view.broken"),
        "An augmentation draws from the global state: ranks with one seed agree (P-38).",
    ),
    Fault(
        "colours-from-pythons-generator",
        _augmentation("pixels", PythonNoise),
        ("determinism.seed", "augmentation.pixels.broken"),
        "A colour operation draws from `random`, whose state no checkpoint of ours keeps.",
    ),
    Fault(
        "every-batch-augmented-alike",
        with_model(_constant_generator),
        ("determinism.seed", "augmentation"),
        "The generator is seeded anew before every batch.",
    ),
    Fault(
        "one-draw-for-the-batch",
        _augmentation("pixels", OneGain),
        ("augmentation.own", "augmentation.pixels.broken"),
        "All hands of a batch get the same brightness.",
    ),
    Fault(
        "ranks-augment-alike",
        with_model(_no_rank),
        ("determinism.ranks", "augmentation"),
        "The seed of augmentation does not know the rank (P-38).",
    ),
    Fault(
        "augmentation-restarts-on-resume",
        with_model(_own_counter),
        ("determinism.resume", "augmentation"),
        "The number of batches so far is in no checkpoint.",
    ),
    Fault(
        "evaluation-is-augmented",
        with_model(_augments_in_evaluation),
        ("determinism.evaluation", "augmentation"),
        "Validation sees augmented crops, other ones each time (P-13).",
    ),
    Fault(
        "dropout-in-evaluation",
        with_model(_always_drops),
        ("determinism.evaluation", "model.head"),
        "Functional dropout ignores eval().",
    ),
    Fault(
        "part-that-stays-in-training-mode",
        with_model(_never_evaluates),
        ("determinism.evaluation", "model.head"),
        "eval() does not reach a part, whose dropout goes on as soon as the schedule turns it on.",
    ),
    Fault(
        "weights-from-another-generator",
        with_model(_clock_start),
        ("determinism.start", "model.head"),
        "An initialisation draws from a state the seed does not set.",
    ),
)
