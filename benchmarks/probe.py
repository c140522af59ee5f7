"""What a probe is: a law that a healthy model keeps, tested with numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from benchmarks.subject import Subject
from zoo.contracts import Finding


class Unrunnable(Exception):
    """The law says nothing about this subject; the message is the reason: "skipped: why"."""


@dataclass(frozen=True)
class ProbeResult:
    """What one probe found on one subject, and the numbers it looked at.

    evidence goes into the JSON and the report even where the law holds: plain numbers, strings,
    lists, dicts of these, numpy arrays or tensors.
    """

    findings: tuple[Finding, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Probe(Protocol):
    """One law. A part of the slot `probe`, named "family.name" in `registry/catalog.py`.

    A class without required arguments. It neither changes the subject's weights nor leaves a
    trace in it (`Subject.fresh_model` is for experiments), draws from generators of its own, and
    raises `Unrunnable` where it cannot test its law, so that nothing passes silently.

    Severity of findings: "error" for a broken law, "warning" for what is suspicious but may be
    meant, "info" for a difference worth knowing. A finding's id is the probe's id, a slash, and
    a short name: "gradient.reach/none".
    """

    id: ClassVar[str]  # "gradient.reach"
    family: ClassVar[str]  # "gradient"
    law: ClassVar[str]  # one sentence
    see: ClassVar[str]  # "docs/probes.md#gradient-reach"

    def __call__(self, subject: Subject) -> ProbeResult: ...
