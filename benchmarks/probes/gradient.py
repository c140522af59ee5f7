"""Do the losses reach what they should train, and in what proportion?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.answers import MAPS, POSE_NAME
from benchmarks.gradients import GradientMatrix, comparing_terms, config_path, gradient_matrix
from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject, component
from registry.layout import at
from zoo.contracts import Finding, Prediction

DEAD_SHARE = 1e-4  # of the gradient where terms share weights; healthy terms have 4e-4 up
WORST_CLIP = 5000.0  # gradient norms in units of max_norm; healthy recipes start at 10 to 1500
FEATURES = "model.backbone"
ROUNDING = 1e-5  # of a term's strongest pull: a root-relative loss leaves so much on the position
OUTPUTS = {
    "orientation": ("model.head", "the hand's orientation"),
    "fingers": ("model.head", "the finger joints"),
    "betas": ("model.head", "the shape (betas)"),
    "position": ("model.head.camera", "the translation"),
}


class Reach:
    """Which term trains what: a matrix of loss terms, outputs and components.

    A term without a gradient trains nothing even if its value falls; a parameter without one
    stays as it was drawn although the answer depends on it. Layers that start at zero are given
    two steps to open first.
    """

    id: ClassVar[str] = "gradient.reach"
    family: ClassVar[str] = "gradient"
    law: ClassVar[str] = (
        "Every weighted loss term trains something, and everything the answer depends on is "
        "trained by some term."
    )
    see: ClassVar[str] = "docs/probes.md#gradient-reach"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Terms that train nothing, and parameters nothing trains."""
        matrix = _matrix(subject)
        findings = [
            *self._dead_terms(subject, matrix),
            *self._idle(subject, matrix),
            *self._unpulled(matrix),
        ]
        return ProbeResult(tuple(findings), dataclasses.asdict(matrix))

    def _dead_terms(self, subject: Subject, matrix: GradientMatrix) -> Iterator[Finding]:
        for term in matrix.dead:
            path = config_path(term)
            weight = at(subject.config or {}, f"{path}.weight", 1.0)
            yield Finding(
                id=f"{self.id}/dead-term",
                severity="error" if weight else "warning",
                path=path,
                message=f"The term {term} trains nothing: its gradient is zero at every parameter, "
                + ("although its weight is not." if weight else "for its weight is zero."),
                evidence={"value": matrix.values[term], "weight": weight, "gradient": 0.0},
                fix=() if weight else (f"{path}.weight=1.0",),
            )

    def _idle(self, subject: Subject, matrix: GradientMatrix) -> Iterator[Finding]:
        """Idle parameters by component; harmless where the answer does not depend on them."""
        by_part: dict[str, list[str]] = {}
        for name in matrix.idle:
            by_part.setdefault(component(name), []).append(name)
        for part, names in by_part.items():
            needed = _answer_depends_on(subject, names)
            whole = matrix.total.get(part, 0.0) == 0.0
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
            what = f"No loss term trains {'' if whole else f'{len(names)} tensors of '}{part}"
            yield Finding(
                id=f"{self.id}/untrained",
                severity="error" if needed else "info",
                path=part,
                message=f"{what} ({shown}), "
                + ("on which the answer depends." if needed else "and no answer depends on them."),
                evidence={"tensors": len(names), "gradient": 0.0, "names": shown, "priority": 0},
            )

    def _unpulled(self, matrix: GradientMatrix) -> Iterator[Finding]:
        """Outputs no term compares with a label; read-outs may move all the same, by accident."""
        pulled: set[str] = set()
        for row in matrix.by_output.values():
            strongest = max(row.values(), default=0.0)
            pulled |= {name for name, norm in row.items() if norm > ROUNDING * strongest}
        aux = {name for name in pulled if name not in OUTPUTS}
        if any(name.startswith(POSE_NAME) for name in aux):
            pulled |= {"orientation", "fingers"}
        if any(name.startswith(MAPS) for name in aux):
            pulled.add("position")
        if any(not name.startswith((POSE_NAME, MAPS)) for name in aux):
            return  # what an unknown output of the head stands for cannot be told
        for output, (path, what) in OUTPUTS.items():
            if output not in pulled:
                yield Finding(
                    id=f"{self.id}/unpulled",
                    severity="error",
                    path=path,
                    message=f"No loss term pulls on {what}: it is untrained.",
                    evidence={"output": output, "gradient": 0.0, "priority": 0},
                )


class Share:
    """How much each term moves the weights that it shares with others.

    At the backbone for terms that compare with labels. Priors and critics steer few numbers, so
    they may have their say at the one tensor where their share is largest.
    """

    id: ClassVar[str] = "gradient.share"
    family: ClassVar[str] = "gradient"
    law: ClassVar[str] = "No weighted loss term is drowned by the others where they share weights."
    see: ClassVar[str] = "docs/probes.md#gradient-share"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Terms with less than a ten-thousandth of the gradient."""
        matrix = _matrix(subject)
        part = max(matrix.total, key=matrix.total.get)
        if not matrix.total[part]:
            raise Unrunnable("no loss term has a gradient (see gradient.reach)")
        part = FEATURES if matrix.total.get(FEATURES) else part
        shares = {t: matrix.share(t, part) for t in matrix.values if t not in matrix.dead}
        alive = {t: share for t, share in shares.items() if share > 0}
        comparing = comparing_terms(subject)
        findings = tuple(
            self._finding(subject, t, alive, part, matrix.felt[t])
            for t in alive
            if 0 < (alive[t] if t in comparing else max(alive[t], matrix.felt[t])) < DEAD_SHARE
        )
        more = {"largest": matrix.felt, "cosine": matrix.cosine}
        return ProbeResult(findings, {"component": part, "shares": shares, **more})

    def _finding(
        self, subject: Subject, term: str, shares: dict[str, float], part: str, largest: float
    ) -> Finding:
        strongest = max(shares, key=shares.get)
        ratio = shares[strongest] / shares[term]
        path, loud = config_path(term), config_path(strongest)
        weight = at(subject.config or {}, f"{loud}.weight")
        fix = (f"{loud}.weight={weight / ratio * 10:.2g}",) if weight else ()
        if at(subject.config or {}, f"{loud}.unit") == "mm":
            fix = (f"{loud}.unit=m", *fix)
        return Finding(
            id=f"{self.id}/drowned",
            severity="warning",
            path=path,
            message=f"{term} is dead: it has {shares[term]:.1e} of the gradient at {part}, where "
            f"{strongest} has {shares[strongest]:.0%} ({ratio:.0f} times as much). Look at units "
            "(m or mm), reductions and weights.",
            evidence={"share": shares[term], "largest": largest, "ratio": ratio},
            fix=fix,
        )


class Clip:
    """Whether clipping trims rare peaks, or decides the length of every step."""

    id: ClassVar[str] = "gradient.clip"
    family: ClassVar[str] = "gradient"
    law: ClassVar[str] = "The gradient is of the order that its clipping expects."
    see: ClassVar[str] = "docs/probes.md#gradient-clip"

    def __call__(self, subject: Subject) -> ProbeResult:
        """A gradient far above, or a clip far below, what either was made for."""
        limit = at(subject.config or {}, "optim_wrapper.clip_grad.max_norm")
        if limit is None:
            raise Unrunnable("the recipe does not clip gradients")
        norm = _matrix(subject).norm
        ratio = norm / limit if limit > 0 else float("inf")
        evidence = {"norm": norm, "max_norm": limit, "ratio": ratio}
        if ratio < WORST_CLIP:
            return ProbeResult((), evidence)
        finding = Finding(
            id=f"{self.id}/always",
            severity="warning",
            path="optim_wrapper.clip_grad",
            message=f"The first gradient is {ratio:.0f} times max_norm: every step is clipped, and "
            "only its direction, which the largest term decides, is left.",
            evidence=evidence,
            fix=(f"optim_wrapper.clip_grad.max_norm={norm:.2g}",),
        )
        return ProbeResult((finding,), evidence)


class Optimised:
    """What asks for a gradient is what the optimiser moves, and a frozen part rests."""

    id: ClassVar[str] = "gradient.optimised"
    family: ClassVar[str] = "gradient"
    law: ClassVar[str] = (
        "The parameters that ask for gradients are those the optimiser holds, each once and at a "
        "rate above zero; a part declared frozen has none."
    )
    see: ClassVar[str] = "docs/probes.md#gradient-optimised"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Parameters that are differentiated but never moved, or held but frozen."""
        model = subject.fresh_model()
        groups = subject.optimizer(model).param_groups
        rates: dict[int, list[float]] = {}
        for group in groups:
            for parameter in group["params"]:
                rates.setdefault(id(parameter), []).append(group["lr"])
        findings: list[Finding] = []
        counts: dict[str, dict[str, int]] = {}
        for name, parameter in model.named_parameters():
            kind = _standing(parameter, rates.get(id(parameter), []))
            row = counts.setdefault(component(name), {})
            row[kind] = row.get(kind, 0) + parameter.numel()
        for part, row in counts.items():
            findings += self._judged(part, row)
        findings += self._frozen(subject, model)
        return ProbeResult(tuple(findings), {"parameters": counts})

    def _judged(self, part: str, row: dict[str, int]) -> Iterator[Finding]:
        told = {
            "left out": ("error", "ask for gradients, but no group of the optimiser holds them"),
            "held twice": ("error", "stand in two groups of the optimiser and move twice a step"),
            "rate zero": ("warning", "are differentiated and clipped with, but their rate is zero"),
        }
        for kind, (severity, what) in told.items():
            if row.get(kind):
                yield Finding(
                    id=f"{self.id}/{kind.replace(' ', '-')}",
                    severity=severity,
                    path=part,
                    message=f"{row[kind]} parameters of {part} {what}.",
                    evidence={"parameters": row[kind], "of": sum(row.values())},
                )

    def _frozen(self, subject: Subject, model: nn.Module) -> Iterator[Finding]:
        for key in ("backbone", "neck", "head", "temporal"):
            path = f"model.{key}"
            part = getattr(model, key, None)
            if part is None or at(subject.config or {}, f"{path}.frozen") is not True:
                continue
            asking = sum(p.numel() for p in part.parameters() if p.requires_grad)
            if asking:
                yield Finding(
                    id=f"{self.id}/not-frozen",
                    severity="error",
                    path=path,
                    message=f"{path}.frozen is true, but {asking} of its parameters ask for "
                    "gradients: memory is spent, and the clip norm is computed with them.",
                    evidence={"parameters": asking},
                )


def _matrix(subject: Subject) -> GradientMatrix:
    matrix = gradient_matrix(subject)
    if not matrix.values:
        raise Unrunnable("the model has no loss terms")
    return matrix


def _standing(parameter: nn.Parameter, rates: list[float]) -> str:
    if not parameter.requires_grad:
        return "frozen"
    if not rates:
        return "left out"
    if len(rates) > 1:
        return "held twice"
    return "rate zero" if rates[0] == 0 else "trained"


@torch.no_grad()
def _answer_depends_on(subject: Subject, names: list[str]) -> bool:
    """Whether the prediction changes when these parameters do."""
    model = subject.fresh_model().eval()
    view, _ = subject.shown(2, training=False)
    rng = torch.Generator().manual_seed(0)
    for parameter in model.parameters():  # opens layers that start at zero
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=rng))
    before = _numbers(model.predict_hand(view))
    parameters = dict(model.named_parameters())
    for name in names:
        parameter = parameters[name]
        parameter.add_(0.5 * torch.randn(parameter.shape, generator=rng))
    after = _numbers(model.predict_hand(view))
    return any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def _numbers(prediction: Prediction) -> list[Tensor]:
    aux: dict[str, Any] = dict(prediction.aux)
    return [prediction.rotmats, prediction.betas, prediction.camera.position, *aux.values()]
