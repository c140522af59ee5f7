"""Laws of the two ways to the network: left hands as right ones, evaluation as training."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult
from benchmarks.probes.augmentation import exact_frames, load_draw, look, preprocess_of
from benchmarks.probes.ramp import mirror_image
from benchmarks.subject import Subject
from zoo.contracts import CropView, Finding, FrameBatch, HandTarget

DRAWS = 4
PIXELS, MILLIMETRES, LEVELS = 0.1, 0.1, 0.03
ZOOM, ZOOM_WARNING = 1.02, 1.6  # how much larger hands may be in one path than in the other


class Mirror:
    """A left hand is its mirror image, in picture and labels alike.

    Causes: pixels without keypoints, W instead of W - 1, a principal point or pose not
    mirrored.
    """

    id: ClassVar[str] = "augmentation.mirror"
    family: ClassVar[str] = "augmentation"
    law: ClassVar[str] = "A hand and its mirror image, called left, look the same to the network."
    see: ClassVar[str] = "docs/probes.md#augmentation-mirror"

    def __call__(self, subject: Subject) -> ProbeResult:
        frames = exact_frames(subject)
        right = tuple(mirror_image(f) if f.is_left else f for f in frames.frames)
        left = tuple(mirror_image(frame) for frame in right)
        preprocess = preprocess_of(subject)
        one = preprocess(FrameBatch(right), False)
        other = preprocess(FrameBatch(left), False)
        apart = _apart(
            (one["inputs"], one["data_samples"]), (other["inputs"], other["data_samples"])
        )
        said = bool(other["inputs"].is_left.all()) and not bool(one["inputs"].is_left.any())
        over = {name: value for name, value in apart.items() if value > _LIMITS[name]}
        findings: tuple[Finding, ...] = ()
        if over or not said:
            what = ", ".join(f"{name} by {value:.3g}" for name, value in over.items())
            findings = (
                Finding(
                    id=f"{self.id}/differs",
                    severity="error",
                    path="augmentation",
                    message="A left hand reaches the network differently from the right hand in "
                    f"the mirror: {what or 'is_left is not passed on'}.",
                    evidence={**apart, "priority": 0},
                ),
            )
        return ProbeResult(findings, apart)


class SamePath:
    """Training without augmentation shows what evaluation shows.

    Causes: colours scaled in one path only, boxes stored with another margin than training
    measures (P-25), another crop in evaluation.
    """

    id: ClassVar[str] = "augmentation.identity"
    family: ClassVar[str] = "augmentation"
    law: ClassVar[str] = "Training with every augmentation off is evaluation."
    see: ClassVar[str] = "docs/probes.md#augmentation-identity"

    def __call__(self, subject: Subject) -> ProbeResult:
        frames = exact_frames(subject)
        preprocess = preprocess_of(subject)
        preprocess.pixel_augmentations = {}
        preprocess.view_augmentations = {
            name: part
            for name, part in preprocess.view_augmentations.items()
            if getattr(part, "in_evaluation", False)
        }
        shown = look(preprocess, frames, False, 0)
        zooms, colours, places = [], [], []
        for draw in range(DRAWS):
            sight = look(preprocess, frames, True, draw)
            zooms.append(_hand_size(sight.target) / _hand_size(shown.target))
            colours.append(_colours(sight.view) - _colours(shown.view))
            places.append(_center(sight.target, sight.view) - _center(shown.target, shown.view))
        zoom = float(torch.stack(zooms).median())
        shift = float(torch.stack(places).mean((0, 1)).abs().amax())
        colour = float(torch.stack(colours).mean((0, 1)).abs().amax())
        stored = self._stored_zoom(subject, preprocess)
        evidence = {"zoom": zoom, "stored boxes zoom": stored, "shift": shift, "colour": colour}
        return ProbeResult(tuple(self._judge(zoom, stored, shift, colour, evidence)), evidence)

    def _stored_zoom(self, subject: Subject, preprocess: Any) -> float:
        """The same with the boxes as the data stores them."""
        frames = FrameBatch(subject.frames.frames[:8])
        shown = _hand_size(preprocess(frames, False)["data_samples"])
        zooms = []
        for draw in range(DRAWS):
            load_draw(preprocess, draw)
            zooms.append(_hand_size(preprocess(frames, True)["data_samples"]) / shown)
        return float(torch.stack(zooms).median())

    def _judge(
        self, zoom: float, stored: float, shift: float, colour: float, evidence: dict[str, Any]
    ) -> list[Finding]:
        found = []
        worst = max(zoom, 1 / max(zoom, 1e-6))
        if worst > ZOOM:
            found.append(
                self._finding(
                    "zoom",
                    "augmentation.crop",
                    f"hands are {zoom:.2f} times as large as in evaluation",
                    "warning" if worst > ZOOM_WARNING else "info",
                    evidence,
                )
            )
        by_data = max(stored / zoom, zoom / max(stored, 1e-6)) if zoom > 0 else 1.0
        if by_data > 1.15:
            found.append(
                self._finding(
                    "boxes",
                    "data",
                    f"stored hand boxes make hands {by_data:.2f} times larger or smaller in "
                    "evaluation than boxes around the keypoints, which training uses",
                    "warning",
                    evidence,
                )
            )
        if shift > 0.1:
            text = f"hands stand {shift:.0%} of a crop beside where evaluation shows them"
            found.append(self._finding("shift", "augmentation.crop", text, "error", evidence))
        if colour > LEVELS:
            text = f"colours differ from evaluation by {colour:.3g} of their range"
            found.append(self._finding("colour", "augmentation", text, "error", evidence))
        return found

    def _finding(
        self, kind: str, path: str, what: str, severity: Any, evidence: dict[str, Any]
    ) -> Finding:
        return Finding(
            id=f"{self.id}/{kind}",
            severity=severity,
            path=path,
            message=f"In training without any augmentation {what}.",
            evidence=evidence,
        )


_LIMITS = {
    "picture levels": LEVELS,
    "keypoints px": PIXELS,
    "joints mm": MILLIMETRES,
    "rotations": 1e-3,
    "camera px": PIXELS,
}


def _apart(
    one: tuple[CropView, HandTarget], other: tuple[CropView, HandTarget]
) -> dict[str, float]:
    (view, target), (view_too, target_too) = one, other

    def largest(a: Tensor, b: Tensor) -> float:
        return float((a - b).abs().amax().nan_to_num(1e9))

    return {
        "picture levels": float((view.images - view_too.images).abs().mean()),
        "keypoints px": largest(target.keypoints, target_too.keypoints),
        "joints mm": 1000 * largest(target.joints, target_too.joints),
        "rotations": largest(target.rotmats, target_too.rotmats),
        "camera px": largest(view.intrinsics, view_too.intrinsics),
    }


def _hand_size(target: HandTarget) -> Tensor:
    """(B,) px, the diagonal of what the keypoints span in the crop."""
    span = target.keypoints.amax(1) - target.keypoints.amin(1)
    return span.norm(dim=-1).clamp(min=1e-6)


def _center(target: HandTarget, view: CropView) -> Tensor:
    """(B, 2) middle of the keypoints, in crops."""
    middle = (target.keypoints.amax(1) + target.keypoints.amin(1)) / 2
    return middle / middle.new_tensor(view.crop_size[::-1])


def _colours(view: CropView) -> Tensor:
    """(B, 1) the blue of the painted picture in the middle of the crop, the same everywhere."""
    height, width = view.crop_size
    middle = view.images[:, 2, 3 * height // 8 : 5 * height // 8, 3 * width // 8 : 5 * width // 8]
    return middle.flatten(1).median(-1, keepdim=True).values
