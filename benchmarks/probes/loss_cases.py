"""Loss terms one by one, on what the model itself predicts and labels that are beyond doubt."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.truth import hands, known_hands, leaves, losses_of, reads_labels, said_by
from benchmarks.subject import Subject
from zoo.contracts import Finding, HandMesh, HandTarget, Prediction
from zoo.geometry.rotation import rotvec_to_rotmat

HANDS = 5
_FIX = "{path}.reduction=mean"


@dataclass(frozen=True)
class Case:
    """One loss term with a prediction whose every number is a leaf, and full labels."""

    name: str
    term: Any
    prediction: Prediction
    mesh: HandMesh
    target: HandTarget

    @property
    def path(self) -> str:
        return f"model.losses.{self.name}"

    def cost(self, target: HandTarget, chosen: Any = slice(None)) -> Tensor:
        """The term of the chosen hands against some labels."""
        prediction, mesh = hands(self.prediction, chosen), hands(self.mesh, chosen)
        return self.term(prediction, mesh, hands(target, chosen))

    def pull(self, target: HandTarget) -> tuple[float, dict[str, Tensor]]:
        """The term and its gradient on every number of the prediction."""
        named = {
            f"{owner}.{name}": tensor.clone().requires_grad_()
            for owner, record in (("prediction", self.prediction), ("mesh", self.mesh))
            for name, tensor in leaves(record)
            if tensor.is_floating_point()
        }
        prediction = _refilled(self.prediction, "prediction", named)
        value = self.term(prediction, _refilled(self.mesh, "mesh", named), target)
        given: tuple[Tensor | None, ...] = (None,) * len(named)
        if value.requires_grad:
            given = torch.autograd.grad(value, list(named.values()), allow_unused=True)
        pulls = {
            name: gradient
            for name, gradient in zip(named, given, strict=True)
            if gradient is not None
        }
        return float(value.detach()), pulls


def cases(subject: Subject) -> Iterator[Case]:
    """Every loss term that compares with labels, on what the model itself predicts."""
    losses, known = losses_of(subject), known_hands(subject, HANDS)
    prediction, mesh = varied(*said_by(subject, known.view))
    for name, term in losses.items():
        if reads_labels(term, prediction, mesh, known.target):
            yield Case(name, term, prediction, mesh, known.target)


def varied(prediction: Prediction, mesh: HandMesh) -> tuple[Prediction, HandMesh]:
    """The same with every hand moved differently.

    A new model says much the same of all hands, and what mixes equal hands is not seen to mix.
    """
    rng = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng)

    count = len(prediction)
    offset, turn = 0.05 * draw(count, 3), rotvec_to_rotmat(0.4 * draw(count, 16, 3))
    camera = prediction.camera
    moved = dataclasses.replace(
        prediction,
        rotmats=prediction.rotmats @ turn,
        betas=prediction.betas + draw(count, 10),
        camera=dataclasses.replace(camera, position=camera.position + offset),
        aux={
            name: value if "centers" in name else value + 0.3 * draw(*value.shape)
            for name, value in prediction.aux.items()
        },
        earlier=(),
    )
    points = (mesh.vertices + offset[:, None], mesh.joints + offset[:, None])
    return moved, HandMesh(*points, mesh.keypoints + 10 * draw(count, 1, 2))


class EveryLoss:
    """A law tested on every loss term by itself."""

    id: ClassVar[str]

    def __call__(self, subject: Subject) -> ProbeResult:
        evidence, findings = {}, []
        for case in cases(subject):
            numbers, found = self.judge(case)
            evidence[case.name] = numbers
            findings += found
        if not evidence:
            raise Unrunnable("no loss compares with labels")
        return ProbeResult(tuple(findings), evidence)

    def judge(self, case: Case) -> tuple[Mapping[str, float], list[Finding]]:
        """The numbers of one term, and what is wrong with them."""
        raise TypeError(f"{type(self).__name__} does not say how it judges a term")

    def finding(
        self, case: Case, kind: str, message: str, *, severity: str = "error", **evidence: float
    ) -> Finding:
        """A finding about one term."""
        diluted = kind == "diluted" and hasattr(case.term, "reduction")
        return Finding(
            id=f"{self.id}/{kind}",
            severity=severity,
            path=case.path,
            message=message,
            evidence=evidence,
            fix=(_FIX.format(path=case.path),) if diluted else (),
        )


def _refilled(record: Any, prefix: str, named: Mapping[str, Tensor]) -> Any:
    """A record whose tensors are replaced by those of the same name."""
    if isinstance(record, Tensor):
        return named.get(prefix, record)
    if isinstance(record, Mapping):
        return {key: _refilled(item, f"{prefix}.{key}", named) for key, item in record.items()}
    if isinstance(record, tuple):
        items = enumerate(record)
        return tuple(_refilled(item, f"{prefix}[{i}]", named) for i, item in items)
    if not dataclasses.is_dataclass(record):
        return record
    fields = [field.name for field in dataclasses.fields(record)]
    changes = {name: _refilled(getattr(record, name), f"{prefix}.{name}", named) for name in fields}
    return dataclasses.replace(record, **changes)
