"""Does the whole learn: one batch by heart, in steps of a healthy size, better than a constant?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.gradients import losses_of
from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject, component
from zoo.contracts import ClipView, CropView, Finding, HandTarget

HANDS, STEPS = 8, 24
MEASURED_STEPS = 3  # whose update is compared with the weights
FALL = 0.8  # of the loss that may be left after STEPS; healthy models keep a half and less
UPDATE = (1e-5, 0.3)  # of a component's weights a step, at the rate of the recipe
QUICK = 3e-4  # the rate of the experiment where the recipe's is lower, so that a batch is enough
SAME_MM = 1e-3  # spread of answers below which they are one answer


@dataclass
class Story:
    """What happened while a fresh model learnt one batch by heart."""

    losses: list[float] = field(default_factory=list)
    terms: list[dict[str, float]] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    updates: dict[str, list[float]] = field(default_factory=dict)  # relative, per component
    still: list[str] = field(default_factory=list)  # trainable, with a gradient, and not moved
    moved_frozen: list[str] = field(default_factory=list)
    error_mm: list[float] = field(default_factory=list)  # root-relative, before and after
    constant_mm: float = float("nan")  # of the mean of the batch's own labels
    spread_mm: float = float("nan")  # of the answers over the hands, afterwards


class Overfit:
    """A fresh model, the recipe's optimiser at its full rate (or 3e-4), one batch as it is.

    Whatever is wrong elsewhere, a model whose loss does not fall on eight hands will not fall on
    eight million. Two seconds on one core.
    """

    id: ClassVar[str] = "learning.overfit"
    family: ClassVar[str] = "learning"
    law: ClassVar[str] = "The loss of one batch falls in a few steps, and answers differ."
    see: ClassVar[str] = "docs/probes.md#learning-overfit"

    def __call__(self, subject: Subject) -> ProbeResult:
        """A loss that does not fall, is not finite, or falls to one answer for every hand."""
        story = told(subject)
        left = min(story.losses[-5:]) / story.losses[0] if story.losses[0] else 1.0
        evidence = {
            "losses": story.losses,
            "terms": story.terms,
            "gradient_norms": story.norms,
            "left": left,
            "root_joints_mm": story.error_mm,
            "constant_root_joints_mm": story.constant_mm,
            "spread_mm": story.spread_mm,
        }
        return ProbeResult(tuple(self._judged(story, left)), evidence)

    def _judged(self, story: Story, left: float) -> Iterator[Finding]:
        if not all(map(_finite, (*story.losses, *story.norms))):
            first = next(
                i
                for i, v in enumerate(story.losses)
                if not _finite(v) or not _finite(story.norms[i])
            )
            bad = [n for n, v in story.terms[first].items() if not _finite(v)]
            yield _finding(
                "not-finite",
                "optim_wrapper" if not bad else f"model.losses.{bad[0].removeprefix('loss_')}",
                f"At step {first} of learning one batch the loss or its gradient is not finite.",
                step=float(first),
            )
        elif left > FALL:
            yield _finding(
                "flat",
                "optim_wrapper",
                f"After {STEPS} steps on one batch {left:.0%} of the loss is left "
                f"({story.losses[0]:.3g} to {story.losses[-1]:.3g}): not even that is learnt.",
                left=left,
            )
        if story.spread_mm < SAME_MM:
            yield _finding(
                "constant",
                "model.backbone",
                f"After {STEPS} steps all hands get one answer (spread {story.spread_mm:.1g} mm): "
                "the picture does not reach the read-outs.",
                spread_mm=story.spread_mm,
            )


class Steps:
    """How far each component moves in a step, against the size of its weights.

    Far below a millionth nothing is learnt in any budget, above a third weights are overwritten.
    What is frozen stays, and what has a gradient moves.
    """

    id: ClassVar[str] = "learning.steps"
    family: ClassVar[str] = "learning"
    law: ClassVar[str] = (
        "A step changes every trained component a little, and a frozen one not at all."
    )
    see: ClassVar[str] = "docs/probes.md#learning-steps"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Updates that are too small, too large, missing, or made to what is frozen."""
        story = told(subject)
        ratios = {part: max(row) for part, row in story.updates.items()}
        findings = [
            *self._sizes(ratios),
            *self._named("moved-frozen", story.moved_frozen, "is frozen and moved all the same"),
            *self._named("still", story.still, "has a gradient and was not moved by the optimiser"),
        ]
        return ProbeResult(
            tuple(findings), {"update_to_weight": story.updates, "gradient_norms": story.norms}
        )

    def _sizes(self, ratios: dict[str, float]) -> Iterator[Finding]:
        for part, ratio in ratios.items():
            if not 0 < ratio < UPDATE[0] and not ratio > UPDATE[1]:
                continue
            small = ratio < UPDATE[0]
            yield Finding(
                f"{self.id}/{'small' if small else 'large'}",
                "warning",
                part,
                f"A step changes {part} by {ratio:.1e} of its weights, "
                + ("too little to learn." if small else "which overwrites what it knows."),
                {"ratio": ratio},
                ("optim_wrapper.optimizer.lr=1e-4",),
            )

    def _named(self, kind: str, names: list[str], what: str) -> Iterator[Finding]:
        by_part: dict[str, list[str]] = {}
        for name in names:
            by_part.setdefault(component(name), []).append(name)
        for part, mine in by_part.items():
            yield Finding(
                f"{self.id}/{kind}",
                "error",
                part,
                f"{len(mine)} tensors of {part} ({mine[0]}, ...): each {what}.",
                {"tensors": len(mine)},
            )


def told(subject: Subject) -> Story:
    """The subject's story, lived through when first asked for."""
    return subject.remember("overfit story", lambda: _live(subject))


def _live(subject: Subject) -> Story:
    model = subject.fresh_model().train()
    _without_dropout(model)
    optimizer, faster = _quick(subject.optimizer(model))
    view, target = subject.shown(HANDS, training=False)
    story, limit = Story(), _clip(subject)
    story.error_mm.append(_error(model, view, target)[0])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    graded: set[str] = set()
    for step in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        terms = losses_of(model, view, target)
        if not terms or not sum(terms.values()).requires_grad:
            raise Unrunnable("no loss term has a gradient (see gradient.reach)")
        loss = sum(terms.values())
        loss.backward()
        parameters = [p for p in model.parameters() if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        story.losses.append(float(loss.detach()))
        story.terms.append({n: float(v.detach()) for n, v in terms.items()})
        story.norms.append(float(norm))
        graded |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        if not torch.isfinite(norm):
            break
        _step(model, optimizer, story, faster if step < MEASURED_STEPS else None)
    for name, parameter in model.named_parameters():
        if torch.equal(before[name], parameter.detach()):
            story.still += [name] if name in graded and parameter.requires_grad else []
        elif not parameter.requires_grad:
            story.moved_frozen.append(name)
    after, story.constant_mm, story.spread_mm = _error(model, view, target)
    story.error_mm.append(after)
    return story


def _quick(optimizer: torch.optim.Optimizer) -> tuple[torch.optim.Optimizer, float]:
    """The optimiser at a rate of at least QUICK, and how much faster that is."""
    fastest = max((group["lr"] for group in optimizer.param_groups), default=0.0)
    faster = max(1.0, QUICK / fastest) if fastest > 0 else 1.0
    for group in optimizer.param_groups:
        group["lr"] *= faster
    return optimizer, faster


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, story: Story, faster: float | None
) -> None:
    """One step; how far it moved each component relative to its weights, at the recipe's rate.

    faster: by how much the rate was raised; None measures nothing.
    """
    measure = faster is not None
    held = {n: p.detach().clone() for n, p in model.named_parameters()} if measure else {}
    optimizer.step()
    squares: dict[str, list[float]] = {}
    for name, parameter in model.named_parameters():
        if measure and parameter.requires_grad:
            row = squares.setdefault(component(name), [0.0, 0.0])
            row[0] += float((parameter.detach() - held[name]).square().sum())
            row[1] += float(held[name].square().sum())
    for part, (moved, size) in squares.items():
        story.updates.setdefault(part, []).append((moved / max(size, 1e-12)) ** 0.5 / faster)


def _error(
    model: nn.Module, view: CropView | ClipView, target: HandTarget
) -> tuple[float, float, float]:
    """Root-relative error of the model and of the mean label, and the spread of answers; mm."""
    model.eval()
    with torch.no_grad():
        joints = model.hand.place(model.predict_hand(view)).joints
    model.train()
    _without_dropout(model)
    said, true = (j - j[:, :1] for j in (joints, target.joints))
    valid = (target.joints_valid > 0).all(-1)
    spread = 1000 * float((joints - joints.mean(0)).norm(dim=-1).mean())
    if not valid.any():
        return float("nan"), float("nan"), spread
    constant = true[valid].mean(0, keepdim=True)
    return _mean_mm(said[valid] - true[valid]), _mean_mm(constant - true[valid]), spread


def _mean_mm(difference: Tensor) -> float:
    return 1000 * float(difference.norm(dim=-1).mean())


def _clip(subject: Subject) -> float:
    wrapper = (subject.config or {}).get("optim_wrapper") or {}
    return (wrapper.get("clip_grad") or {}).get("max_norm") or float("inf")


def _without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


def _finding(name: str, path: str, message: str, **evidence: float) -> Finding:
    return Finding(f"{Overfit.id}/{name}", "error", path, message, evidence)
