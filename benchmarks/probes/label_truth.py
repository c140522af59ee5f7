"""The law that ties losses to labels: a prediction that equals its label costs least."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.truth import (
    KnownHands,
    hand_of,
    hands,
    known_hands,
    losses_of,
    reads_labels,
    said_by,
    steps_from,
    with_truthful_aux,
)
from benchmarks.subject import Subject
from zoo.contracts import Finding, HandMesh, Prediction

HANDS = 2
GAIN = 0.03  # of a gross error's cost: so much a step away from the truth may lower the loss
FREE = 0.5  # of a gross error's cost: the truth itself may cost no more


@dataclass(frozen=True)
class Step:
    """A prediction some way from the truth, or the truth itself ("truth"), and its mesh."""

    name: str
    prediction: Prediction
    mesh: HandMesh


class TruthCostsLeast:
    """Every loss is smallest where prediction and label agree, hand by hand.

    The model's own hand is both label and prediction, then is moved, turned, bent and reshaped,
    a little and grossly, both ways. Causes: a projection normalised twice (UTNet V1), another
    order (V4) or frame, a residual against an absolute pose. It needs no knowledge of the loss.
    """

    id: ClassVar[str] = "label.truth"
    family: ClassVar[str] = "label"
    law: ClassVar[str] = "No step away from its label makes a prediction cheaper."
    see: ClassVar[str] = "docs/probes.md#label-truth"

    def __call__(self, subject: Subject) -> ProbeResult:
        losses, known = losses_of(subject), known_hands(subject, HANDS)
        said, mesh = said_by(subject, known.view)
        steps = posed(subject, known, said.aux)
        evidence: dict[str, Any] = {}
        findings = []
        for name, term in losses.items():
            if not reads_labels(term, said, mesh, known.target):
                evidence[name] = "reads no label"
            elif missing := set(getattr(term, "needs", ())) - set(steps[0].prediction.aux):
                evidence[name] = f"reads {', '.join(sorted(missing))}, whose truth is not known"
            else:
                costs = costs_of(term, known, steps)
                evidence[name] = told(costs)
                path = f"model.losses.{name}"
                findings += self._judge(path, costs) or _turned_round(path, term, costs)
        if all(isinstance(told_of, str) for told_of in evidence.values()):
            raise Unrunnable("no loss compares with a label whose truth is known here")
        return ProbeResult(tuple(findings), {"costs": evidence})

    def _judge(self, path: str, costs: Mapping[str, Tensor]) -> list[Finding]:
        truth = costs["truth"]
        gross = torch.stack([cost for name, cost in costs.items() if "gross" in name]).amax(0)
        scale = float(gross.mean())
        if not torch.isfinite(torch.stack(list(costs.values()))).all():
            return []  # numeric.* says so
        if scale <= 0 or float((gross - truth).abs().amax()) <= 1e-6 * scale:
            return []  # the term looks at nothing that was changed, such as another camera
        gains = {name: float((truth - cost).amax()) / scale for name, cost in costs.items()}
        best = max(gains, key=gains.__getitem__)
        share = float(truth.mean()) / scale
        if gains[best] <= GAIN and share <= FREE:
            return []
        cheaper = gains[best] > GAIN
        what = (
            f"a step of '{best}' away from the label lowers the loss by {gains[best]:.0%} of what "
            "a gross error costs"
            if cheaper
            else f"the truth costs {share:.0%} of what a gross error costs"
        )
        return [
            Finding(
                id=f"{self.id}/{'cheaper' if cheaper else 'dear'}",
                severity="error",
                path=path,
                message=f"A prediction equal to its label is not the best one: {what}. Prediction "
                "and label differ in unit, range, order or frame inside this loss.",
                evidence={"gain": gains[best], "step": best, "truth": share, "priority": 0},
            )
        ]


def _turned_round(path: str, term: Any, costs: Mapping[str, Tensor]) -> list[Finding]:
    """A term that is right, whose weight makes its errors cheap."""
    weight = float(getattr(term, "weight", 1.0))
    if weight >= 0 or not any(bool((cost != costs["truth"]).any()) for cost in costs.values()):
        return []
    return [
        Finding(
            id=f"{TruthCostsLeast.id}/weight",
            severity="error",
            path=f"{path}.weight",
            message=f"A weight of {weight:g} rewards every step away from the label: this term is "
            "trained to grow, which the sum of all terms hides.",
            evidence={"weight": weight, "priority": 0},
            fix=(f"{path}.weight={-weight:g}",),
        )
    ]


def posed(subject: Subject, known: KnownHands, said: Mapping[str, Tensor]) -> list[Step]:
    """The truth and every step from it, posed and placed by the model's hand in one go."""
    named = [("truth", known.truth), *steps_from(known.truth)]
    count = len(known.truth)
    with torch.no_grad():
        whole = _joined([prediction for _, prediction in named])
        mesh = hand_of(subject).place(whole)
        whole = with_truthful_aux(whole, said)
    rows = [slice(i * count, (i + 1) * count) for i in range(len(named))]
    return [
        Step(name, hands(whole, row), hands(mesh, row))
        for (name, _), row in zip(named, rows, strict=True)
    ]


def costs_of(term: Any, known: KnownHands, steps: list[Step]) -> dict[str, Tensor]:
    """What each step costs each hand by itself: name -> (hands,)."""
    alone = range(len(known.truth))
    with torch.no_grad():
        return {
            step.name: torch.stack(
                [
                    term(hands(step.prediction, i), hands(step.mesh, i), hands(known.target, i))
                    for i in alone
                ]
            )
            for step in steps
        }


def told(costs: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean costs over hands, for a table."""
    return {name: float(cost.mean()) for name, cost in costs.items()}


def _joined(predictions: list[Prediction]) -> Prediction:
    """Predictions one below the other; all of one model, without aux."""
    first = predictions[0]
    camera = first.camera
    return Prediction(
        rotmats=torch.cat([p.rotmats for p in predictions]),
        betas=torch.cat([p.betas for p in predictions]),
        camera=type(camera)(
            torch.cat([p.camera.position for p in predictions]),
            camera.anchor,
            torch.cat([p.camera.intrinsics for p in predictions]),
        ),
    )
