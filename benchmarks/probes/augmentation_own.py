"""Laws of a batch under augmentation: each hand has draws of its own and sees no other hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from benchmarks.probe import ProbeResult
from benchmarks.probes.augmentation import load_draw, preprocess_of
from benchmarks.probes.truth import leaves, single_frames
from benchmarks.subject import Subject
from zoo.contracts import Finding, FrameBatch

HANDS, DRAWS = 4, 6
MIXED = 1e-3  # of a number's own size: what a neighbour may change by rounding
VARIED = 1e-5  # of a number's own size: what differs by less is one draw

Choose = Callable[..., Any]


class OwnDraws:
    """A hand's augmentation is its own: it neither shows nor shares what its neighbours get.

    Each part is asked twice with the same chance and another last hand, and for copies of one
    hand. Causes: contrast or brightness by the largest value of the batch, mixed pictures under
    unmixed labels; one draw for the whole batch, which makes steps noisy and saves nothing.
    """

    id: ClassVar[str] = "augmentation.own"
    family: ClassVar[str] = "augmentation"
    law: ClassVar[str] = (
        "In training each hand has draws of its own, and no other hand in its crop."
    )
    see: ClassVar[str] = "docs/probes.md#augmentation-own"

    def __call__(self, subject: Subject) -> ProbeResult:
        evidence: dict[str, Any] = {}
        findings: list[Finding] = []
        for path, choose, given in _choices(subject):
            mixed = _mixed(choose, given)
            own, drawn = _spread(choose, given)
            evidence[path] = {"by neighbour": mixed, "copies": own, "draws": drawn}
            if mixed > MIXED:
                findings.append(self._mixes(path, mixed))
            elif drawn > MIXED and own < VARIED:
                findings.append(self._shares(path, drawn))
        if not findings:
            evidence["augmentation"] = mixed = _mixed_batch(subject)
            if mixed > MIXED:
                findings.append(self._mixes("augmentation", mixed))
        return ProbeResult(tuple(findings), evidence)

    def _mixes(self, path: str, change: float) -> Finding:
        return Finding(
            id=f"{self.id}/mixed",
            severity="error",
            path=path,
            message=f"What {path} makes of one hand depends on the other hands of its batch "
            f"({change:.2g} of its range): crops show, or are scaled by, hands whose labels they "
            "do not have.",
            evidence={"change": change, "priority": 0},
        )

    def _shares(self, path: str, change: float) -> Finding:
        return Finding(
            id=f"{self.id}/shared",
            severity="warning",
            path=path,
            message=f"{path} draws once for the whole batch: {HANDS} copies of a hand come out "
            f"alike in each of {DRAWS} batches, which differ by {change:.2g}. Draw one number a "
            "hand, shape (B, ...).",
            evidence={"between draws": change, "between copies": 0.0},
        )


def _choices(subject: Subject) -> Iterator[tuple[str, Choose, tuple[Tensor, ...]]]:
    """Every part that may draw, as a function of what it is shown, and of a generator."""
    preprocess = preprocess_of(subject)
    view, _ = single_frames(subject, HANDS)
    camera = (view.intrinsics, view.hand_box)
    for name, part in preprocess.view_augmentations.items():
        yield f"augmentation.view.{name}", part, camera
    yield "augmentation.crop", preprocess.crop, camera
    for name, part in preprocess.pixel_augmentations.items():
        yield f"augmentation.pixels.{name}", part, (view.images,)


def _mixed(choose: Choose, given: tuple[Tensor, ...]) -> float:
    """How much the last hand of a batch changes what the others get."""
    other = tuple(_with_another_last(tensor) for tensor in given)
    return max(
        _apart(*(_answer(choose, tensors, draw, slice(0, -1)) for tensors in (given, other)))
        for draw in range(2)
    )


def _with_another_last(tensor: Tensor) -> Tensor:
    changed = tensor.clone()
    changed[-1] = 0.3 * changed[-1] if tensor.ndim == 4 else changed[0]
    if tensor.ndim == 4:
        changed[-1, :, : tensor.shape[-2] // 3] = 1.0  # a brighter and a darker picture in one
    return changed


def _spread(choose: Choose, given: tuple[Tensor, ...]) -> tuple[float, float]:
    """How far copies of one hand come out apart within a batch, and from draw to draw."""
    copies = tuple(tensor[:1].repeat(HANDS, *[1] * (tensor.ndim - 1)) for tensor in given)
    drawn = [_answer(choose, copies, draw, slice(None)) for draw in range(DRAWS)]
    within = max(_apart([t[:1].expand_as(t) for t in answer], answer) for answer in drawn)
    return within, max(_apart(drawn[0], answer) for answer in drawn[1:])


def _answer(choose: Choose, given: tuple[Tensor, ...], draw: int, rows: slice) -> list[Tensor]:
    rng = Generator().manual_seed(7000 + draw)
    with torch.no_grad():
        said = choose(*(tensor.clone() for tensor in given), rng)
    return [tensor[rows].float() for _, tensor in leaves(said)]


def _mixed_batch(subject: Subject) -> float:
    """How much the last frame of a batch changes the other hands' crops and labels in training."""
    frames = subject.frames.frames
    seen = []
    for last in (frames[HANDS - 1], frames[-1]):
        preprocess = preprocess_of(subject)
        load_draw(preprocess, 1)
        data = preprocess(FrameBatch((*frames[: HANDS - 1], last)), True)
        seen.append(
            [
                tensor[: HANDS - 1].float()
                for record in (data["inputs"], data["data_samples"])
                for _, tensor in leaves(record)
            ]
        )
    return _apart(*seen)


def _apart(one: list[Tensor], other: list[Tensor]) -> float:
    return max(
        float((a - b).abs().amax()) / max(float(a.abs().amax()), 1e-6)
        for a, b in zip(one, other, strict=True)
        if a.numel()
    )
