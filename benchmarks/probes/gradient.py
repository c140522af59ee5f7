"""Do the losses reach what they should train, and in what proportion?"""

from __future__ import annotations

from typing import ClassVar

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject, component
from zoo.contracts import Finding

HANDS = 8


class Reach:
    """Every trainable parameter receives a gradient from some weighted loss term."""

    id: ClassVar[str] = "gradient.reach"
    family: ClassVar[str] = "gradient"
    law: ClassVar[str] = "Every trainable parameter receives a gradient from some loss term."
    see: ClassVar[str] = "docs/probes.md#gradient-reach"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Components none of whose parameters is moved by the total loss."""
        model = subject.fresh_model().train()
        view, target = subject.batch(HANDS, training=True)
        terms = model.loss_terms(model.predict_hand(view), model.hand.place_target(target))
        if not terms:
            raise Unrunnable("the model has no loss terms")
        sum(terms.values()).backward()
        reached: dict[str, bool] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                part = component(name)
                got = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
                reached[part] = reached.get(part, False) or got
        idle = [part for part, got in reached.items() if not got]
        findings = tuple(
            Finding(
                id=f"{self.id}/none",
                severity="error",
                path=part,
                message=f"No loss term trains {part}: its gradient is zero.",
            )
            for part in idle
        )
        return ProbeResult(findings, {"reached": reached})
