"""Laws of labels, tested on each data set of a mixture by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject
from zoo.contracts import Finding, FrameBatch

FEWEST = 6  # hands of a source; of fewer a share says nothing

Law = Callable[[Any, Subject], ProbeResult]


def each_source(law: Law) -> Law:
    """A probe's `__call__` that asks every source of the frames before it asks all of them.

    One data set of four that is converted wrongly hides in means and shares over all hands. Where
    some sources break the law and others keep it, each that breaks it is named; where all or none
    do, the frames together have the word.
    """

    @wraps(law)
    def asked(self: Any, subject: Subject) -> ProbeResult:
        results = dict(_by_source(self, law, subject))
        broken = {name: result for name, result in results.items() if _alarms(result)}
        if not broken or len(broken) == len(results):
            return law(self, subject)
        findings = tuple(
            _about(name, finding) for name, result in broken.items() for finding in _alarms(result)
        )
        evidence = {name: result.evidence for name, result in results.items()}
        return ProbeResult(findings, {"by source": evidence})

    return asked


def _by_source(probe: Any, law: Law, subject: Subject) -> Iterator[tuple[str, ProbeResult]]:
    """What a law says of every source with enough hands; nothing where there is but one."""
    frames = subject.frames.frames
    names = sorted({frame.source for frame in frames})
    for name in names if len(names) > 1 else ():
        chosen = tuple(frame for frame in frames if frame.source == name)
        if len(chosen) < FEWEST:
            continue
        try:
            yield name, law(probe, subject.with_frames(FrameBatch(chosen)))
        except Unrunnable:
            continue  # this source does not label what the law is about


def _alarms(result: ProbeResult) -> list[Finding]:
    return [finding for finding in result.findings if finding.severity != "info"]


def _about(source: str, finding: Finding) -> Finding:
    return dataclasses.replace(
        finding,
        message=f"Of the hands from {source!r} alone: {finding.message}",
        evidence={**finding.evidence, "source": source},
    )
