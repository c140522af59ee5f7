"""Do losses measure turns by how far they lead, or by the numbers they are written in?"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.label_truth import Step, costs_of, told
from benchmarks.probes.truth import (
    KnownHands,
    hand_of,
    known_hands,
    losses_of,
    reads_labels,
    said_by,
    target_of,
    with_truthful_aux,
)
from benchmarks.subject import Subject
from zoo.contracts import Finding
from zoo.geometry.representation import REPRESENTATIONS
from zoo.geometry.rotation import rotvec_to_rotmat

SHORT = 0.02  # rad before a half turn, where the labels stand
SMALL, LARGE = 0.05, 1.0  # rad; the small step crosses the half turn
_AXES = torch.eye(3)

Severity = Literal["error", "info"]


class HalfTurns:
    """A hand turned a little from its label costs less than one turned by a radian.

    The labels stand just before a half turn about each axis, where an upright hand's wrist does
    in OpenCV's axes. Causes: differences of rotation vectors, whose sign turns round there, of
    angles without their period, of quaternions without their double cover: a hand that is all but
    right is then pulled all the way round. An info where the recipe names the representation
    whose numbers a term compares, for CS-ViT2 is published so.
    """

    id: ClassVar[str] = "numeric.turns"
    family: ClassVar[str] = "numeric"
    law: ClassVar[str] = "A small turn costs less than a large one, across a half turn too."
    see: ClassVar[str] = "docs/probes.md#numeric-turns"

    def __call__(self, subject: Subject) -> ProbeResult:
        losses, known = losses_of(subject), known_hands(subject, len(_AXES))
        said, mesh = said_by(subject, known.view)
        known, steps = _turned(subject, known, said.aux)
        evidence: dict[str, Any] = {}
        findings = []
        for name, term in losses.items():
            unknown = set(getattr(term, "needs", ())) - set(steps[0].prediction.aux)
            switched_off = getattr(term, "weight", 1.0) == 0
            if switched_off or unknown or not reads_labels(term, said, mesh, known.target):
                continue
            costs = costs_of(term, known, steps)
            evidence[name] = told(costs)
            meant = _written_so(term, steps)
            findings += self._judge(f"model.losses.{name}", costs, "info" if meant else "error")
        if not evidence:
            raise Unrunnable("no loss compares with a label whose truth is known here")
        return ProbeResult(tuple(findings), {"costs": evidence})

    def _judge(self, path: str, costs: dict[str, Tensor], severity: Severity) -> list[Finding]:
        small, large = costs["small"], costs["large"]
        if not torch.isfinite(torch.stack([small, large])).all() or bool((small <= large).all()):
            return []
        ratio = float((small / large.clamp(min=1e-9)).amax())
        return [
            Finding(
                id=f"{self.id}/wrapped",
                severity=severity,
                path=path,
                message=f"Across a half turn an error of {SMALL} rad costs {ratio:.2g} times what "
                f"one of {LARGE:g} rad costs: this loss compares the numbers of rotations "
                "(vectors, angles, quaternions), which jump there. Compare matrices, or the angle "
                "between them.",
                evidence={"ratio": ratio},
            )
        ]


def _written_so(term: Any, steps: list[Step]) -> bool:
    """Whether a term names the representation it compares, and that one jumps by itself."""
    written = REPRESENTATIONS.get(getattr(term, "representation", ""))
    if written is None:
        return False
    truth, small, large = (written.from_rotmat(s.prediction.rotmats[:, :1]) for s in steps)
    return bool(((small - truth).abs().amax(-1) > (large - truth).abs().amax(-1)).any())


def _turned(
    subject: Subject, known: KnownHands, said: dict[str, Tensor]
) -> tuple[KnownHands, list[Step]]:
    """Hands labelled just before a half turn, and predictions at, a little and far beyond them."""

    def at(step: float) -> Step:
        rotmats = known.truth.rotmats.clone()
        rotmats[:, 0] = rotvec_to_rotmat(_AXES * (math.pi - SHORT + step)).to(rotmats)
        prediction = dataclasses.replace(known.truth, rotmats=rotmats)
        with torch.no_grad():
            mesh = hand_of(subject).place(prediction)
        name = {0.0: "truth", SMALL: "small", LARGE: "large"}[step]
        return Step(name, with_truthful_aux(prediction, said), mesh)

    truth, *others = (at(step) for step in (0.0, SMALL, LARGE))
    target = target_of(truth.prediction, truth.mesh)
    labelled = dataclasses.replace(known, truth=truth.prediction, target=target)
    return labelled, [truth, *others]
