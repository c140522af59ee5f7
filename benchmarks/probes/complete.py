"""Laws of completeness: what reads most points of a hand reads all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.probes.loss_cases import Case, EveryLoss
from benchmarks.probes.metric import EveryMetric, Judged
from benchmarks.probes.truth import hands
from zoo.contracts import NUM_JOINTS, Finding, HandMesh

MOST = 0.5  # of the points: who reads fewer means a part of the hand
AWAY_M, AWAY_PX = 0.1, 100.0  # beyond every threshold of a metric
SURFACE = 40  # vertices of which one is moved
_READ = {
    "mesh.joints": "joints",
    "mesh.keypoints": "keypoints",
    "mesh.vertices": "vertices",
    "prediction.rotmats": "rotations",
}


class Losses(EveryLoss):
    """No joint, vertex or rotation is left out by a loss that is about all of them.

    The gradient of every term is read point by point; the wrist, which others are relative to,
    does not count. Causes: a slice that stops before the tips, a table of weights with zeros, an
    index gathered twice and another never. A term on a few points means a part of the hand.
    """

    id: ClassVar[str] = "mask.complete"
    family: ClassVar[str] = "mask"
    law: ClassVar[str] = "A loss that pulls at most points of a labelled hand pulls at all."
    see: ClassVar[str] = "docs/probes.md#mask-complete"

    def judge(self, case: Case) -> tuple[Mapping[str, float], list[Finding]]:
        _, pulls = case.pull(case.target)
        numbers: dict[str, float] = {}
        found: list[Finding] = []
        for name in _READ.keys() & pulls.keys():
            felt = (pulls[name].flatten(2).abs().amax(-1) > 0).any(0)[1:]
            numbers[f"{_READ[name]} read"] = share = float(felt.float().mean())
            if MOST < share < 1:
                left = (~felt).nonzero().flatten() + 1
                message = (
                    f"This loss pulls at {share:.0%} of the {_READ[name]} and never at "
                    f"{_listed(left)}, which are labelled too: errors there cost nothing in it."
                )
                found.append(
                    self.finding(case, "left-out", message, severity="warning", read=share)
                )
        return numbers, found


class Metrics(EveryMetric):
    """An error at any one point shows in a metric that most points show in.

    Every joint is moved by itself, far enough for any threshold. Causes: 16 of 21 joints scored,
    so that fingertips, the hardest, are left out and the number cannot be compared with others.
    """

    id: ClassVar[str] = "metric.complete"
    family: ClassVar[str] = "metric"
    law: ClassVar[str] = "A metric that most points of a hand change is changed by each of them."
    see: ClassVar[str] = "docs/probes.md#metric-complete"

    def judge(self, judged: Judged) -> tuple[str, dict[str, float]]:
        numbers, broken = {}, []
        for name, points in (("joints", _each(NUM_JOINTS, 1)), ("vertices", _each(778, SURFACE))):
            felt = _felt(judged, name, points)
            numbers[name] = share = float(felt.float().mean())
            if MOST < share < 1:
                broken.append(f"does not see an error at the {name} {_listed(points[~felt])}")
        return "; ".join(broken), numbers


def _each(count: int, step: int) -> Tensor:
    """Points to try, the wrist left out: metrics that are relative to it may not score it."""
    return torch.arange(1, count, step)


def _felt(judged: Judged, name: str, points: Tensor) -> Tensor:
    """Which of some points of the first hand change its score when they are moved alone."""
    same = torch.zeros(len(points), dtype=torch.int64)
    truth, target = hands(judged.truth, same), hands(judged.target, same)
    rows = torch.arange(len(points))
    moved = getattr(truth, name).clone()
    moved[rows, points] += moved.new_tensor((0.6, 0.0, 0.8)) * AWAY_M
    changes = {name: moved}
    if name == "joints":
        keypoints = truth.keypoints.clone()
        keypoints[rows, points] += AWAY_PX
        changes["keypoints"] = keypoints
    wrong: HandMesh = dataclasses.replace(truth, **changes)
    return (judged.score(wrong, target) - judged.score(truth, target)).abs() > 1e-6


def _listed(points: Tensor) -> str:
    names = [str(int(point)) for point in points]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if names[6:] else "")
