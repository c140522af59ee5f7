"""Laws of single augmentations: each does something, in range, in place, and to a copy."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import cv2
import torch
from torch import Generator, Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.augmentation import load_draw, preprocess_of
from benchmarks.probes.ramp import copied
from benchmarks.probes.truth import leaves, losses_of, said_by, single_frames
from benchmarks.subject import Subject
from zoo.contracts import Finding, FrameBatch

HANDS, DRAWS = 4, 8
ROUNDING = 1.01 / 255  # of a picture's range: what sampling it anew may change
ELSEWHERE = 0.1  # by so much a moved crop may correlate better than the crop itself
SHIFT = 3.0  # px; blur along a path moves a picture by less


class Effect:
    """Every augmentation that is switched on changes something.

    Causes: a probability or range of nothing. A zoom about the principal point does nothing
    before a crop that follows the hand; that is an info, for recipes are published with it.
    """

    id: ClassVar[str] = "augmentation.effect"
    family: ClassVar[str] = "augmentation"
    law: ClassVar[str] = "Each augmentation of the config changes what the network sees."
    see: ClassVar[str] = "docs/probes.md#augmentation-effect"

    def __call__(self, subject: Subject) -> ProbeResult:
        whole = preprocess_of(subject)
        changes = {
            **{
                f"augmentation.view.{name}": _view_change(subject, name)
                for name in whole.view_augmentations
            },
            **{
                f"augmentation.pixels.{name}": _pixel_change(subject, part)
                for name, part in whole.pixel_augmentations.items()
            },
        }
        if not changes:
            raise Unrunnable("the config has no augmentation")
        findings = tuple(
            self._finding(path, change) for path, change in changes.items() if change <= ROUNDING
        )
        return ProbeResult(findings, {"change": changes})

    def _finding(self, path: str, change: float) -> Finding:
        crops = HANDS * DRAWS
        kept = "nothing" if change == 0 else "nothing beyond rounding"
        return Finding(
            id=f"{self.id}/idle",
            severity="warning" if change == 0 else "info",
            path=path,
            message=f"{path} changed {kept} in {crops} crops: neither the picture nor its camera "
            "nor a label. A crop that follows the hand undoes a zoom or a shift.",
            evidence={"crops": crops, "change": change},
            fix=(f"{path}=None",),
        )


class Pixels:
    """Colour operations leave the picture where it is and within [0, 1].

    Causes: no clipping, a flip or shift among the colour operations. Fix: move it to
    `augmentation.view`, where labels move with it.
    """

    id: ClassVar[str] = "augmentation.pixels"
    family: ClassVar[str] = "augmentation"
    law: ClassVar[str] = "A colour operation keeps size, range and place of what a crop shows."
    see: ClassVar[str] = "docs/probes.md#augmentation-pixels"

    def __call__(self, subject: Subject) -> ProbeResult:
        parts = preprocess_of(subject).pixel_augmentations
        if not parts:
            raise Unrunnable("the config has no colour operations")
        images = single_frames(subject, 8)[0].images[:HANDS]
        evidence: dict[str, Any] = {}
        findings: list[Finding] = []
        for name, part in parts.items():
            path = f"augmentation.pixels.{name}"
            after = torch.stack([part(images.clone(), _rng(draw)) for draw in range(3)])
            evidence[path] = numbers = _compared(images, after)
            findings += self._judge(path, numbers)
        return ProbeResult(tuple(findings), evidence)

    def _judge(self, path: str, numbers: dict[str, float]) -> Iterator[Finding]:
        checks = {
            "range": (
                not (numbers["lowest"] >= 0 and numbers["highest"] <= 1),
                f"values run from {numbers['lowest']:.3g} to {numbers['highest']:.3g}, not 0 to 1",
            ),
            "place": (
                numbers["other place"] - numbers["same place"] > ELSEWHERE
                or numbers["shift px"] > SHIFT,
                "what the crop shows has moved, and its labels have not",
            ),
        }
        for kind, (broken, what) in checks.items():
            if broken:
                yield Finding(
                    id=f"{self.id}/{kind}",
                    severity="error",
                    path=path,
                    message=f"After {path} {what}.",
                    evidence={**numbers, "priority": 0},
                )


class Untouched:
    """Nothing edits what it is given.

    Causes: in-place operations (P-41, P-23). Fix: work on a clone.
    """

    id: ClassVar[str] = "augmentation.untouched"
    family: ClassVar[str] = "augmentation"
    law: ClassVar[str] = "Preprocessing, model and losses leave their inputs as they were."
    see: ClassVar[str] = "docs/probes.md#augmentation-untouched"

    def __call__(self, subject: Subject) -> ProbeResult:
        edited = [name for name, changed in self._edits(subject) if changed]
        findings = tuple(
            Finding(
                id=f"{self.id}/edited",
                severity="error",
                path=path,
                message=f"{path} edits its input in place; the same batch seen again is another "
                "one, and what was remembered of it is spoilt.",
                evidence={"edited": path, "priority": 0},
            )
            for path in dict.fromkeys(edited)
        )
        return ProbeResult(findings, {"edited": edited})

    def _edits(self, subject: Subject) -> Iterator[tuple[str, bool]]:
        preprocess = preprocess_of(subject)
        images = single_frames(subject, 8)[0].images
        for name, part in preprocess.pixel_augmentations.items():
            yield (
                f"augmentation.pixels.{name}",
                _is_edited((images,), lambda i, p=part: p(i, _rng(0))),
            )
        view, target = single_frames(subject, 5)
        camera = (view.intrinsics, view.hand_box)
        for name, part in preprocess.view_augmentations.items():
            yield (
                f"augmentation.view.{name}",
                _is_edited(camera, lambda k, b, p=part: p(k, b, _rng(0))),
            )
        frames = FrameBatch(tuple(copied(frame) for frame in subject.frames.frames[:HANDS]))
        given = [frame.image for frame in frames.frames]
        given += [t for f in frames.frames for _, t in leaves(f.label)]
        given += [t for f in frames.frames for t in (f.intrinsics, f.hand_box)]
        for training in (False, True):
            yield "augmentation", _is_edited(given, lambda *_, t=training: preprocess(frames, t))
        yield "model", _is_edited(_tensors(view), lambda *_: subject.model.predict_hand(view))
        try:
            losses = losses_of(subject)
        except Unrunnable:
            return
        prediction, mesh = said_by(subject, view)
        target = subject.model.hand.place_target(target)
        given = [*_tensors(prediction), *_tensors(mesh), *_tensors(target)]
        for name, term in losses.items():
            run = lambda *_, term=term: term(prediction, mesh, target)  # noqa: E731
            yield f"model.losses.{name}", _is_edited(given, run)


def _view_change(subject: Subject, name: str) -> float:
    """The largest change of picture, camera (relative) and labels (m) by one view augmentation."""
    frames = FrameBatch(subject.frames.frames[:HANDS])
    plain = preprocess_of(subject)
    plain.pixel_augmentations = {}
    changed = copy.deepcopy(plain)
    changed.view_augmentations = {name: plain.view_augmentations[name]}
    plain.view_augmentations = {}
    largest = 0.0
    for draw in range(DRAWS):
        seen = []
        for preprocess in (plain, changed):
            load_draw(preprocess, draw)
            data = preprocess(frames, True)
            view, target = data["inputs"], data["data_samples"]
            seen.append((view.images, view.intrinsics / view.crop_size[1], target.joints))
        largest = max(largest, *(float((a - b).abs().amax()) for a, b in zip(*seen, strict=True)))
        if largest > 2 * ROUNDING:
            break
    return largest


def _pixel_change(subject: Subject, part: Any) -> float:
    images = single_frames(subject, 8)[0].images[:HANDS]
    largest = 0.0
    for draw in range(DRAWS):
        largest = max(largest, float((part(images.clone(), _rng(draw)) - images).abs().amax()))
        if largest > 2 * ROUNDING:
            break
    return largest


def _compared(images: Tensor, after: Tensor) -> dict[str, float]:
    """Range of the crops after an operation, and how like they are to the ones before.

    images: (B, 3, H, W). after: (draws, B, 3, H, W).
    """
    moved = {
        "left and right exchanged": images.flip(-1),
        "top and bottom exchanged": images.flip(-2),
        "turned": images.rot90(1, (-2, -1)) if images.shape[-1] == images.shape[-2] else images,
        "shifted": images.roll(images.shape[-1] // 8, -1),
    }
    others = torch.stack([_correlation(after, image) for image in moved.values()]).amax(0)
    alike = _correlation(after, images)
    worst = int((alike - others).argmin())
    shifts = [
        cv2.phaseCorrelate(*(crop.mean(0).double().numpy() for crop in (before, later)))
        for draw in after
        for before, later in zip(images, draw, strict=True)
    ]
    certain = [math.hypot(*shift) for shift, response in shifts if response > 0.3]
    return {
        "shift px": max(certain, default=0.0),
        "lowest": float(after.amin()),
        "highest": float(after.amax()),
        "same place": float(alike.flatten()[worst]),
        "other place": float(others.flatten()[worst]),
    }


def _correlation(after: Tensor, before: Tensor) -> Tensor:
    """(draws, B) correlation of grey values; 1 for a picture in another light, or a negative."""
    one, other = (gray.mean(-3).flatten(-2) for gray in (after, before.expand_as(after)))
    one, other = one - one.mean(-1, keepdim=True), other - other.mean(-1, keepdim=True)
    return ((one * other).mean(-1) / (one.std(-1) * other.std(-1)).clamp(min=1e-6)).abs()


def _is_edited(given: Any, run: Any) -> bool:
    before = [tensor.clone() for tensor in given]
    with torch.no_grad():
        run(*given)
    return any(not torch.equal(a, b) for a, b in zip(before, given, strict=True))


def _tensors(record: Any) -> list[Tensor]:
    return [tensor for _, tensor in leaves(record)]


def _rng(draw: int) -> Generator:
    return Generator().manual_seed(1000 + draw)
