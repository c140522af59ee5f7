"""The law that keeps a hand's side and its place in the picture out of the network's answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.probe import ProbeResult
from benchmarks.probes.shape import in_fp32
from benchmarks.probes.truth import leaves, single_frames
from benchmarks.subject import Subject
from zoo.contracts import CropView, Finding

HANDS = 4
DEAF = 1e-5  # of a number's own size: what rounding may change
_CHANGES = {
    "is_left": "every hand is called a hand of the other side",
    "frame_from_crop": "the crops are said to come from another place of their pictures",
}


class Drawing:
    """What is kept for drawing the answer into the picture does not change the answer.

    The side of a hand and the way back to its picture are exchanged; crops and their cameras stay
    as they are. Causes: a head that mirrors left hands, which preprocessing has mirrored already,
    once more; a read-out that reasons in pixels or with the camera of the whole picture.
    """

    id: ClassVar[str] = "shape.drawing"
    family: ClassVar[str] = "shape"
    law: ClassVar[str] = (
        "The same crop and camera give the same answer, whichever side the hand was and wherever "
        "the crop was cut."
    )
    see: ClassVar[str] = "docs/probes.md#shape-drawing"

    def __call__(self, subject: Subject) -> ProbeResult:
        view, _ = single_frames(subject, HANDS)
        evidence: dict[str, float] = {}
        findings = []
        with torch.no_grad(), in_fp32(subject.model):
            said = dict(_steps(subject.model, view))
            for name, what in _CHANGES.items():
                other = dict(_steps(subject.model, _exchanged(view, name)))
                changes = {path: _apart(said[path], other[path]) for path in said}
                evidence |= {f"{path} by {name}": change for path, change in changes.items()}
                path = next((p for p, change in changes.items() if change > DEAF), None)
                if path is not None:
                    findings.append(self._finding(name, path, what, changes[path]))
        return ProbeResult(tuple(findings), evidence)

    def _finding(self, name: str, path: str, what: str, change: float) -> Finding:
        why = {
            "is_left": "preprocessing shows right hands alone, so a hand mirrored here is mirrored "
            "twice",
            "frame_from_crop": "the crop's own camera says all of the place that an answer in the "
            "crop's camera may depend on",
        }
        return Finding(
            id=f"{self.id}/{name.replace('_', '-')}",
            severity="error",
            path=path,
            message=f"Where {what}, the answer of {path} changes by {change:.2g} of its size, "
            f"although crop and camera are the same: {why[name]}.",
            evidence={"change": change, "input": name, "priority": 0},
        )


def _exchanged(view: CropView, name: str) -> CropView:
    if name == "is_left":
        return dataclasses.replace(view, is_left=~view.is_left)
    change = torch.tensor([[1.7, 0.0, 40.0], [0.0, 1.7, -25.0], [0.0, 0.0, 1.0]])
    return dataclasses.replace(view, frame_from_crop=change.to(view.images) @ view.frame_from_crop)


def _steps(model: nn.Module, view: CropView) -> Iterator[tuple[str, list[Tensor]]]:
    """What is said on the way to the answer, by the part that says it, in order."""
    prediction = model.predict_hand(view)
    if getattr(model, "neck", None) is not None and hasattr(model, "backbone"):
        see = getattr(model.backbone, "see", None)
        tokens = model.backbone(view.images) if see is None else see(view)
        yield "model.neck", [model.neck(tokens.float(), view)]
    yield "model.head", [prediction.rotmats, prediction.betas]
    yield "model.head.camera", _numbers(prediction.camera)


def _numbers(record: Any) -> list[Tensor]:
    return [tensor for _, tensor in leaves(record)]


def _apart(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest difference of two answers, in sizes of what differs."""
    return max(
        float((a - b).abs().amax()) / max(float(a.abs().amax()), 1e-9)
        for a, b in zip(one, other, strict=True)
    )
