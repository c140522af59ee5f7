"""Is the gradient of a network's parts the slope of what they say, as they are trained?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.parts import opened
from benchmarks.probes.shape import in_fp32
from benchmarks.subject import Subject, last_frames
from zoo.contracts import CropView, Finding

HANDS, DIRECTIONS, STEP = 2, 2, 1e-3  # the step in sizes of what is moved
TOLERANCE = 0.3  # of the slope; rounding and kinks leave up to 0.1
DROPOUT = 0.3  # so that a forgotten random state is seen whatever the recipe's dropout is


@dataclass(frozen=True)
class Part:
    """A part of a network, and the tensors it is called with that a gradient goes back to."""

    path: str
    module: nn.Module
    run: Callable[..., Sequence[Tensor]]
    given: Tensor  # (B, ...)


class PartSlope:
    """Weights and inputs of each part are moved a little, in training mode, with equal chance.

    Causes: a detach or no_grad on the way through, so that what comes before is trained by a
    rest of its gradient (P-10); layers recomputed in the backward pass with other dropout than
    they were computed with; a backward of one's own with another scale. Losses fall all the same,
    only slower. Rotations and places are read out behind these parts and are tested elsewhere.
    """

    id: ClassVar[str] = "gradient.parts"
    family: ClassVar[str] = "gradient"
    law: ClassVar[str] = (
        "In training mode the gradient of backbone, neck and query is the slope of what they say."
    )
    see: ClassVar[str] = "docs/probes.md#gradient-parts"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Finite differences against autograd, part by part."""
        model = opened(subject.fresh_model()).train()
        for module in model.modules():
            if isinstance(module, nn.Dropout) and module.training:
                module.p = DROPOUT
        view = last_frames(subject.shown(HANDS, training=False)[0])
        evidence: dict[str, Any] = {}
        findings: list[Finding] = []
        with in_fp32(model):
            for part in _parts(model, view):
                weights = [p for p in part.module.parameters() if p.requires_grad]
                for name, moved in (("weights", weights), ("inputs", [part.given])):
                    if not weights:
                        continue  # what is frozen need not pass a gradient on
                    slopes = _slopes(part, moved)
                    evidence[f"{part.path} {name}"] = slopes
                    if not findings:  # what comes after may only pass it on
                        findings += _judged(part.path, name, *slopes)
        if not evidence:
            raise Unrunnable("nothing of the network is trained")
        return ProbeResult(tuple(findings), evidence)


def _parts(model: nn.Module, view: CropView) -> Iterator[Part]:
    """The parts in order, each given what the one before said."""
    if not all(hasattr(model, name) for name in ("backbone", "head")):
        images = view.images.clone()
        yield Part("model", model, lambda x: _said(model, view, x), images)
        return
    see = getattr(model.backbone, "see", None)  # a backbone that reads more than colour

    def seen(images: Tensor) -> Tensor:
        if see is None:
            return model.backbone(images)
        return see(dataclasses.replace(view, images=images))

    yield Part("model.backbone", model.backbone, lambda x: [seen(x)], view.images.clone())
    with torch.no_grad():
        tokens = seen(view.images).float()
    if getattr(model, "neck", None) is not None:
        yield Part("model.neck", model.neck, lambda x: [model.neck(x, view)], tokens)
        with torch.no_grad():
            tokens = model.neck(tokens, view).float()
    yield Part("model.head", model.head, lambda x: [model.head.query(x, view).token], tokens)


def _said(model: nn.Module, view: CropView, images: Tensor) -> list[Tensor]:
    prediction = model.predict_hand(dataclasses.replace(view, images=images))
    return [prediction.rotmats, prediction.betas, prediction.camera.position]


def _slopes(part: Part, moved: list[Tensor]) -> tuple[float, float, float]:
    """Mean sizes of measured and claimed slope, and of what lies between them."""
    given = part.given.detach().clone().requires_grad_()
    moved = [given if tensor is part.given else tensor for tensor in moved]
    part.module.zero_grad(set_to_none=True)
    here = _value(part, given)
    here.backward()
    gradients = [torch.zeros_like(t) if t.grad is None else t.grad.clone() for t in moved]
    rng = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(DIRECTIONS):
        way = [torch.randn(t.shape, generator=rng) * _size(t) for t in moved]
        claimed = float(sum((g * w).sum() for g, w in zip(gradients, way, strict=True)))
        up, down = (_beside(part, given, moved, way, step) for step in (STEP, -STEP))
        now = float(here.detach())
        sides = ((now - down) / STEP, (up - now) / STEP)
        apart = max(min(sides) - claimed, claimed - max(sides), 0.0)
        rows.append((abs(sum(sides)) / 2, abs(claimed), apart))
    part.module.zero_grad(set_to_none=True)
    measured, claimed, apart = (sum(column) / DIRECTIONS for column in zip(*rows, strict=True))
    return measured, claimed, apart


@torch.no_grad()
def _beside(
    part: Part, given: Tensor, moved: list[Tensor], way: list[Tensor], step: float
) -> float:
    held = [tensor.clone() for tensor in moved]
    for tensor, direction in zip(moved, way, strict=True):
        tensor.add_(step * direction)
    value = float(_value(part, given))
    for tensor, before in zip(moved, held, strict=True):
        tensor.copy_(before)
    return value


def _value(part: Part, given: Tensor) -> Tensor:
    """One number of everything a part says, with the same chance each time."""
    torch.manual_seed(0)
    said = part.run(given)
    total = given.new_zeros((), dtype=torch.float64)
    for index, tensor in enumerate(said):
        rng = torch.Generator().manual_seed(index)
        weights = torch.randn(tensor.shape, generator=rng, dtype=torch.float64)
        total = total + (tensor.double() * weights).sum() / tensor.numel() ** 0.5
    return total


def _size(tensor: Tensor) -> float:
    return float(tensor.detach().square().mean().sqrt())


def _judged(
    path: str, name: str, measured: float, claimed: float, apart: float
) -> Iterator[Finding]:
    if apart > TOLERANCE * max(measured, claimed, 1e-6):
        yield Finding(
            id=f"{PartSlope.id}/wrong",
            severity="error",
            path=path,
            message=f"In training mode the answer of {path} follows its {name} with slopes of "
            f"{measured:.3g}, but the gradient says {claimed:.3g} ({apart:.2g} between them): it "
            "is cut off or scaled on a way, or layers are computed anew with other dropout.",
            evidence={"slope": measured, "gradient": claimed, "apart": apart, "priority": 0},
        )
