"""Laws of chance: the same seed repeats a run, evaluation has none, and ranks do not share it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.augmentation import load_draw, preprocess_of
from benchmarks.probes.shape import in_fp32, stages, still_training, whole
from benchmarks.probes.truth import leaves, single_frames
from benchmarks.probes.worlds import as_rank, other_world
from benchmarks.subject import Subject
from zoo.contracts import Finding, FrameBatch

HANDS = 4


class Repeats:
    """A seed decides the augmentation, whatever else drew random numbers in between.

    Global generators are set differently in between. Causes: torch.rand, numpy.random or random
    where the generator given should be used (P-38); a generator seeded anew for every batch.
    """

    id: ClassVar[str] = "determinism.seed"
    family: ClassVar[str] = "determinism"
    law: ClassVar[str] = "The same seed and count of batches gives the same batch, another not."
    see: ClassVar[str] = "docs/probes.md#determinism-seed"

    def __call__(self, subject: Subject) -> ProbeResult:
        preprocess, frames = preprocess_of(subject), _frames(subject)
        random_parts = _drawing_parts(preprocess)
        first = _numbers(preprocess, frames, 3)
        again = _numbers(preprocess, frames, 3)
        evidence: dict[str, Any] = {"repeat": _apart(first, again)}
        findings = []
        for path, part in random_parts.items():
            alone = _alone(preprocess, path, part)
            with_seed = [_numbers(alone, frames, 3, world=world) for world in (1, 2)]
            evidence[path] = _apart(*with_seed)
            if evidence[path] > 0:
                findings.append(self._global(path, evidence[path]))
        if evidence["repeat"] > 0 and not findings:
            findings.append(self._global("augmentation", evidence["repeat"]))
        evidence["another seed"] = _apart(first, _numbers(preprocess, frames, 4))
        if random_parts and evidence["another seed"] == 0:
            findings.append(
                Finding(
                    id=f"{self.id}/frozen",
                    severity="error",
                    path="augmentation",
                    message="Every training batch is augmented alike: the random state does not "
                    "move from one batch to the next.",
                    evidence={"change": 0.0, "priority": 0},
                )
            )
        return ProbeResult(tuple(findings), evidence)

    def _global(self, path: str, change: float) -> Finding:
        return Finding(
            id=f"{self.id}/global",
            severity="error",
            path=path,
            message=f"{path} draws from a global random state and not from the generator it is "
            f"given: the same seed gave batches that differ by {change:.3g}. Runs cannot be "
            "repeated or resumed, and ranks with one global seed augment alike.",
            evidence={"change": change, "priority": 1},
        )


class Evaluates:
    """Evaluation has no chance in it: the same answer each time, whatever ran before.

    Causes: functional dropout without `training=self.training`, augmented validation (P-13),
    statistics still updated, a part left in training mode. The first with two answers is named.
    """

    id: ClassVar[str] = "determinism.evaluation"
    family: ClassVar[str] = "determinism"
    law: ClassVar[str] = "The same hands evaluated twice give the same answer."
    see: ClassVar[str] = "docs/probes.md#determinism-evaluation"

    def __call__(self, subject: Subject) -> ProbeResult:
        preprocess, frames = preprocess_of(subject), _frames(subject)
        one = _numbers(preprocess, frames, 3, training=False, world=1)
        _numbers(preprocess, frames, 5)
        other = _numbers(preprocess, frames, 7, training=False, world=2)
        apart = {"augmentation": _apart(one, other)}
        view, _ = single_frames(subject, HANDS)
        with torch.no_grad(), in_fp32(subject.model):
            for stage in (*stages(subject.model, view), whole(subject.model, view)):
                if any(apart.values()):
                    break
                apart[stage.path] = _twice(lambda stage=stage: stage.run(*stage.arguments))
        training = still_training(subject.model)
        findings = tuple(
            Finding(
                id=f"{self.id}/training",
                severity="error",
                path=path,
                message=f"{path} is in training mode after eval(), so dropout and statistics of "
                f"the batch go on in evaluation ({names[0]}).",
                evidence={"modules": len(names), "priority": 0},
            )
            for path, names in training.items()
        )
        findings += tuple(
            Finding(
                id=f"{self.id}/chance",
                severity="error",
                path=path,
                message=f"In evaluation {path} gave two answers to the same hands, {change:.3g} "
                "apart: something random is still switched on, or remembers earlier batches.",
                evidence={"change": change, "priority": 0},
            )
            for path, change in apart.items()
            if change > 0
        )
        return ProbeResult(findings, {"change": apart, "in training mode": training})


class Ranks:
    """Ranks augment differently and evaluate alike.

    Run as rank 0 and rank 1 of a group that does not exist. Causes: a seed that does not know
    the rank (P-38); with it, more GPUs show the same crops more often.
    """

    id: ClassVar[str] = "determinism.ranks"
    family: ClassVar[str] = "determinism"
    law: ClassVar[str] = "Two ranks augment the same hands differently and evaluate them alike."
    see: ClassVar[str] = "docs/probes.md#determinism-ranks"

    def __call__(self, subject: Subject) -> ProbeResult:
        preprocess, frames = preprocess_of(subject), _frames(subject)
        if not _drawing_parts(preprocess) and not _jitters(preprocess, frames):
            raise Unrunnable("nothing in the preprocessing is random")
        seen = {}
        for rank in (0, 1):
            with as_rank(rank):
                trained = _numbers(preprocess, frames, 3)
                shown = _numbers(preprocess, frames, 3, training=False)
            seen[rank] = trained, shown
        evidence = {
            "training": _apart(seen[0][0], seen[1][0]),
            "evaluation": _apart(seen[0][1], seen[1][1]),
        }
        findings = []
        if evidence["training"] == 0:
            message = "Two ranks augment the same hands alike, so more GPUs show fewer pictures."
            findings.append(self._finding("alike", message, evidence))
        if evidence["evaluation"] > 0:
            message = "Two ranks show the same hands differently in evaluation."
            findings.append(self._finding("evaluation", message, evidence))
        return ProbeResult(tuple(findings), evidence)

    def _finding(self, kind: str, message: str, evidence: dict[str, float]) -> Finding:
        return Finding(
            id=f"{self.id}/{kind}",
            severity="error",
            path="augmentation",
            message=message,
            evidence={**evidence, "priority": 1},
        )


class Resumes:
    """A preprocessing that is saved and loaded goes on as if nothing had happened.

    Causes: a counter or generator that is no buffer. Fix: keep the number of batches in one.
    """

    id: ClassVar[str] = "determinism.resume"
    family: ClassVar[str] = "determinism"
    law: ClassVar[str] = "Augmentation goes on where a checkpoint left it."
    see: ClassVar[str] = "docs/probes.md#determinism-resume"

    def __call__(self, subject: Subject) -> ProbeResult:
        preprocess, frames = preprocess_of(subject), _frames(subject)
        if not _drawing_parts(preprocess) and not _jitters(preprocess, frames):
            raise Unrunnable("nothing in the preprocessing is random")
        other = copy.deepcopy(preprocess)
        for _ in range(2):
            preprocess(frames, True)
        other.load_state_dict(copy.deepcopy(preprocess.state_dict()))
        change = _apart(_seen(preprocess, frames, True), _seen(other, frames, True))
        if change == 0:
            return ProbeResult((), {"change": change})
        finding = Finding(
            id=f"{self.id}/restarts",
            severity="error",
            path="augmentation",
            message="A resumed run augments its next batch differently from an uninterrupted one: "
            "the random state is not part of the checkpoint.",
            evidence={"change": change, "priority": 2},
        )
        return ProbeResult((finding,), {"change": change})


class SameStart:
    """The same seed initialises the same weights.

    Causes: an initialisation that draws from `random`, numpy or the clock.
    """

    id: ClassVar[str] = "determinism.start"
    family: ClassVar[str] = "determinism"
    law: ClassVar[str] = "Two models made from one seed have the same weights."
    see: ClassVar[str] = "docs/probes.md#determinism-start"

    def __call__(self, subject: Subject) -> ProbeResult:
        if subject.config is None and subject.make_model is None:
            raise Unrunnable("a model of your own is made anew for this; pass make_model")
        first = subject.fresh_model().state_dict()
        with other_world(2):
            second = subject.with_frames(subject.frames).fresh_model().state_dict()
        unlike = [
            key
            for key, value in first.items()
            if key not in second or not torch.equal(value, second[key])
        ]
        evidence = {"weights": len(first), "unlike": len(unlike)}
        if not unlike:
            return ProbeResult((), evidence)
        roots = sorted({f"model.{key.split('.')[0]}" for key in unlike})
        findings = tuple(
            Finding(
                id=f"{self.id}/differs",
                severity="error",
                path=root,
                message=f"{len(unlike)} of {len(first)} weights differ between two models made "
                f"from the same seed ({unlike[0]}).",
                evidence={**evidence, "priority": 2},
            )
            for root in roots
        )
        return ProbeResult(findings, evidence)


def _frames(subject: Subject) -> FrameBatch:
    return FrameBatch(subject.frames.frames[:HANDS])


def _drawing_parts(preprocess: nn.Module) -> dict[str, Any]:
    """Every augmentation by path; those that belong to evaluation draw nothing."""
    views = {
        f"augmentation.view.{name}": part
        for name, part in preprocess.view_augmentations.items()
        if not getattr(part, "in_evaluation", False)
    }
    pixels = preprocess.pixel_augmentations.items()
    return views | {f"augmentation.pixels.{name}": part for name, part in pixels}


def _jitters(preprocess: nn.Module, frames: FrameBatch) -> bool:
    return _apart(_numbers(preprocess, frames, 3), _numbers(preprocess, frames, 4)) > 0


def _alone(preprocess: nn.Module, path: str, part: Any) -> nn.Module:
    alone = copy.deepcopy(preprocess)
    name = path.rpartition(".")[2]
    alone.view_augmentations = {name: part} if ".view." in path else {}
    alone.pixel_augmentations = {name: part} if ".pixels." in path else {}
    return alone


def _numbers(
    preprocess: nn.Module, frames: FrameBatch, draw: int, *, training: bool = True, world: int = 0
) -> list[Tensor]:
    """What the network sees and is told of some frames, at a state of the preprocessing's own."""
    load_draw(preprocess, draw)
    with other_world(world):
        return _seen(preprocess, frames, training)


def _seen(preprocess: nn.Module, frames: FrameBatch, training: bool) -> list[Tensor]:
    data = preprocess(frames, training)
    return [tensor for name in ("inputs", "data_samples") for _, tensor in leaves(data[name])]


def _twice(run: Callable[[], Any]) -> float:
    answers = []
    for world in (1, 2):
        with other_world(world):
            answers.append([tensor for _, tensor in leaves(run())])
    return _apart(*answers)


def _apart(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest difference between numbers of the same place."""
    return max(
        (float((a.float() - b.float()).abs().amax()) for a, b in zip(one, other, strict=True)),
        default=0.0,
    )
