"""Laws of shapes: hands do not see each other, no size is special, everything shown is used."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import nn

from benchmarks.probe import ProbeResult
from benchmarks.probes.truth import hands, leaves, single_frames
from benchmarks.subject import Subject, component
from zoo.contracts import CropView, Finding, FrameBatch, HandTarget, Prediction

PRIMES = (1, 5)
INVARIANCE = 0.02  # share of the spread between hands; rounding stays a hundred times below


@dataclass
class Stage:
    """A part of a model, with what it is called with; it runs once, when its answer is wanted."""

    path: str
    run: Callable[..., Any]
    arguments: tuple[Any, ...]

    @cached_property
    def answer(self) -> Any:
        """What the part says."""
        return self.run(*self.arguments)


class BatchInvariance:
    """A hand gets the same answer alone and in company, at every stage of the model.

    Each part is run on five hands and on single ones, in fp32 and with its all-zero weights
    opened. Causes: statistics over the batch, a reshape along the wrong axis, sample 0's flag
    used for all (P-03). The first part that mixes is named; look there for dim 0 in a mean,
    norm or view.
    """

    id: ClassVar[str] = "shape.batch"
    family: ClassVar[str] = "shape"
    law: ClassVar[str] = "In evaluation a hand gets the same answer alone and in a batch."
    see: ClassVar[str] = "docs/probes.md#shape-batch"

    def __call__(self, subject: Subject) -> ProbeResult:
        view, _ = single_frames(subject, 5)
        deviations = dict(_preprocess_deviation(subject))
        with torch.no_grad(), awake(subject) as model, in_fp32(model):
            for stage in chain(stages(model, view), [whole(model, view)]):
                before = deviations.get(stage.path, 0.0)
                deviations[stage.path] = max(before, _company(stage))
                if deviations[stage.path] > INVARIANCE:
                    break  # what comes after only passes the fault on
        findings = tuple(
            Finding(
                id=f"{self.id}/mixed",
                severity="error",
                path=path,
                message=f"The answer for one hand depends on the others of its batch: alone it "
                f"differs by {deviation:.0%} of the spread between hands.",
                evidence={"deviation": deviation, "limit": INVARIANCE, "priority": 0},
            )
            for path, deviation in deviations.items()
            if deviation > INVARIANCE
        )
        return ProbeResult(findings, {"deviation": deviations})


class AnySize:
    """As many hands come out as went in, whatever their number.

    Causes: a squeeze() that removes the batch axis, rows regrouped with a wrong number of
    frames (P-05), a loss without reduction. Fix the part named: keep dim 0 and index from the
    last axes.
    """

    id: ClassVar[str] = "shape.count"
    family: ClassVar[str] = "shape"
    law: ClassVar[str] = "One hand or a prime number of hands: as many answers, and scalar losses."
    see: ClassVar[str] = "docs/probes.md#shape-count"

    def __call__(self, subject: Subject) -> ProbeResult:
        found: list[Finding] = []
        model = subject.model
        for count in PRIMES:
            view, target = single_frames(subject, count)
            with torch.no_grad():
                for stage in chain(stages(model, view), [whole(model, view)]):
                    found += self._judge(stage, count)
                    if found:
                        return ProbeResult(tuple(found), {"hands": count})
                if hasattr(subject.model, "loss_terms"):
                    found += self._losses(subject, stage.answer, target)
        return ProbeResult(tuple(found), {"sizes": list(PRIMES)})

    def _judge(self, stage: Stage, count: int) -> Iterator[Finding]:
        path = stage.path
        try:
            answer = stage.answer
        except Exception as error:  # whatever a part raises at one size and not at another
            yield self._finding(path, count, "fails", f"{type(error).__name__}: {error}")
            return
        for name, tensor in leaves(answer):
            if "aux" in name:
                continue  # a head's own numbers may have any shape
            if tensor.ndim == 0 or len(tensor) != count:
                shape = tuple(tensor.shape)
                yield self._finding(path, count, "rows", f"{name or 'tokens'} has shape {shape}")
                return

    def _losses(
        self, subject: Subject, prediction: Prediction, target: HandTarget
    ) -> Iterator[Finding]:
        placed = subject.model.hand.place_target(target)
        for name, value in subject.model.loss_terms(prediction, placed).items():
            if value.ndim:
                path = f"model.losses.{name.removeprefix('loss_')}"
                shape = tuple(value.shape)
                yield self._finding(path, len(target), "scalar", f"the loss has shape {shape}")

    def _finding(self, path: str, count: int, kind: str, what: str) -> Finding:
        return Finding(
            id=f"{self.id}/{kind}",
            severity="error",
            path=path,
            message=f"With {count} hands: {what}.",
            evidence={"hands": count, "found": what, "priority": 0},
        )


def stages(model: nn.Module, view: CropView) -> Iterator[Stage]:
    """The parts of a model in order, each called with what the one before it said.

    None where a user's own module has no such parts. Read the answer of each before the next.
    """
    if not all(hasattr(model, name) for name in ("backbone", "head", "hand")):
        return
    yield (stage := Stage("model.backbone", model.backbone, (view.images,)))
    if getattr(model, "neck", None) is not None:
        yield (stage := Stage("model.neck", model.neck, (stage.answer, view)))
    yield (stage := Stage("model.head", model.head.query, (stage.answer, view)))
    yield (stage := Stage("model.head", model.head.read, (stage.answer, view)))
    yield Stage("model.hand", model.hand.place, (stage.answer,))


def whole(model: nn.Module, view: CropView) -> Stage:
    """The whole model as one stage."""
    return Stage("model", model.predict_hand, (view,))


@contextmanager
def in_fp32(model: nn.Module) -> Iterator[None]:
    """Runs a model without low precision, so that rounding is far below any effect."""
    precision = getattr(model, "precision", None)
    if precision is not None:
        model.precision = "fp32"
    try:
        yield
    finally:
        if precision is not None:
            model.precision = precision


@contextmanager
def awake(subject: Subject) -> Iterator[nn.Module]:
    """A copy of the model whose all-zero weights are small random ones.

    A branch that starts at zero, as many do on purpose, would hide that nothing flows through it.
    """
    model = copy.deepcopy(subject.model)
    rng = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            scale = parameter.shape[-1] ** -0.5
            noise = torch.randn(parameter.shape, generator=rng) * scale
            parameter.data.copy_(noise.to(parameter))
    yield model


def still_training(model: nn.Module) -> dict[str, list[str]]:
    """The modules that are in training mode by component, once a model has been put out of it."""
    found: dict[str, list[str]] = {}
    for name, module in model.named_modules():
        if module.training:
            found.setdefault(component(f"{name}.") if name else "model", []).append(name or "model")
    return found


def _company(stage: Stage) -> float:
    """How far a hand's answer in company is from its answer alone."""
    return max(
        deviation(
            hands(stage.answer, i),
            stage.run(*(hands(argument, i) for argument in stage.arguments)),
            stage.answer,
        )
        for i in range(0, len(stage.arguments[0]), 2)
    )


def deviation(one: Any, other: Any, all_of_them: Any) -> float:
    """The largest difference, in spreads between hands; hands that all agree count by size."""
    worst = 0.0
    whole = dict(leaves(all_of_them))
    others = dict(leaves(other))
    for name, tensor in leaves(one):
        if not tensor.is_floating_point() or name not in others:
            continue
        every, size = whole[name], float(whole[name].abs().amax()) if tensor.numel() else 0.0
        spread = float((every.amax(0) - every.amin(0)).amax()) if every.numel() else 0.0
        difference = float((tensor - others[name]).abs().amax())
        worst = max(worst, difference / max(spread, 1e-3 * size, 1e-12))
    return worst


def _preprocess_deviation(subject: Subject) -> Iterator[tuple[str, float]]:
    frames = subject.frames.frames[:5]
    together = subject.preprocess(FrameBatch(frames), False)
    worst = 0.0
    for i, frame in enumerate(frames):
        alone = subject.preprocess(FrameBatch((frame,)), False)
        for whole, part in zip(together, alone, strict=True):
            worst = max(worst, deviation(hands(whole, i), part, whole))
    yield "augmentation.crop", worst
