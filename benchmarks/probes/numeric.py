"""Do values and gradients stay finite and exact where numbers are awkward?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.answers import Leaves, agreed, answer, leaves, truth
from benchmarks.gradients import config_path
from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject, last_frames
from zoo.contracts import (
    Finding,
    Frame,
    FrameBatch,
    HandTarget,
    Prediction,
)
from zoo.geometry.rotation import rotvec_to_rotmat

HANDS = 4
WORST_BLOWUP = 1e5  # times the term's value at the start; healthy terms stay below 2e3
READOUT_SCALES = (0.0, 1e3, -1e3)


class Ties:
    """Predictions that equal their labels, to the last bit and nearly.

    A robust loss whose unselected branch takes log(0) killed CS-ViT2 at step 1070: an exact tie of
    two pixel coordinates comes once in 436 steps (P-01).
    """

    id: ClassVar[str] = "numeric.ties"
    family: ClassVar[str] = "numeric"
    law: ClassVar[str] = "A prediction that equals its label has a finite cost and gradient."
    see: ClassVar[str] = "docs/probes.md#numeric-ties"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Terms with values or gradients that are not finite at a tie."""
        model, said, target = start(subject)
        exact = agreed(said, target, model.hand)
        cases = {
            "equal": (said, exact),
            "equal to 1e-7": (_nudged(said, 1e-7), exact),
            "equal to 1e-3": (_nudged(said, 1e-3), exact),
            "equal to the label": (truth(said, target), target),
        }
        return _judged(self.id, model, (said, target), cases)


class Extremes:
    """Hands behind the camera, half turns, no turn at all, wild shapes, hands without labels.

    Reprojection of a hand at depth 0 made a loss of 4e8 (P-17); matrices to axis-angle break near
    180 degrees (P-35, V8); boxes without a size made NaN crops (P-30).
    """

    id: ClassVar[str] = "numeric.extremes"
    family: ClassVar[str] = "numeric"
    law: ClassVar[str] = (
        "Whatever a read-out can say, and whatever is not labelled, costs something finite with a "
        "finite gradient."
    )
    see: ClassVar[str] = "docs/probes.md#numeric-extremes"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Terms that are not finite somewhere a model may come by."""
        model, said, target = start(subject)
        result = _judged(self.id, model, (said, target), self._cases(said, target))
        findings = [*result.findings, *self._readouts(subject), *self._boxes(subject)]
        return ProbeResult(tuple(findings), result.evidence)

    def _cases(
        self, said: Prediction, target: HandTarget
    ) -> dict[str, tuple[Prediction, HandTarget]]:
        half = rotvec_to_rotmat(torch.tensor([torch.pi, 0.0, 0.0])).expand_as(said.rotmats)
        none = torch.eye(3).expand_as(said.rotmats)
        kept = {"rotmats": said.rotmats, "betas": said.betas, "position": said.camera.position}
        cases = {
            "half turns": answer(said, **{**kept, "rotmats": target.rotmats @ half}),
            "no turns": answer(said, **{**kept, "rotmats": none}),
            "betas of 10": answer(said, **{**kept, "betas": torch.full_like(said.betas, 10.0)}),
        }
        if said.camera.anchor == "wrist":
            for depth in (-0.1, 0.0, 1e-6):
                position = torch.cat((said.camera.position[:, :2], _full(said, depth)), -1)
                cases[f"depth {depth:g} m"] = answer(said, **{**kept, "position": position})
        labelled = {name: (prediction, target) for name, prediction in cases.items()}
        return {**labelled, "nothing labelled": (said, _unlabelled(target))}

    def _readouts(self, subject: Subject) -> Iterator[Finding]:
        """The camera read-out driven to its ends: all weights 0, or a thousand times as large."""
        view, target = subject.shown(HANDS, training=False)
        for scale in READOUT_SCALES:
            model = subject.fresh_model().eval()
            camera = getattr(model.head, "camera", None) if hasattr(model, "head") else None
            if camera is None:
                return
            with torch.no_grad():
                for parameter in camera.parameters():
                    parameter.mul_(scale)
            terms = model.loss_terms(model.predict_hand(view), model.hand.place_target(target))
            sum(terms.values()).backward()
            bad = [n for n, p in model.named_parameters() if not _finite(p.grad)]
            wrong = [term for term, value in terms.items() if not _finite(value)]
            if bad or wrong:
                yield Finding(
                    id=f"{self.id}/readout",
                    severity="error",
                    path=config_path(wrong[0]) if wrong else "model.head.camera",
                    message=f"With the weights of model.head.camera times {scale:g}, "
                    f"{', '.join(wrong) or 'no term'} is not finite, nor the gradient of "
                    f"{len(bad)} parameters.",
                    evidence={"scale": scale, "parameters": len(bad)},
                )

    def _boxes(self, subject: Subject) -> Iterator[Finding]:
        """Hands whose box is empty, a point or not a number, and hands without a keypoint."""
        boxes = {
            "empty": [0.0, 0.0, 0.0, 0.0],
            "a point": [20.0, 20.0, 20.0, 20.0],
            "not a number": [float("nan")] * 4,
        }
        for name, box in boxes.items():
            frames = tuple(_with_box(frame, box) for frame in subject.frames.frames[:HANDS])
            view, target = subject.with_frames(FrameBatch(frames)).shown(HANDS, training=True)
            seen = last_frames(view)
            tensors = {"images": seen.images, "intrinsics": seen.intrinsics}
            bad = [n for n, t in tensors.items() if not _finite(t)]
            model = subject.fresh_model().eval()
            terms = model.loss_terms(model.predict_hand(view), model.hand.place_target(target))
            bad += [term for term, value in terms.items() if not _finite(value)]
            if bad:
                yield Finding(
                    id=f"{self.id}/box",
                    severity="error",
                    path="augmentation.crop",
                    message=f"A hand whose box is {name}, without keypoints, makes "
                    f"{', '.join(bad)} not finite.",
                    evidence={"box": name},
                )


def start(subject: Subject) -> tuple[nn.Module, Prediction, HandTarget]:
    """A fresh model in evaluation mode, what it says of a few hands, and the placed labels."""
    model = subject.fresh_model().eval()
    view, target = subject.shown(HANDS, training=False)
    with torch.no_grad():
        said = model.predict_hand(view)
        target = model.hand.place_target(target)
        if not model.loss_terms(said, target):
            raise Unrunnable("the model has no loss terms")
    return model, said, target


def _judged(
    probe: str,
    model: nn.Module,
    ordinary: tuple[Prediction, HandTarget],
    cases: Mapping[str, tuple[Prediction, HandTarget]],
) -> ProbeResult:
    """Findings for every term that is not finite, or beyond all measure, in one of the cases."""
    broken: dict[str, list[str]] = {}
    table: dict[str, dict[str, float]] = {}
    usual = {n: abs(float(v.detach())) for n, v in model.loss_terms(*ordinary).items()}
    for case, (said, target) in cases.items():
        leaf = leaves(said)
        terms = model.loss_terms(leaf.prediction(), target)
        table[case] = {name: float(value.detach()) for name, value in terms.items()}
        for name, value in terms.items():
            if not _finite(value) or not _finite_gradient(value, leaf):
                broken.setdefault(name, []).append(case)
    return ProbeResult(
        (*_not_finite(probe, broken), *_blown_up(probe, usual, table)), {"values": table}
    )


def _not_finite(probe: str, broken: Mapping[str, list[str]]) -> Iterator[Finding]:
    for name, cases in broken.items():
        yield Finding(
            id=f"{probe}/not-finite",
            severity="error",
            path=config_path(name),
            message=f"{name} or its gradient is not finite for: {', '.join(cases)}. Clamp what a "
            "root, logarithm or division is taken of, in both branches of a where.",
            evidence={"cases": ", ".join(cases)},
        )


def _blown_up(
    probe: str, usual: Mapping[str, float], table: Mapping[str, Mapping[str, float]]
) -> Iterator[Finding]:
    for name, value in usual.items():
        worst = max(table, key=lambda case: abs(table[case][name]))
        found = abs(table[worst][name])
        if WORST_BLOWUP * max(value, 1e-6) < found < float("inf"):
            yield Finding(
                id=f"{probe}/blow-up",
                severity="warning",
                path=config_path(name),
                message=f"{name} is {found:.2g} for {worst}, {found / max(value, 1e-6):.1g} times "
                "its ordinary value: one such hand decides a whole step.",
                evidence={"case": worst, "value": found, "ordinary": value},
            )


def _finite_gradient(value: Tensor, leaf: Leaves) -> bool:
    if not value.requires_grad:
        return True
    free = [tensor for tensor in leaf.tensors.values() if tensor.requires_grad]
    found = torch.autograd.grad(value, free, retain_graph=True, allow_unused=True)
    return all(_finite(gradient) for gradient in found)


def _finite(tensor: Tensor | None) -> bool:
    return tensor is None or bool(tensor.detach().isfinite().all())


def _nudged(said: Prediction, size: float) -> Prediction:
    rng = torch.Generator().manual_seed(0)

    def nudge(tensor: Tensor) -> Tensor:
        return tensor + size * torch.randn(tensor.shape, generator=rng)

    return answer(
        said,
        rotmats=said.rotmats @ rotvec_to_rotmat(nudge(torch.zeros_like(said.rotmats[..., 0]))),
        betas=nudge(said.betas),
        position=nudge(said.camera.position),
    )


def _unlabelled(target: HandTarget) -> HandTarget:
    changes = {
        field.name: torch.zeros_like(value)
        for field in dataclasses.fields(target)
        if (value := getattr(target, field.name)) is not None
    }
    return dataclasses.replace(target, **changes)


def _with_box(frame: Frame, box: list[float]) -> Frame:
    """The frame with another box and no keypoint that could replace it."""
    label = frame.label
    label = dataclasses.replace(
        label,
        keypoints=torch.zeros_like(label.keypoints),
        keypoints_valid=torch.zeros_like(label.keypoints_valid),
    )
    return dataclasses.replace(frame, hand_box=torch.tensor(box), label=label)


def _full(said: Prediction, depth: float) -> Tensor:
    return torch.full_like(said.camera.position[:, :1], depth)
