"""Laws of what a model is fed: real pictures, each once, in the range and colours it expects."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.pictures import boxes, depths, first_input, focals, nearly_the_same, skin
from benchmarks.probes.sources import each_source
from benchmarks.probes.truth import single_frames
from benchmarks.subject import Subject
from zoo.contracts import Finding, Frame

HANDS = 8
DARK, BLANK = 4, 2.0  # grey levels: black, and the spread below which a picture shows nothing
MEAN_LIMIT, LOW_STD, HIGH_STD = 3.0, 0.1, 5.0  # of what the first layer sees
SKIN = 0.35  # share of the hands that may be bluer than red, under coloured light
SMALL_BOX = 8.0  # px


class Pictures:
    """Pictures show something, are bytes, and no two are the same.

    Causes: guards that return black pictures (UTNet V5), an index that is not advanced, keys
    that repeat, samples skipped in numbers.
    """

    id: ClassVar[str] = "data.pictures"
    family: ClassVar[str] = "data"
    law: ClassVar[str] = "Every hand has a picture of its own that is neither blank nor black."
    see: ClassVar[str] = "docs/probes.md#data-pictures"

    def __call__(self, subject: Subject) -> ProbeResult:
        frames = subject.frames.frames
        if not frames:
            raise Unrunnable("there are no frames")
        total, skipped = len(frames), len(subject.frames.skipped)
        spreads = [float(f.image.float().std()) for f in frames]
        blank = sum(
            spread < BLANK or int(frame.image.amax()) < DARK
            for spread, frame in zip(spreads, frames, strict=True)
        )
        small = sum(float((f.hand_box[2:] - f.hand_box[:2]).amin()) < SMALL_BOX for f in frames)
        repeated = total - len({_labelled_picture(frame) for frame in frames})
        keys = total - len({frame.key for frame in frames})
        numbers = {
            "hands": total,
            "blank": blank / total,
            "small boxes": small / total,
            "repeated": repeated / total,
            "repeated keys": keys / total,
            "skipped": skipped / (total + skipped),
            "wrong type": sum(f.image.dtype != torch.uint8 for f in frames) / total,
            "sources": dict(Counter(frame.source for frame in frames)),
        }
        return ProbeResult(tuple(_about_pictures(self.id, numbers)), numbers)


class Range:
    """The network sees numbers of the size it was made for.

    What the first layer of the backbone sees is listened to. Causes: constants for [0, 255] on
    crops in [0, 1], or the reverse.
    """

    id: ClassVar[str] = "data.range"
    family: ClassVar[str] = "data"
    law: ClassVar[str] = "Crops lie in [0, 1]; normalised their mean is about 0 and their spread 1."
    see: ClassVar[str] = "docs/probes.md#data-range"

    def __call__(self, subject: Subject) -> ProbeResult:
        view, _ = single_frames(subject, HANDS)
        low, high = float(view.images.amin()), float(view.images.amax())
        numbers = {"crop lowest": low, "crop highest": high}
        if not (low >= 0 and 0.1 < high <= 1):
            text = f"Crops run from {low:.3g} to {high:.3g}; a network is shown [0, 1]"
            return ProbeResult((self._finding("crop", "augmentation", text, numbers),), numbers)
        backbone = getattr(subject.model, "backbone", None)
        seen = None if backbone is None else first_input(backbone, view.images)
        if seen is None:
            raise Unrunnable("the model has no backbone with a first layer to listen at")
        mean, std = seen.mean((0, 2, 3)), seen.std((0, 2, 3))
        numbers |= {"first layer mean": mean.tolist(), "first layer spread": std.tolist()}
        wrong = float(mean.abs().amax()) > MEAN_LIMIT
        if wrong or not (float(std.amin()) > LOW_STD and float(std.amax()) < HIGH_STD):
            text = (
                f"The first layer sees means up to {float(mean.abs().amax()):.3g} and spreads of "
                f"{float(std.amin()):.3g} to {float(std.amax()):.3g}; the constants that normalise "
                "pictures are for another range than [0, 1]"
            )
            found = self._finding("normalised", "model.backbone", text, numbers)
            return ProbeResult((found,), numbers)
        return ProbeResult((), numbers)

    def _finding(self, kind: str, path: str, text: str, numbers: dict[str, Any]) -> Finding:
        return Finding(
            id=f"{self.id}/{kind}",
            severity="error",
            path=path,
            message=f"{text}.",
            evidence={**numbers, "priority": 0},
        )


class Colours:
    """Skin is redder than blue.

    Causes: OpenCV's order of channels kept (UTNet R1). Gloves and coloured light may trip it.
    """

    id: ClassVar[str] = "data.colours"
    family: ClassVar[str] = "data"
    law: ClassVar[str] = "At the keypoints of most hands red is brighter than blue."
    see: ClassVar[str] = "docs/probes.md#data-colours"

    @each_source
    def __call__(self, subject: Subject) -> ProbeResult:
        evidence: dict[str, float] = {}
        findings = []
        view, target = single_frames(subject, min(16, len(subject.frames)))
        seen = [
            skin(image, points, valid)
            for image, points, valid in zip(
                view.images * 255, target.keypoints, target.keypoints_valid, strict=True
            )
        ]
        frames = subject.frames.frames
        stored = [skin(f.image, f.label.keypoints, f.label.keypoints_valid) for f in frames]
        for path, colours in (("data", stored), ("augmentation", seen)):
            known = [colour for colour in colours if colour is not None]
            if len(known) < 5:
                raise Unrunnable("fewer than five hands have keypoints in their picture")
            red, _, blue = torch.stack(known).unbind(-1)
            bluer = float((blue > red).float().mean())
            evidence[f"{path} bluer than red"] = bluer
            if bluer > SKIN and not findings:
                findings.append(
                    Finding(
                        id=f"{self.id}/bgr",
                        severity="error" if bluer > 0.8 else "warning",
                        path=path,
                        message=f"{bluer:.0%} of {len(known)} hands are bluer than red: the "
                        "pictures' channels are in the order blue, green, red.",
                        evidence={"bluer": bluer, "hands": len(known), "priority": 1},
                    )
                )
        return ProbeResult(tuple(findings), evidence)


class Support:
    """Hands to judge on look like hands trained on, and are others.

    Wants frames whose keys name their split. Causes: a random split by frames (UTNet R4), test
    depths that training never shows (P-14).
    """

    id: ClassVar[str] = "data.support"
    family: ClassVar[str] = "data"
    law: ClassVar[str] = "Validation hands lie within the depths, cameras and sizes of training."
    see: ClassVar[str] = "docs/probes.md#data-support"

    def __call__(self, subject: Subject) -> ProbeResult:
        frames = subject.frames.frames
        splits = {name: [f for f in frames if _split(f) == name] for name in ("train", "val")}
        if not all(splits.values()):
            raise Unrunnable("the frames are not of two splits, training and validation")
        train, val = splits["train"], splits["val"]
        evidence: dict[str, Any] = {"train": len(train), "val": len(val)}
        findings = list(_leaks(self.id, train, val))
        for name, of in (("depth", depths), ("focal length", focals), ("box", boxes)):
            known, asked = of(train), of(val)
            if len(known) < 8 or not len(asked):
                continue
            low, high = np.quantile(known, (0.0, 1.0))
            slack = 0.1 * (high - low) + 0.05 * abs(high)
            outside = float(((asked < low - slack) | (asked > high + slack)).mean())
            evidence[name] = {
                "train": [float(low), float(high)],
                "val": [float(asked.min()), float(asked.max())],
                "outside": outside,
            }
            if outside > 0.2:
                findings.append(
                    Finding(
                        id=f"{self.id}/outside",
                        severity="warning",
                        path="data",
                        message=f"{outside:.0%} of the validation hands have a {name} that no "
                        f"training hand comes near ({float(low):.3g} to {float(high):.3g}).",
                        evidence={"outside": outside, "low": float(low), "high": float(high)},
                    )
                )
        return ProbeResult(tuple(findings), evidence)


def _split(frame: Frame) -> str:
    """The split a key names, as "source/val/..." does."""
    parts = frame.key.split("/")
    return next((part for part in parts[:3] if part in ("train", "val", "test")), "train")


def _leaks(probe: str, train: Sequence[Frame], val: Sequence[Frame]) -> Iterator[Finding]:
    known = {_picture(frame) for frame in train}
    shared = sum(_picture(frame) in known for frame in val)
    if shared:
        yield Finding(
            id=f"{probe}/leak",
            severity="error",
            path="data",
            message=f"{shared} of {len(val)} validation pictures are training pictures too.",
            evidence={"shared": shared, "val": len(val), "priority": 1},
        )
        return
    near = nearly_the_same(train, val)
    if near:
        yield Finding(
            id=f"{probe}/near",
            severity="warning",
            path="data",
            message=f"{near} of {len(val)} validation pictures are training pictures but for what "
            "storing them anew changes: copies, or frames of one film on both sides.",
            evidence={"near": near, "val": len(val), "priority": 1},
        )


def _picture(frame: Frame) -> str:
    return hashlib.sha256(np.ascontiguousarray(frame.image.numpy()).tobytes()).hexdigest()


def _labelled_picture(frame: Frame) -> tuple[str, tuple[float, ...]]:
    """A picture and the hand in it: two hands of one picture are two."""
    return _picture(frame), tuple(frame.hand_box.tolist())


def _about_pictures(probe: str, numbers: dict[str, Any]) -> Iterator[Finding]:
    for name, limit, severity, says in (
        ("wrong type", 0.0, "error", "of the pictures are not bytes (uint8)"),
        ("blank", 0.05, "error", "of the pictures are black or of one colour"),
        ("repeated", 0.1, "warning", "of the hands repeat another hand's picture and box"),
        ("repeated keys", 0.0, "warning", "of the hands have a key another hand has too"),
        ("skipped", 0.05, "warning", "of the samples could not be used"),
        ("small boxes", 0.2, "warning", "of the hands are in boxes of less than 8 px"),
    ):
        if numbers[name] > limit:
            yield Finding(
                id=f"{probe}/{name.replace(' ', '-')}",
                severity=severity,
                path="data",
                message=f"{numbers[name]:.0%} {says}.",
                evidence={"share": numbers[name], "limit": limit, "hands": numbers["hands"]},
            )
