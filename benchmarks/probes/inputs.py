"""Laws of what a model is shown: every input counts, and of a clip every frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.shape import INVARIANCE, awake, deviation, in_fp32
from benchmarks.probes.truth import hands, single_frames
from benchmarks.subject import Subject
from zoo.contracts import ClipView, CropView, Finding, Prediction

FRAMES, CLIPS = 3, 5  # neither divides the other
DEAF = 1e-6  # of a number's own size: what rounding alone may change


class Inputs:
    """The picture changes every output, every colour counts, and a neck listens to its camera.

    Pictures, single colours and cameras are exchanged, with all-zero weights opened first.
    Causes: tokens or rays never handed on, a disabled fusion (P-22), a constant output (UTNet
    V7).
    """

    id: ClassVar[str] = "shape.inputs"
    family: ClassVar[str] = "shape"
    law: ClassVar[str] = "Whatever a part is shown changes what it says."
    see: ClassVar[str] = "docs/probes.md#shape-inputs"

    def __call__(self, subject: Subject) -> ProbeResult:
        view, _ = single_frames(subject, 5)
        changes: dict[str, float] = {}
        found: list[Finding] = []
        with torch.no_grad(), awake(subject) as model, in_fp32(model):
            said = model.predict_hand(view)
            other = model.predict_hand(_with(view, images=view.images.roll(1, 0)))
            for (name, path), change in _output_changes(said, other):
                changes[f"{name} by picture"] = change
                if change < DEAF:
                    found.append(self._finding("picture", path, f"{name} is the same", "picture"))
            if hasattr(model, "backbone"):
                found += self._colours(model, view, changes)
            if getattr(model, "neck", None) is not None:
                found += self._camera(model, view, changes)
        return ProbeResult(tuple(found), {"change": changes})

    def _colours(
        self, model: nn.Module, view: CropView, changes: dict[str, float]
    ) -> Iterator[Finding]:
        tokens = model.backbone(view.images)
        for channel, colour in enumerate(("red", "green", "blue")):
            images = view.images.clone()
            images[:, channel] = 1 - images[:, channel]
            change = _change(tokens, model.backbone(images))
            changes[f"tokens by {colour}"] = change
            if change < DEAF:
                yield self._finding("colour", "model.backbone", "tokens are the same", colour)

    def _camera(
        self, model: nn.Module, view: CropView, changes: dict[str, float]
    ) -> Iterator[Finding]:
        tokens = model.backbone(view.images).float()
        said = model.neck(tokens, view)
        intrinsics = view.intrinsics.clone()
        intrinsics[:, :2, :2] *= 1.3
        intrinsics[:, :2, 2] += 0.2 * view.crop_size[1]
        moved = {"intrinsics": intrinsics, "hand_box": view.hand_box * 0.8 + 5.0}
        for name, value in moved.items():
            changes[f"neck by {name}"] = _change(
                said, model.neck(tokens, _with(view, **{name: value}))
            )
        if max(changes[f"neck by {name}"] for name in moved) < DEAF:
            yield dataclasses.replace(
                self._finding(
                    "camera", "model.neck", "the tokens it hands on are the same", "camera"
                ),
                fix=("model.neck=None",),
            )

    def _finding(self, kind: str, path: str, what: str, whatever: str) -> Finding:
        return Finding(
            id=f"{self.id}/{kind}",
            severity="error",
            path=path,
            message=f"Deaf to what it is shown: {what} whatever the {whatever}.",
            evidence={"changed": 0.0, "input": whatever, "priority": 0},
        )


class Clips:
    """One hand a clip, made from its own frames alone, and from all of them.

    Five and six clips of three frames; a clip alone, with its neighbour's past, and with its
    neighbour's last frame. Causes: rows regrouped with a wrong number of frames (P-05), queries of
    one frame alone used, frames in another order than time.
    """

    id: ClassVar[str] = "shape.clip"
    family: ClassVar[str] = "shape"
    law: ClassVar[str] = (
        "A clip gives one hand, its own; the frames before the last matter, the last one most."
    )
    see: ClassVar[str] = "docs/probes.md#shape-clip"

    def __call__(self, subject: Subject) -> ProbeResult:
        model = subject.model
        if getattr(model, "temporal", None) is None:
            raise Unrunnable("the model has no temporal part")
        found: list[Finding] = []
        evidence: dict[str, Any] = {}
        with torch.no_grad(), awake(subject) as awoken, in_fp32(awoken):
            for clips in (CLIPS, 2 * FRAMES):  # one not a multiple of the frames, one so
                clip = _clip(subject, clips)
                what = _rows(awoken, clip)
                evidence[f"{clips} clips"] = what or clips
                if what:
                    found.append(self._finding("rows", f"{clips} of {FRAMES} frames {what}"))
                    return ProbeResult(tuple(found), evidence)
            together = awoken.predict_hand(clip)
            alone = awoken.predict_hand(_one_clip(clip, 1))
            evidence["alone"] = deviation(hands(together, 1), alone, together)
            if evidence["alone"] > INVARIANCE:
                found.append(self._finding("mixed", "a clip's hand depends on the other clips"))
            evidence["history"] = deviation(
                together, awoken.predict_hand(_other_past(clip)), together
            )
            if evidence["history"] < 1e-6:
                found.append(self._finding("history", "the frames before the last change nothing"))
        with torch.no_grad(), in_fp32(model):  # as it starts, for a refinement starts at nothing
            pose = model.predict_hand(clip).rotmats
            for name, other in (("past", _other_past(clip)), ("last", _other_last(clip))):
                evidence[f"start, {name}"] = _change(pose, model.predict_hand(other).rotmats)
        if evidence["start, last"] < evidence["start, past"]:
            what = "the frames before the last decide more than the last, whose hand is asked for"
            found.append(self._finding("last", what))
        return ProbeResult(tuple(found), evidence)

    def _finding(self, kind: str, what: str) -> Finding:
        return Finding(
            id=f"{self.id}/{kind}",
            severity="error",
            path="model.temporal",
            message=f"Of clips: {what}.",
            evidence={"found": what, "priority": 0},
        )


def _with(view: CropView, **fields: Tensor) -> CropView:
    return dataclasses.replace(view, **fields)


def _change(before: Tensor, after: Tensor) -> float:
    size = max(float(before.abs().amax()), 1e-12)
    return float((before - after).abs().amax()) / size


def _output_changes(said: Prediction, other: Prediction) -> Iterator[tuple[tuple[str, str], float]]:
    """How much each output changed, with the part that says it."""
    yield ("orientation", "model.head"), _change(said.rotmats[:, 0], other.rotmats[:, 0])
    yield ("hand pose", "model.head"), _change(said.rotmats[:, 1:], other.rotmats[:, 1:])
    yield ("shape", "model.head"), _change(said.betas, other.betas)
    position = _change(said.camera.position, other.camera.position)
    yield ("position", "model.head.camera"), position


def _rows(model: nn.Module, clip: ClipView) -> str:
    """What is wrong with how many hands come out of some clips; empty where nothing is."""
    try:
        count = len(model.predict_hand(clip))
    except RuntimeError as error:  # rows that do not fit meet somewhere in the head
        return f"fail: {error}"
    return "" if count == len(clip) else f"give {count} hands"


def _clip(subject: Subject, clips: int) -> ClipView:
    view, _ = single_frames(subject, clips * FRAMES)
    times = torch.arange(1 - FRAMES, 1, dtype=torch.float64).expand(clips, -1) / 30
    return ClipView(frames=view, times=times.clone())


def _one_clip(clip: ClipView, index: int) -> ClipView:
    rows = slice(index * FRAMES, (index + 1) * FRAMES)
    return ClipView(hands(clip.frames, rows), clip.times[index : index + 1])


def _other_past(clip: ClipView) -> ClipView:
    """The same last frames after another past: each clip's earlier frames are its neighbour's."""
    return _exchanged(clip, slice(0, -1))


def _other_last(clip: ClipView) -> ClipView:
    """Another last frame after the same past."""
    return _exchanged(clip, slice(-1, None))


def _exchanged(clip: ClipView, frames: slice) -> ClipView:
    def change(tensor: Tensor) -> Tensor:
        by_clip = tensor.unflatten(0, (-1, FRAMES)).clone()
        by_clip[:, frames] = by_clip[:, frames].roll(1, 0)
        return by_clip.flatten(0, 1)

    return dataclasses.replace(clip, frames=clip.frames.map(change))
