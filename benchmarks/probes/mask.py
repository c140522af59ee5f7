"""Laws of what is not labelled: it counts for nothing, and nothing is counted instead of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.probes.loss_cases import HANDS, Case, EveryLoss
from benchmarks.probes.truth import hands, unlabelled
from zoo.contracts import Finding, HandTarget

SAME = 1e-4  # relative; rounding in float32 stays far below
WHAT_HOLES = ("joints_valid", "keypoints_valid")  # validities of single labels
_HELD_BY = {"joints_valid": "joints", "keypoints_valid": "keypoints"}


class Alone(EveryLoss):
    """The loss of a batch is the mean, or the sum, of its hands' own losses.

    Causes: (B, 1, J) against (B, J) broadcasts to every pair of hands (P-06, P-08). Fix:
    compare shapes before subtracting.
    """

    id: ClassVar[str] = "mask.alone"
    family: ClassVar[str] = "mask"
    law: ClassVar[str] = "A batch costs the mean or the sum of what its hands cost one by one."
    see: ClassVar[str] = "docs/probes.md#mask-alone"

    def judge(self, case: Case) -> tuple[Mapping[str, float], list[Finding]]:
        with torch.no_grad():
            whole = float(case.cost(case.target))
            alone = torch.stack([case.cost(case.target, i) for i in range(HANDS)]).double()
        mean, total = float(alone.mean()), float(alone.sum())
        numbers = {"batch": whole, "mean": mean, "sum": total}
        if _same(whole, mean) or _same(whole, total):
            return numbers, []
        with torch.no_grad():  # copies of one hand are alike, so that nothing can be exchanged
            ratio = float(case.cost(case.target, torch.zeros(HANDS, dtype=torch.int64)))
        ratio /= float(alone[0]) or 1.0
        numbers["copies"] = ratio
        why = (
            "errors of one hand are compared with labels of another, as a silent broadcast does"
            if _same(ratio, 1.0) or _same(ratio, HANDS)
            else f"{HANDS} copies of one hand cost {ratio:.4g} times what it costs alone, so the "
            "weight of this term depends on the size of the batch"
        )
        message = (
            f"{HANDS} hands cost {whole:.4g} together, but {mean:.4g} on average and {total:.4g} "
            f"in sum one by one: {why}."
        )
        return numbers, [self.finding(case, "broadcast", message, **numbers)]


class Copies(EveryLoss):
    """Hands without labels change nothing, however many join the batch.

    A warning where they halve it: the mean runs over unlabelled hands too (P-18), so the weight
    depends on the mixture; set `reduction=mean`. Any other change is an error: the mask is
    lost.
    """

    id: ClassVar[str] = "mask.copies"
    family: ClassVar[str] = "mask"
    law: ClassVar[str] = "Unlabelled copies of the batch change no loss: a constant one stays 1."
    see: ClassVar[str] = "docs/probes.md#mask-copies"

    def judge(self, case: Case) -> tuple[Mapping[str, float], list[Finding]]:
        twice = torch.arange(2 * HANDS) % HANDS
        with torch.no_grad():
            before = float(case.cost(case.target))
            target = hands(case.target, twice)
            doubled = dataclasses.replace(
                case,
                prediction=hands(case.prediction, twice),
                mesh=hands(case.mesh, twice),
                target=unlabelled(target, slice(HANDS, None)),
            )
            after = float(doubled.cost(doubled.target))
        ratio = after / before if before else 1.0
        numbers = {"before": before, "with copies": after, "ratio": ratio}
        if _same(after, before):
            return numbers, []
        if _same(ratio, 0.5):
            message = (
                "Unlabelled hands dilute this loss: as many again halve it, so its weight "
                "depends on how much of the data is labelled."
            )
            found = self.finding(case, "diluted", message, severity="warning", **numbers)
        else:
            message = f"Hands without labels change this loss by the factor {ratio:.3g}."
            found = self.finding(case, "counted", message, **numbers)
        return numbers, [found]


class NothingLabelled(EveryLoss):
    """Without a label there is no loss and no gradient, and neither is NaN.

    Causes: a division by the number of labels, a mask forgotten. Fix: divide by at least one.
    """

    id: ClassVar[str] = "mask.empty"
    family: ClassVar[str] = "mask"
    law: ClassVar[str] = "A batch without any label costs zero, with finite zero gradients."
    see: ClassVar[str] = "docs/probes.md#mask-empty"

    def judge(self, case: Case) -> tuple[Mapping[str, float], list[Finding]]:
        value, pulls = case.pull(unlabelled(case.target, slice(None)))
        largest = _largest(pulls)
        numbers = {"loss": value, "largest gradient": largest}
        if value == 0 and largest == 0:
            return numbers, []
        message = (
            f"With nothing labelled this loss is {value:.4g} and its largest gradient "
            f"{largest:.4g}; both have to be 0."
        )
        return numbers, [self.finding(case, "pulls", message, **numbers)]


class NeverRead(EveryLoss):
    """What an invalid label holds, NaN too, reaches neither the loss nor a gradient.

    Filled with 1000 and with NaN, whole hands and single joints. Causes: an error multiplied by
    the mask, which leaves NaN what it is (P-01). Fix: select with `torch.where` before the
    arithmetic.
    """

    id: ClassVar[str] = "mask.unread"
    family: ClassVar[str] = "mask"
    law: ClassVar[str] = "What a label that is not valid holds changes no loss and no gradient."
    see: ClassVar[str] = "docs/probes.md#mask-unread"

    def judge(self, case: Case) -> tuple[Mapping[str, float], list[Finding]]:
        numbers: dict[str, float] = {}
        holed = {
            "hands": lambda filling: unlabelled(case.target, [1, 3], filling),
            **{
                f"single {name}": lambda filling, name=name: with_holes(case.target, name, filling)
                for name in WHAT_HOLES
            },
        }
        for what, target_of in holed.items():
            value, pulls = case.pull(target_of(0.0))
            for word, filling in (("1e3", 1e3), ("NaN", torch.nan)):
                other, other_pulls = case.pull(target_of(filling))
                change = max(_relative(other, value), _apart(pulls, other_pulls))
                numbers[f"{what}: {word}"] = change
                if not change <= SAME:
                    message = (
                        f"Labels that are not valid ({what}) are read: filled with {word} instead "
                        f"of 0 they change the loss from {value:.4g} to {other:.4g}"
                        f"{' and its gradients' if _apart(pulls, other_pulls) > SAME else ''}."
                    )
                    found = self.finding(case, "read", message, change=change, loss=other)
                    return numbers, [found]
        return numbers, []


class OwnHands(EveryLoss):
    """Every labelled hand is pulled, and no other.

    Causes: the mask of one hand broadcast over others (P-08).
    """

    id: ClassVar[str] = "mask.own"
    family: ClassVar[str] = "mask"
    law: ClassVar[str] = "A loss pulls at every labelled hand and at no unlabelled one."
    see: ClassVar[str] = "docs/probes.md#mask-own"

    def judge(self, case: Case) -> tuple[Mapping[str, float], list[Finding]]:
        _, full = case.pull(case.target)
        _, pulls = case.pull(unlabelled(case.target, [2]))
        by_hand, expected = _by_hand(pulls), _by_hand(full)
        rest = by_hand[torch.arange(HANDS) != 2]
        numbers = {"labelled": float(rest.amin()), "unlabelled": float(by_hand[2])}
        if float(by_hand[2]) > 0:
            message = f"An unlabelled hand is pulled at with a gradient of {float(by_hand[2]):.3g}."
            return numbers, [self.finding(case, "stray", message, **numbers)]
        lost = (expected[torch.arange(HANDS) != 2] > 0) & (rest == 0)
        if lost.any():
            message = (
                f"{int(lost.sum())} labelled hands lose their gradient when another has no label."
            )
            return numbers, [self.finding(case, "lost", message, **numbers)]
        return numbers, []


def with_holes(target: HandTarget, name: str, filling: float) -> HandTarget:
    """Labels of which every third joint of every hand, never the wrist, is marked missing."""
    valid, values = getattr(target, name).clone(), getattr(target, _HELD_BY[name]).clone()
    valid[:, 2::3] = 0
    values[:, 2::3] = filling
    return dataclasses.replace(target, **{name: valid, _HELD_BY[name]: values})


def _by_hand(pulls: Mapping[str, Tensor]) -> Tensor:
    sizes = torch.zeros(HANDS)
    for gradient in pulls.values():
        sizes = torch.maximum(sizes, gradient.flatten(1).abs().amax(1))
    return sizes


def _largest(pulls: Mapping[str, Tensor]) -> float:
    return max((float(g.abs().amax()) for g in pulls.values() if g.numel()), default=0.0)


def _apart(pulls: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> float:
    """The largest difference of gradients, in the largest of them; NaN counts as endless."""
    size = max(_largest(pulls), 1e-12)
    worst = max(
        (float((pulls[name] - others[name]).abs().amax()) for name in pulls if name in others),
        default=0.0,
    )
    return worst / size if worst == worst else torch.inf


def _relative(value: float, wanted: float) -> float:
    change = abs(value - wanted) / max(abs(wanted), 1e-12)
    return change if change == change else torch.inf


def _same(value: float, wanted: float) -> bool:
    return _relative(value, wanted) <= SAME or abs(value - wanted) < 1e-9
