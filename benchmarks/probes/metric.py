"""Laws of metrics: known motions cost what the name says, and no labels is no score."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.truth import hand_of, hands, known_hands, unlabelled
from benchmarks.subject import Subject
from registry.build import build_metrics
from registry.layout import at
from zoo.contracts import Finding, HandMesh, HandTarget, Metric
from zoo.geometry.camera import project
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.metrics.summary import measure, summarize

HANDS = 5
EXACT = 0.02  # mm, px or share; points in float32 are off by less
MOVED_MM, MOVED_PX = 10.0, 5.0
_ABSOLUTE = ("mpjpe_mm", "mpvpe_mm", "rte_mm")  # errors in the camera's frame
_SAVING = "default_hooks.checkpoint"
_BETTER_LARGE = ("pck", "auc", "f_at")

Move = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Judged:
    """One metric with a perfect answer, a wrong one, and the labels of both."""

    path: str
    metric: Metric
    truth: HandMesh
    wrong: HandMesh
    target: HandTarget

    def score(self, mesh: HandMesh, target: HandTarget | None = None) -> Tensor:
        """(hands,) what the metric says of a mesh."""
        values, _ = self.metric(mesh, self.target if target is None else target)
        return values.double()

    @property
    def is_share(self) -> bool:
        """Whether larger is better."""
        return any(word in self.metric.name for word in _BETTER_LARGE)


class EveryMetric:
    """A law tested on every metric of the config."""

    id: ClassVar[str]

    def __call__(self, subject: Subject) -> ProbeResult:
        evidence, findings = {}, []
        for judged in judged_metrics(subject):
            try:
                broken, numbers = self.judge(judged)
            except Exception as error:  # a metric that fails on plain labels is itself the finding
                broken, numbers = f"fails: {type(error).__name__}: {error}", {}
            evidence[judged.metric.name] = numbers
            if broken:
                findings.append(
                    Finding(
                        id=f"{self.id}/broken",
                        severity="error",
                        path=judged.path,
                        message=f"{judged.metric.name} {broken}.",
                        evidence={**numbers, "priority": 1},
                    )
                )
        return ProbeResult(tuple(findings), evidence)

    def judge(self, judged: Judged) -> tuple[str, dict[str, float]]:
        """What is wrong with a metric, empty where nothing is, and its numbers."""
        raise TypeError(f"{type(self).__name__} does not say how it judges a metric")


class Promise(EveryMetric):
    """A metric's name says what it forgives and in which unit it counts.

    Perfect and wrong answers are shifted, turned and scaled. Causes: PA- and root-relative
    exchanged (P-37), another unit, a comparison with itself.
    """

    id: ClassVar[str] = "metric.name"
    family: ClassVar[str] = "metric"
    law: ClassVar[str] = "Known shifts, turns and scales cost what the metric's name says."
    see: ClassVar[str] = "docs/probes.md#metric-name"

    def judge(self, judged: Judged) -> tuple[str, dict[str, float]]:
        truth, wrong = judged.truth, judged.wrong
        best = judged.score(truth)
        base = judged.score(wrong)
        turn = rotvec_to_rotmat(torch.tensor([0.4, -0.3, 0.5]))
        shifted = moved(truth, lambda p: p + p.new_tensor((0.006, 0.0, -0.008)))
        turned = moved(truth, lambda p: (p - truth.joints[:, :1]) @ turn.mT + truth.joints[:, :1])
        similar = moved(wrong, lambda p: 1.3 * p @ turn.mT + p.new_tensor((0.1, 0.2, 0.3)))
        numbers = {
            "truth": float(best.mean()),
            "wrong": float(base.mean()),
            "shift 10 mm": float(judged.score(shifted).mean()),
            "turn": float(judged.score(turned).mean()),
            "similarity": float((judged.score(similar) - base).abs().amax()),
        }
        return "; ".join(_broken_promises(judged, numbers)), numbers


class OwnHands(EveryMetric):
    """A hand's score is its own, in whatever order or company.

    Causes: means over the batch inside a metric, so that the batch size changes the score.
    """

    id: ClassVar[str] = "metric.hands"
    family: ClassVar[str] = "metric"
    law: ClassVar[str] = "A hand's score depends neither on its place in a batch nor on the others."
    see: ClassVar[str] = "docs/probes.md#metric-hands"

    def judge(self, judged: Judged) -> tuple[str, dict[str, float]]:
        base = judged.score(judged.wrong)
        alone = torch.cat(
            [judged.score(hands(judged.wrong, i), hands(judged.target, i)) for i in range(HANDS)]
        )
        numbers = {"deviation": float((alone - base).abs().amax().nan_to_num(math.inf))}
        if numbers["deviation"] > EXACT:
            return "gives a hand another score alone than in company", numbers
        return "", numbers


class NothingToJudge(EveryMetric):
    """No label is no score: NaN that counts for nothing, never a perfect 0.

    Causes: 0 where nothing was counted, which is the best ever (P-26); placeholders that are
    scored. Fix: return NaN with a count of 0.
    """

    id: ClassVar[str] = "metric.empty"
    family: ClassVar[str] = "metric"
    law: ClassVar[str] = "Hands without labels are not counted, and an empty evaluation is NaN."
    see: ClassVar[str] = "docs/probes.md#metric-empty"

    def judge(self, judged: Judged) -> tuple[str, dict[str, float]]:
        name = judged.metric.name
        nobody = unlabelled(judged.target, slice(None), math.nan)
        scores = measure([judged.metric], judged.wrong, nobody)
        empty = summarize(scores, [name])[name]
        some = unlabelled(judged.target, [1, 3], math.nan)
        values, counts = judged.metric(judged.wrong, some)
        base = judged.score(judged.wrong)
        rest = [0, 2, 4]
        numbers = {
            "empty": float(empty),
            "counted": float(counts[[1, 3]].sum()),
            "others": float((values[rest] - base[rest]).abs().amax().nan_to_num(math.inf)),
        }
        if not math.isnan(empty):
            return f"is {empty:.3g} where nothing is labelled, and so the best ever", numbers
        if numbers["counted"]:
            return "counts hands that have no label", numbers
        if numbers["others"] > EXACT:
            return "reads labels that are not valid", numbers
        return "", numbers


class BestCheckpoint:
    """The metric that chooses the best checkpoint exists and is turned the right way.

    Causes: `rule` turned round, a name that no metric has.
    """

    id: ClassVar[str] = "metric.best"
    family: ClassVar[str] = "metric"
    law: ClassVar[str] = "By the rule that keeps the best checkpoint the truth is better."
    see: ClassVar[str] = "docs/probes.md#metric-best"

    def __call__(self, subject: Subject) -> ProbeResult:
        saving = at(subject.config or {}, _SAVING) or {}
        wanted, rules = saving.get("save_best"), saving.get("rule", "less")
        names = [wanted] if isinstance(wanted, str) else list(wanted or ())
        if not names or names == ["auto"]:
            raise Unrunnable("the config chooses no best checkpoint by name")
        rules = [rules] * len(names) if isinstance(rules, str) else list(rules)
        known = {judged.metric.name: judged for judged in judged_metrics(subject)}
        findings: list[Finding] = []
        evidence = {}
        for name, rule in zip(names, rules, strict=True):
            judged = known.get(name.rpartition("/")[2])
            if judged is None:
                what = f"names {name!r}, which no metric measures; there are {', '.join(known)}"
                findings.append(self._finding(f"{_SAVING}.save_best", what, {}))
                continue
            right = float(judged.score(judged.truth).mean())
            wrong = float(judged.score(judged.wrong).mean())
            evidence[name] = numbers = {"truth": right, "wrong": wrong}
            if (right < wrong) != (rule == "less"):
                what = f"is {rule!r}, by which a wrong {name} ({wrong:.3g}) beats {right:.3g}"
                fix = f"{_SAVING}.rule={'greater' if rule == 'less' else 'less'}"
                findings.append(self._finding(f"{_SAVING}.rule", what, numbers, fix))
        return ProbeResult(tuple(findings), evidence)

    def _finding(self, path: str, what: str, numbers: Mapping[str, float], *fix: str) -> Finding:
        return Finding(
            id=f"{self.id}/backwards" if fix else f"{self.id}/unknown",
            severity="error",
            path=path,
            message=f"What keeps the best checkpoint {what}.",
            evidence=dict(numbers),
            fix=fix,
        )


def judged_metrics(subject: Subject) -> Iterator[Judged]:
    """Every metric of the config with answers whose scores are known."""
    if subject.config is None or not at(subject.config, "evaluation.metrics"):
        raise Unrunnable("there is no config with evaluation.metrics")
    known = known_hands(subject, HANDS)
    truth = hand_of(subject).place(known.truth)
    rng = torch.Generator().manual_seed(0)
    noise = 0.02 * torch.randn(truth.joints.shape, generator=rng)
    surface = 0.02 * torch.randn(truth.vertices.shape, generator=rng)
    joints = truth.joints + noise
    wrong = HandMesh(
        truth.vertices + surface, joints, project(joints, known.view.intrinsics, min_depth=0.01)
    )
    for key, metric in build_metrics(subject.config).items():
        yield Judged(f"evaluation.metrics.{key}", metric, truth, wrong, known.target)


def moved(mesh: HandMesh, change: Move) -> HandMesh:
    """A mesh whose points in space are moved and whose keypoints are shifted by 5 px."""
    return HandMesh(change(mesh.vertices), change(mesh.joints), mesh.keypoints + MOVED_PX / 2**0.5)


def _broken_promises(judged: Judged, numbers: Mapping[str, float]) -> Iterator[str]:
    name = judged.metric.name
    words = name.split("_")
    perfect = 1.0 if judged.is_share else 0.0
    if not abs(numbers["truth"] - perfect) <= EXACT:
        yield f"gives the truth {numbers['truth']:.3g}, not {perfect:g}"
    if (numbers["wrong"] < numbers["truth"]) != judged.is_share:
        yield "does not tell the truth from a wrong answer"
    if judged.is_share:
        return
    shift, turn = numbers["shift 10 mm"], numbers["turn"]
    if name in _ABSOLUTE and not abs(shift - MOVED_MM) <= EXACT:
        yield f"counts a shift of 10 mm as {shift:.4g}"
    if name.endswith("_px") and not abs(shift - MOVED_PX) <= EXACT:
        yield f"counts a shift of 5 px as {shift:.4g}"
    if words[0] in ("root", "pa") and not shift <= EXACT:
        yield f"does not forgive a shift ({shift:.4g}), as its name says"
    if words[0] == "rte" and not turn <= EXACT:
        yield f"counts a turn about the wrist ({turn:.4g}); the root is the wrist"
    if words[0] == "root" and not turn > 1.0:
        yield f"forgives a turn ({turn:.4g}), which only Procrustes alignment may"
    if words[0] == "pa" and not max(turn, numbers["similarity"]) <= EXACT:
        yield f"does not forgive a turn and a scale (turn {turn:.4g}), as its name says"
