"""How every loss term pulls on every output and every component, measured once for all probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.answers import Leaves, leaves, partly_labelled
from benchmarks.subject import Subject, component
from zoo.contracts import CropView, HandTarget

HANDS = 8
SETTLING_STEPS = 2  # of Adam, after which layers that start at zero let gradients through


@dataclass(frozen=True)
class GradientMatrix:
    """Norms of the gradient of each weighted loss term at the start of training."""

    values: Mapping[str, float]  # term -> weighted value
    by_output: Mapping[str, Mapping[str, float]]  # term -> output of the prediction -> norm
    by_component: Mapping[str, Mapping[str, float]]  # term -> "model.backbone" -> norm
    total: Mapping[str, float]  # component -> norm of the total loss' gradient
    cosine: Mapping[str, Mapping[str, float]]  # term -> term -> cosine over all parameters
    felt: Mapping[str, float]  # term -> its largest share of any weight another term trains too
    idle: tuple[str, ...]  # parameters that ask for a gradient and get none, now or later
    dead: tuple[str, ...]  # terms without any gradient, whatever is labelled

    @property
    def norm(self) -> float:
        """Of the total loss over all parameters."""
        return sum(value**2 for value in self.total.values()) ** 0.5

    def share(self, term: str, part: str) -> float:
        """The term's part in the sum of all terms' norms at one component."""
        everything = sum(row.get(part, 0.0) for row in self.by_component.values())
        return self.by_component[term].get(part, 0.0) / everything if everything else 0.0


def gradient_matrix(subject: Subject) -> GradientMatrix:
    """The subject's matrix, measured when first asked for."""
    return subject.remember("gradient matrix", lambda: _measure(subject))


def config_path(term: str) -> str:
    """Where a term of `loss_terms` stands in the config: "loss_wrist" is model.losses.wrist."""
    name = term.removeprefix("loss_")
    return "model.supervise_earlier" if name == "earlier" else f"model.losses.{name}"


def losses_of(model: nn.Module, view: CropView, target: HandTarget) -> dict[str, Tensor]:
    """The weighted terms of a batch, the labelled surface filled in."""
    return model.loss_terms(model.predict_hand(view), model.hand.place_target(target))


@torch.no_grad()
def comparing_terms(subject: Subject) -> frozenset[str]:
    """The terms that other labels would change: not a prior on shape, nor what a critic says."""
    model = subject.fresh_model().train()
    view, target = subject.shown(HANDS, training=True)
    target, prediction = model.hand.place_target(target), model.predict_hand(view)
    own = model.loss_terms(prediction, target)
    others = model.loss_terms(prediction, target.map(lambda label: label.roll(1, 0)))
    return frozenset(name for name in own if not torch.equal(own[name], others[name]))


def _measure(subject: Subject) -> GradientMatrix:
    model = subject.fresh_model().train()
    view, target = subject.shown(HANDS, training=True)
    target = model.hand.place_target(target)
    prediction = model.predict_hand(view)
    terms = model.loss_terms(prediction, target)
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    flat = {name: _gradients(term, [p for _, p in named]) for name, term in terms.items()}
    dead = [name for name, grads in flat.items() if not any(g is not None for g in grads)]
    if dead:
        mixed = losses_of(model, view, partly_labelled(target))
        dead = [n for n in dead if not _moves(mixed[n], [p for _, p in named])]
    total = [_sum(column) for column in zip(*flat.values(), strict=True)]
    idle = [name for (name, _), gradient in zip(named, total, strict=True) if gradient is None]
    return GradientMatrix(
        values={name: float(term.detach()) for name, term in terms.items()},
        by_output=_by_output(model, leaves(prediction), target),
        by_component={n: _by_component(named, grads) for n, grads in flat.items()},
        total=_by_component(named, total),
        cosine=_cosines(flat),
        felt=_felt(flat),
        idle=_still_idle(model, view, target, idle),
        dead=tuple(dead),
    )


def _gradients(term: Tensor, parameters: list[Tensor]) -> list[Tensor | None]:
    """None where a gradient is missing or zero throughout."""
    if not term.requires_grad:
        return [None] * len(parameters)
    found = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    return [g if g is not None and bool(g.count_nonzero()) else None for g in found]


def _moves(term: Tensor, parameters: list[Tensor]) -> bool:
    return any(gradient is not None for gradient in _gradients(term, parameters))


def _by_output(model: nn.Module, leaf: Leaves, target: HandTarget) -> dict[str, dict[str, float]]:
    free = {name: t for name, t in leaf.tensors.items() if t.requires_grad}
    rows = {}
    for term, value in model.loss_terms(leaf.prediction(), target).items():
        found = _gradients(value, list(free.values()))
        rows[term] = {
            name: 0.0 if g is None else float(g.norm()) for name, g in zip(free, found, strict=True)
        }
    return rows


def _by_component(
    named: list[tuple[str, Tensor]], gradients: Iterable[Tensor | None]
) -> dict[str, float]:
    squares: dict[str, float] = {}
    for (name, _), gradient in zip(named, gradients, strict=True):
        part = component(name)
        more = 0.0 if gradient is None else float(gradient.double().square().sum())
        squares[part] = squares.get(part, 0.0) + more
    return {part: square**0.5 for part, square in squares.items()}


def _felt(flat: Mapping[str, list[Tensor | None]]) -> dict[str, float]:
    """Where a term has the largest share of all terms' norms; 0 where it shares no weight."""
    norms = {t: [0.0 if g is None else float(g.norm()) for g in row] for t, row in flat.items()}
    everything = [sum(column) for column in zip(*norms.values(), strict=True)]
    return {
        term: max((n / a for n, a in zip(row, everything, strict=True) if n < a), default=0.0)
        for term, row in norms.items()
    }


def _sum(gradients: Iterable[Tensor | None]) -> Tensor | None:
    there = [gradient for gradient in gradients if gradient is not None]
    return torch.stack(there).sum(0) if there else None


def _cosines(flat: Mapping[str, list[Tensor | None]]) -> dict[str, dict[str, float]]:
    def dot(a: list[Tensor | None], b: list[Tensor | None]) -> float:
        pairs = zip(a, b, strict=True)
        return sum(float((x * y).sum()) for x, y in pairs if x is not None and y is not None)

    norms = {name: dot(grads, grads) ** 0.5 for name, grads in flat.items()}
    return {
        a: {
            b: dot(flat[a], flat[b]) / (norms[a] * norms[b]) if norms[a] * norms[b] else 0.0
            for b in flat
        }
        for a in flat
    }


def _still_idle(
    model: nn.Module, view: CropView, target: HandTarget, idle: list[str]
) -> tuple[str, ...]:
    """Those parameters that get no gradient even once layers that start at zero have moved."""
    if not idle:
        return ()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)
    seen: set[str] = set()
    for _ in range(SETTLING_STEPS + 1):
        optimizer.zero_grad(set_to_none=True)
        sum(losses_of(model, view, target).values()).backward()
        seen |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        optimizer.step()
    return tuple(name for name in idle if name not in seen)
