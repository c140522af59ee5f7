"""Is the gradient of a loss the slope of its value?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.answers import CENTERS, Leaves, direction, leaves, moved
from benchmarks.gradients import config_path
from benchmarks.probe import ProbeResult
from benchmarks.subject import Subject
from registry.layout import at
from zoo.contracts import Finding, HandTarget

HANDS, DIRECTIONS, STEP = 4, 3, 3e-3
TOLERANCE = 0.25  # of the slope; by as much a gradient may lie beyond the slopes of both sides
VISIBLE = 1e-5  # of a term's value: a smaller change along a step is rounding

Slope = tuple[float, float, float]  # measured, claimed, how far apart
Table = dict[str, dict[str, list[Slope]]]  # term, output, one a direction


class Derivative:
    """Every output is moved a little, and the change is compared with what the gradient says.

    A term whose value follows an output that its gradient does not (a forgotten no_grad or
    detach, P-10) falls only by accident; one whose gradient has another length or sign trains
    something else than it shows.
    """

    id: ClassVar[str] = "gradient.derivative"
    family: ClassVar[str] = "gradient"
    law: ClassVar[str] = "The gradient of a term, and of the posed hand, is the slope of its value."
    see: ClassVar[str] = "docs/probes.md#gradient-derivative"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Finite differences against autograd, for the hand model and for every term."""
        model = subject.fresh_model().eval()
        view, target = subject.shown(HANDS, training=False)
        target = model.hand.place_target(target)
        leaf = leaves(model.predict_hand(view))
        outputs = [name for name in leaf.tensors if not name.startswith(CENTERS)]
        table: Table = {}
        for name in outputs:
            rng = torch.Generator().manual_seed(len(name))
            for _ in range(DIRECTIONS):
                for term, slope in self._slopes(model, leaf, target, name, rng).items():
                    table.setdefault(term, {}).setdefault(name, []).append(slope)
        values = {t: float(v.detach()) for t, v in _values(model, leaf, target).items()}
        findings = list(self._judge(subject, table, values))
        if any(finding.path == "model.hand" for finding in findings):  # the cause of all others
            findings = [finding for finding in findings if finding.path == "model.hand"]
        evidence = {t: {o: _summary(p) for o, p in row.items()} for t, row in table.items()}
        return ProbeResult(tuple(findings), evidence)

    def _slopes(
        self,
        model: nn.Module,
        leaf: Leaves,
        target: HandTarget,
        output: str,
        rng: torch.Generator,
    ) -> dict[str, Slope]:
        """Measured and claimed slope of every term along a random direction of one output.

        Where an absolute value has its kink within the step, the slopes before and behind differ,
        and any gradient between them is right.
        """
        way = direction(leaf, output, rng)
        amount = torch.zeros((), requires_grad=True)
        here = _values(model, leaf, target, **{output: moved(leaf, output, way, amount)})
        with torch.no_grad():
            up = _values(model, leaf, target, **{output: moved(leaf, output, way, STEP)})
            down = _values(model, leaf, target, **{output: moved(leaf, output, way, -STEP)})
        slopes = {}
        for term, value in here.items():
            claimed = 0.0
            if value.requires_grad:
                found = torch.autograd.grad(value, amount, retain_graph=True, allow_unused=True)[0]
                claimed = 0.0 if found is None else float(found)
            now = value.detach()
            sides = (float(now - down[term]) / STEP, float(up[term] - now) / STEP)
            apart = max(min(sides) - claimed, claimed - max(sides), 0.0)
            slopes[term] = (sum(sides) / 2, claimed, apart)
        return slopes

    def _judge(self, subject: Subject, table: Table, values: dict[str, float]) -> Iterator[Finding]:
        for term, row in table.items():
            path = "model.hand" if term == "hand" else config_path(term)
            for output, slopes in row.items():
                measured, claimed, apart = _summary(slopes)
                size = max(measured, claimed)
                silent = size * STEP < VISIBLE * max(abs(values[term]), 1e-9)
                if silent or apart < TOLERANCE * size or _meant(subject, path, output):
                    continue
                lost = claimed < 0.01 * measured
                yield Finding(
                    id=f"{self.id}/{'lost' if lost else 'wrong'}",
                    severity="error",
                    path=path,
                    message=f"{path} follows {output} (slope {measured:.2g}), but its gradient "
                    + (
                        "is zero there: something cuts it off."
                        if lost
                        else f"says {claimed:.2g}: it is not the slope of the value."
                    ),
                    evidence={"output": output, "slope": measured, "gradient": claimed},
                )


def _values(
    model: nn.Module, leaf: Leaves, target: HandTarget, **changed: Tensor
) -> dict[str, Tensor]:
    prediction = leaf.prediction(**changed)
    mesh = model.hand.place(prediction)
    weights = torch.linspace(0.5, 1.5, mesh.joints[0].numel()).view_as(mesh.joints[0])
    posed = (mesh.joints * weights).sum(-1).mean() + mesh.vertices.square().mean()
    return {"hand": posed, **model.loss_terms(prediction, target)}


def _summary(slopes: list[Slope]) -> Slope:
    """Mean sizes of measured and claimed slopes, and how far apart they are."""
    sizes = [[abs(number) for number in slope] for slope in slopes]
    measured, claimed, apart = (sum(column) / len(slopes) for column in zip(*sizes, strict=True))
    return measured, claimed, apart


def _meant(subject: Subject, path: str, output: str) -> bool:
    """Whether the config itself asks for a gradient to be cut there."""
    config = subject.config or {}
    if output == "betas" and path != "model.hand":
        return bool(at(config, "model.detach_betas"))
    if output in ("orientation", "fingers", "position"):
        return bool(at(config, f"{path}.detach_wrist"))
    return False
