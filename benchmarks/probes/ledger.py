"""Do the numbers that are added up mean what the recipe says, in units that fit together?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.answers import MAPS, answer, blind, truth
from benchmarks.gradients import config_path
from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject
from registry.layout import at
from zoo.contracts import Finding, HandTarget, Prediction

HANDS = 8
ROUNDING = 1e-4  # relative
WORST_START = 30.0  # times the value of an answer that never looks at the picture
WIDTHS = (0.3, 3.0, 10.0, 30.0)  # bins; which width of a heat map is best is the loss' business
WORST_MIX = 30.0  # times between the shares of two quantities that one term adds up


class Sum:
    """The bookkeeping of the loss: weights as written, nothing lost, nothing counted twice.

    UTNet's logs showed totals that were not the sum of their terms (V15).
    """

    id: ClassVar[str] = "ledger.sum"
    family: ClassVar[str] = "ledger"
    law: ClassVar[str] = (
        "Each term enters the total with the weight the recipe gives it, and the total is the sum "
        "of all terms; the same batch gives the same numbers twice."
    )
    see: ClassVar[str] = "docs/probes.md#ledger-sum"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Terms with another weight, and totals that are not the sum."""
        model, prediction, target = _start(subject)
        with torch.no_grad():
            terms = model.loss_terms(prediction, target)
            again = model.loss_terms(prediction, target)
            if not terms:
                raise Unrunnable("the model has no loss terms")
            ledger = {name: float(value) for name, value in terms.items()}
            findings = [*self._weights(subject, model, prediction, target, ledger)]
            findings += self._repeats(ledger, {n: float(v) for n, v in again.items()})
            evidence: dict[str, Any] = {"terms": ledger, "sum": sum(ledger.values())}
            if hasattr(model, "parse_losses"):
                total = float(model.parse_losses(terms)[0])
                evidence["total"] = total
                findings += self._total(total, ledger)
        return ProbeResult(tuple(findings), evidence)

    def _weights(
        self,
        subject: Subject,
        model: nn.Module,
        prediction: Prediction,
        target: HandTarget,
        ledger: Mapping[str, float],
    ) -> Iterator[Finding]:
        mesh = model.hand.place(prediction)
        for name, term in getattr(model, "losses", {}).items():
            path = f"model.losses.{name}"
            weight = at(subject.config or {}, f"{path}.weight", getattr(term, "weight", 1.0))
            expected = weight * float(term(prediction, mesh, target))
            found = ledger.get(f"loss_{name}", 0.0)
            if not _close(found, expected):
                yield Finding(
                    id=f"{self.id}/weight",
                    severity="error",
                    path=path,
                    message=f"{path} enters the total as {found:.4g}; its weight {weight:g} times "
                    f"its value is {expected:.4g}.",
                    evidence={"found": found, "expected": expected, "weight": weight},
                )

    def _total(self, total: float, ledger: Mapping[str, float]) -> Iterator[Finding]:
        expected = sum(ledger.values())
        if not _close(total, expected):
            left = [n for n in ledger if "loss" not in n]
            yield Finding(
                id=f"{self.id}/total",
                severity="error",
                path="model.losses",
                message=f"What is minimised is {total:.4g}, but the terms add up to {expected:.4g}"
                + (f"; a term enters only if its name holds 'loss' ({left})." if left else "."),
                evidence={"total": total, "sum": expected, "names": ", ".join(ledger)},
            )

    def _repeats(self, once: Mapping[str, float], twice: Mapping[str, float]) -> Iterator[Finding]:
        for term, value in once.items():
            if not _close(value, twice[term]):
                yield Finding(
                    id=f"{self.id}/repeat",
                    severity="error",
                    path=config_path(term),
                    message=f"{term} gives {value:.6g} and then {twice[term]:.6g} for the same "
                    "prediction and label.",
                    evidence={"first": value, "second": twice[term]},
                )


class Initial:
    """Each term at step 0 against an answer that never looks at the picture.

    That answer is the mean of the labels. A fresh model should not be many times worse: then a
    term's unit, scale or starting point is off (UTNet's shape prior stood at 70, V14).
    """

    id: ClassVar[str] = "ledger.initial"
    family: ClassVar[str] = "ledger"
    law: ClassVar[str] = (
        "At step 0 a term costs about what the mean of the labels costs, and less for the truth."
    )
    see: ClassVar[str] = "docs/probes.md#ledger-initial"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Terms that start far above the blind answer, or do not prefer the truth to it."""
        model, prediction, target = _start(subject)
        with torch.no_grad():
            rows = {
                "start": _terms(model, prediction, target),
                "blind": _terms(model, blind(prediction, target), target),
                "truth": _terms(model, truth(prediction, target), target),
            }
            for bins in WIDTHS if _has_maps(prediction) else ():
                other = _terms(model, truth(prediction, target, bins), target)
                rows["truth"] = {t: min(v, other[t]) for t, v in rows["truth"].items()}
        evidence = {t: {n: row[t] for n, row in rows.items()} for t in rows["start"]}
        if not evidence:
            raise Unrunnable("the model has no loss terms")
        findings: list[Finding] = []
        for term, row in evidence.items():
            findings += self._judged(term, row, prediction.camera.anchor)
        return ProbeResult(tuple(findings), {"terms": evidence})

    def _judged(self, term: str, row: Mapping[str, float], anchor: str) -> Iterator[Finding]:
        start, constant, true = row["start"], row["blind"], row["truth"]
        if constant > 0 and start > WORST_START * constant:
            yield Finding(
                id=f"{self.id}/high",
                severity="warning",
                path=config_path(term),
                message=f"{term} starts at {start:.3g}, {start / constant:.0f} times what the mean "
                f"of the labels costs ({constant:.3g}).",
                evidence=dict(row),
            )
        if anchor == "wrist" and true > constant * (1 + ROUNDING) and constant > 0:
            yield Finding(
                id=f"{self.id}/truth",
                severity="error",
                path=config_path(term),
                message=f"{term} prefers the mean of the labels ({constant:.3g}) to the labels "
                f"themselves ({true:.3g}): it does not compare like with like.",
                evidence=dict(row),
            )


class Units:
    """Whether a term that adds up different quantities gives each of them weight.

    Two quantities are added up where the errors of both cost what each costs alone. A term on
    millimetres, radians and betas is then a term on millimetres (csvit2_old's parameter loss).
    """

    id: ClassVar[str] = "ledger.units"
    family: ClassVar[str] = "ledger"
    law: ClassVar[str] = "No loss term adds up quantities of different units as if they were one."
    see: ClassVar[str] = "docs/probes.md#ledger-units"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Terms in which one quantity outweighs another by more than a factor of 30."""
        model, prediction, target = _start(subject)
        if not getattr(model, "losses", None):
            raise Unrunnable("the model has no named loss terms to ask one by one")
        findings, evidence = [], {}
        for name, term in model.losses.items():
            with torch.no_grad():
                shares = self._shares(model, term, prediction, target)
            if shares:
                evidence[name] = shares
                findings += self._judged(f"model.losses.{name}", shares)
        return ProbeResult(tuple(findings), {"shares": evidence})

    def _shares(
        self, model: nn.Module, term: nn.Module, wrong: Prediction, target: HandTarget
    ) -> dict[str, float]:
        """Cost of each quantity's error alone; empty unless the term adds them up."""
        right = truth(wrong, target)
        parts = {
            "rotations": {"rotmats": wrong.rotmats},
            "betas": {"betas": wrong.betas},
            "position": {"position": blind(wrong, target).camera.position},
        }
        whole = {"rotmats": right.rotmats, "betas": right.betas}
        whole["position"] = right.camera.position
        none = _value(model, term, answer(wrong, **whole), target)
        costs = {
            n: _value(model, term, answer(wrong, **{**whole, **part}), target) - none
            for n, part in parts.items()
        }
        everything = {key: value for part in parts.values() for key, value in part.items()}
        together = _value(model, term, answer(wrong, **everything), target) - none
        felt = {n: cost for n, cost in costs.items() if cost > ROUNDING * abs(together)}
        added_up = abs(sum(felt.values()) - together) < 1e-3 * abs(together)
        return felt if len(felt) > 1 and added_up else {}

    def _judged(self, path: str, shares: Mapping[str, float]) -> Iterator[Finding]:
        loudest, faintest = max(shares, key=shares.get), min(shares, key=shares.get)
        ratio = shares[loudest] / max(shares[faintest], 1e-12)
        if ratio > WORST_MIX:
            whole = sum(shares.values())
            told = ", ".join(f"{name} {value / whole:.1%}" for name, value in shares.items())
            yield Finding(
                id=f"{self.id}/mixed",
                severity="warning",
                path=path,
                message=f"{path} adds up quantities of different units, and is a loss on the "
                f"{loudest}: {told}.",
                evidence={**shares, "ratio": ratio, "priority": 1},
            )


def _start(subject: Subject) -> tuple[nn.Module, Prediction, HandTarget]:
    """A fresh model in evaluation mode, what it says of a batch, and the placed labels."""
    model = subject.fresh_model().eval()
    view, target = subject.shown(HANDS, training=False)
    with torch.no_grad():
        return model, model.predict_hand(view), model.hand.place_target(target)


def _terms(model: nn.Module, prediction: Prediction, target: HandTarget) -> dict[str, float]:
    return {name: float(value) for name, value in model.loss_terms(prediction, target).items()}


def _has_maps(prediction: Prediction) -> bool:
    return any(name.startswith(MAPS) for name in prediction.aux)


def _value(model: nn.Module, term: nn.Module, said: Prediction, target: HandTarget) -> float:
    value: Tensor = term(said, model.hand.place(said), target)
    return float(value)


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= ROUNDING * max(abs(a), abs(b), 1e-6)
