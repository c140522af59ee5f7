"""Known bugs as small mutations of a healthy subject, each with the finding it must raise."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from benchmarks.diagnose import ProbeRun, diagnose
from benchmarks.subject import Subject, subject_of
from registry.overrides import set_values
from zoo.contracts import Finding, Frame, FrameBatch

Plant = Callable[[Subject], Subject]


@dataclass(frozen=True)
class Fault:
    """One bug: how it is planted, and which probe must name which component for it."""

    name: str  # "mask-multiplied-not-selected"
    plant: Plant
    expect: tuple[str, str]  # probe id, and where its finding points: this path or inside it
    story: str  # one sentence: what it does, and where it is known from ("P-18")
    base: str = "csvit2_ief3"  # the healthy config it is planted into


def caught(fault: Fault, subject: Subject) -> tuple[bool, list[ProbeRun]]:
    """Whether the expected probe blames the expected component once the fault is planted.

    subject: the healthy one, which stays as it is. An error or a warning counts, an info does not.
    """
    probe, path = fault.expect
    runs = diagnose(fault.plant(subject), probes=[probe])
    return any(blames(finding, path) for run in runs for finding in run.findings), runs


def blames(finding: Finding, path: str) -> bool:
    """Whether an error or a warning points at a component, or at something inside it."""
    inside = finding.path == path or finding.path.startswith(f"{path}.")
    return finding.severity != "info" and (inside or not path)


def with_settings(*changes: str) -> Plant:
    """Plants `--set` lines."""

    def plant(subject: Subject) -> Subject:
        return _rebuilt(subject, set_values(subject.config, changes))

    return plant


def with_config(change: Callable[[dict[str, Any]], None]) -> Plant:
    """Plants whatever `change` does to a copy of the resolved config; a `type` may be a class."""

    def plant(subject: Subject) -> Subject:
        config = copy.deepcopy(dict(subject.config))
        change(config)
        return _rebuilt(subject, config)

    return plant


def with_model(change: Callable[[nn.Module], None]) -> Plant:
    """Plants what `change` does to a built model, in every newly initialised one as well.

    Replace methods with `override`: a copied model then has the fault too.
    """

    def plant(subject: Subject) -> Subject:
        def make() -> nn.Module:
            model = subject.fresh_model()
            change(model)
            return model

        return dataclasses.replace(subject, model=make().eval(), make_model=make, _memory={})

    return plant


def with_frames(change: Callable[[Frame], Frame | None]) -> Plant:
    """Plants what `change` does to every labelled hand; None leaves the hand out."""

    def plant(subject: Subject) -> Subject:
        frames = (change(copy.deepcopy(frame)) for frame in subject.frames.frames)
        kept = tuple(frame for frame in frames if frame is not None)
        return subject.with_frames(FrameBatch(kept, subject.frames.skipped))

    return plant


def override(module: Any, **methods: Callable[..., Any]) -> None:
    """Gives one object other methods, called as `method(self, original, ...)`; copies keep them.

    original: the method as it was, bound.
    """
    kind = type(module)

    def wrapped(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *args: Any) -> Any:
            return method(self, partial(getattr(kind, name), self), *args)

        return call

    own = {name: wrapped(name, method) for name, method in methods.items()}
    module.__class__ = type(kind.__name__, (kind,), own)


def _rebuilt(subject: Subject, config: dict[str, Any]) -> Subject:
    changed = subject_of(subject.name, config, frames=subject.frames, seed=subject.seed)
    return dataclasses.replace(changed, synthetic=subject.synthetic)
