"""Runs probes over subjects; one that crashes is reported as crashed, and the rest still runs."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.probe import Probe, ProbeResult, Unrunnable
from benchmarks.subject import Subject
from registry.catalog import SLOTS
from registry.slot import UnknownComponent, nearest
from zoo.contracts import Finding

SEVERITIES = ("error", "warning", "info")  # worst first
Status = Literal["passed", "failed", "skipped", "crashed"]


@dataclass(frozen=True)
class ProbeRun:
    """What became of one probe on one subject."""

    id: str
    status: Status
    why: str  # of a skipped or crashed probe
    seconds: float
    findings: tuple[Finding, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    law: str = ""
    see: str = ""


def diagnose(
    subject: Subject, *, probes: Iterable[str] | None = None, seed: int = 0
) -> list[ProbeRun]:
    """Every probe, or those named, on one subject.

    probes: names ("gradient.reach") or families ("gradient"). A probe fails when it finds an
    error or a warning. Raises UnknownComponent for a name that no probe has.
    """
    return [_run(_made(name), subject, seed) for name in chosen(probes)]


def chosen(probes: Iterable[str] | None) -> list[str]:
    """The names of the probes asked for by name or family; all of them for None."""
    known = SLOTS["probe"].names()
    if probes is None:
        return known
    names: dict[str, None] = {}
    for asked in probes:
        found = [name for name in known if name == asked or name.startswith(f"{asked}.")]
        if not found:
            families = sorted({name.split(".")[0] for name in known})
            raise UnknownComponent(
                f"No probe is called {asked!r}.{nearest(asked, [*known, *families])} Families: "
                f"{', '.join(families)}."
            )
        names |= dict.fromkeys(found)
    return list(names)


def ranked(runs: Iterable[ProbeRun]) -> list[tuple[Finding, ProbeRun]]:
    """Every finding with its probe, worst first.

    Within a severity the findings' own `priority` (0 first; evidence, default 5) decides.
    """
    pairs = [(finding, run) for run in runs for finding in run.findings]

    def order(pair: tuple[Finding, ProbeRun]) -> tuple[int, float]:
        finding = pair[0]
        return SEVERITIES.index(finding.severity), float(finding.evidence.get("priority", 5))

    return sorted(pairs, key=order)


def to_json(
    subjects: Sequence[Subject],
    runs: Sequence[Sequence[ProbeRun]],
    differences: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The report's schema 1: plain values only; numbers that are not finite become strings.

    runs: one list a subject, in the same order.
    differences: path, before, after, slot, priority of every change from the first to the second.
    """
    return {
        "schema": 1,
        "subjects": [_about(subject) for subject in subjects],
        "differences": [plain(difference) for difference in differences],
        "findings": [
            item
            for subject, mine in zip(subjects, runs, strict=True)
            for item in _findings(subject, mine)
        ],
        "probes": [
            {
                "id": run.id,
                "subject": subject.name,
                "status": run.status,
                "why": run.why,
                "seconds": round(run.seconds, 3),
                "law": run.law,
                "see": run.see,
                "evidence": plain(run.evidence),
            }
            for subject, mine in zip(subjects, runs, strict=True)
            for run in mine
        ],
    }


def plain(value: Any) -> Any:
    """A value as JSON can hold it: arrays as lists, inf and NaN as "inf" and "nan"."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, torch.Tensor):
        return plain(value.detach().cpu().tolist())
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _about(subject: Subject) -> dict[str, Any]:
    parameters = sum(p.numel() for p in subject.model.parameters())
    return {
        "name": subject.name,
        "config": plain(subject.config),
        "checkpoint": None if subject.checkpoint is None else str(subject.checkpoint),
        "parameters_m": parameters / 1e6,
        "hands": len(subject.frames),
        "synthetic": subject.synthetic,
        "seed": subject.seed,
    }


def _findings(subject: Subject, runs: Sequence[ProbeRun]) -> Iterator[dict[str, Any]]:
    for finding, run in ranked(runs):
        yield {
            "id": finding.id,
            "probe": run.id,
            "severity": finding.severity,
            "subject": subject.name,
            "path": finding.path,
            "message": finding.message,
            "evidence": plain(finding.evidence),
            "fix": list(finding.fix),
            "see": run.see,
        }


def _made(name: str) -> Probe | ProbeRun:
    try:
        return SLOTS["probe"].get(name)()
    except Exception as error:  # a probe that cannot even be made must not end the diagnosis
        return ProbeRun(name, "crashed", _trace(error), 0.0)


def _run(probe: Probe | ProbeRun, subject: Subject, seed: int) -> ProbeRun:
    if isinstance(probe, ProbeRun):
        return probe
    started = time.perf_counter()
    status, why, result = "passed", "", ProbeResult()
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            subject.model.eval().zero_grad(set_to_none=True)
            result = probe(subject)
        if any(finding.severity != "info" for finding in result.findings):
            status = "failed"
    except Unrunnable as reason:
        status, why = "skipped", str(reason)
    except Exception as error:  # whatever it is, the other probes still have their say
        status, why = "crashed", _trace(error)
    finally:
        subject.model.eval().zero_grad(set_to_none=True)
    seconds = time.perf_counter() - started
    findings, evidence = tuple(result.findings), result.evidence
    return ProbeRun(probe.id, status, why, seconds, findings, evidence, probe.law, probe.see)


def _trace(error: BaseException) -> str:
    """What an error said, and the last place of the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
