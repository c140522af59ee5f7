"""The law that keeps answers honest: labels are for losses and metrics alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult
from benchmarks.probes.ramp import copied
from benchmarks.probes.shape import in_fp32
from benchmarks.probes.truth import leaves
from benchmarks.subject import Subject
from zoo.contracts import Finding, Frame, FrameBatch, HandTarget

HANDS = 4


class Unseen:
    """Nothing the network sees or says in evaluation depends on a label.

    Pictures, boxes and cameras stay, and every label is exchanged. Causes: an evaluation crop cut
    around labelled keypoints, a labelled hand size or depth used in predictions (P-26b). Such
    numbers cannot be had where there are no labels.
    """

    id: ClassVar[str] = "label.unseen"
    family: ClassVar[str] = "label"
    law: ClassVar[str] = "Other labels for the same pictures change no crop and no prediction."
    see: ClassVar[str] = "docs/probes.md#label-unseen"

    def __call__(self, subject: Subject) -> ProbeResult:
        frames = [copied(frame) for frame in subject.frames.frames[:HANDS]]
        others = [_relabelled(frame) for frame in frames]
        view, target = subject.preprocess(FrameBatch(tuple(frames)), False)
        view_too, _ = subject.preprocess(FrameBatch(tuple(others)), False)
        changes = {"augmentation": _apart(leaves(view), leaves(view_too))}
        model = subject.model
        if changes["augmentation"] == 0 and hasattr(model, "backbone"):
            with torch.no_grad(), in_fp32(model):
                said = [model(view, labels, "predict") for labels in (target, _other(target))]
            changes["model"] = max(
                float(abs(one["prediction"][name] - other["prediction"][name]).max())
                for one, other in zip(*said, strict=True)
                for name in one["prediction"]
            )
        findings = tuple(
            Finding(
                id=f"{self.id}/read",
                severity="error",
                path=path,
                message=f"In evaluation {path} reads the labels: with others for the same "
                f"pictures its answer changes by {change:.3g}, so its scores flatter it.",
                evidence={"change": change, "priority": 0},
            )
            for path, change in changes.items()
            if change > 0
        )
        return ProbeResult(findings, {"change": changes})


def _relabelled(frame: Frame) -> Frame:
    """The frame with every label moved; picture, box, camera and side as they are."""
    label = _other(frame.label.map(lambda tensor: tensor[None])).map(lambda tensor: tensor[0])
    return dataclasses.replace(frame, label=label)


def _other(target: HandTarget) -> HandTarget:
    return dataclasses.replace(
        target,
        joints=target.joints * 1.2 + 0.05,
        keypoints=target.keypoints * 0.7 + 9.0,
        betas=target.betas + 1.0,
        rotmats=target.rotmats.flip(1),
    )


def _apart(one: Iterator[tuple[str, Tensor]], other: Iterator[tuple[str, Tensor]]) -> float:
    return max(
        float((a.float() - b.float()).abs().amax())
        for (_, a), (_, b) in zip(one, other, strict=True)
    )
