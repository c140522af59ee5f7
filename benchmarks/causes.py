"""Which of the findings explain that a model does not learn, in an order and in words.

Everything here is computed from the JSON of a diagnosis, and every sentence names the places in
that JSON where its numbers stand, so that a verdict cannot say what was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.diagnose import plain
from benchmarks.sentences import (
    Number,
    Report,
    Sentence,
    compared,
    escaped,
    first_name,
    suspects,
    tally,
)

SEVERITY = {"error": 8.0, "warning": 4.0, "info": 0.5}
ALONE, SHARED = 2.0, 0.25  # found on the first subject only; found on one that learns as well
DIFFERS = {"P0": 3.0, "P1": 2.0, "P2": 1.25}  # the finding stands where the two subjects differ
DIFFERENCE = {"P0": 40.0}  # a difference by itself, as the analysis ranks it
EXCHANGED = 0.3  # a whole part exchanged for another: which of its values matters is open
NAMED = 2.0  # a probe that calls its own finding a first cause
MOST_CAUSES = 8


@dataclass(frozen=True)
class Cause:
    """One reason the first subject may not learn."""

    path: str
    text: str
    score: float
    severity: str  # of the finding, or "difference"
    priority: str | None  # P0 to P2 where the two subjects differ there
    numbers: tuple[Number, ...]
    fix: tuple[str, ...] = ()
    finding: int | None = None  # its index among the report's findings


@dataclass(frozen=True)
class Verdict:
    """What a report says, shortest first."""

    sentences: tuple[Sentence, ...]
    causes: tuple[Cause, ...] = field(default=())

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def complete(
    report: Report,
    *,
    exhibits: Sequence[Mapping[str, Any]],
    command: str,
    environment: Mapping[str, Any],
) -> Report:
    """The whole JSON of a diagnosis: what the probes said, counted, ranked and put into words.

    report: what `benchmarks.diagnose.to_json` returns.
    exhibits: `benchmarks.exhibits.summary` of each subject, {} where there is none.
    """
    whole = {**report, "command": command, "environment": dict(environment)}
    whole["exhibits"] = plain(exhibits)
    whole["differences"] = [
        {**change, "rank": rank} for rank, change in enumerate(report["differences"], 1)
    ]
    whole["counts"] = count(whole)
    whole["findings"] = rank_findings(whole)
    whole["verdict"] = verdict(whole).plain()
    return whole


def count(report: Report) -> dict[str, Any]:
    """How many probes ran and what they found, by subject, and how many differences there are."""
    counts = {}
    for subject in report["subjects"]:
        name = subject["name"]
        probes = [probe["status"] for probe in report["probes"] if probe["subject"] == name]
        found = [one["severity"] for one in report["findings"] if one["subject"] == name]
        counts[name] = {
            "probes": len(probes),
            **{status: probes.count(status) for status in ("passed", "failed", "skipped")},
            "crashed": probes.count("crashed"),
            **{severity: found.count(severity) for severity in SEVERITY},
        }
    decisive = [c for c in report["differences"] if c.get("priority") == "P0"]
    return {
        "subjects": counts,
        "differences": len(report["differences"]),
        "decisive": len(decisive),
    }


def rank_findings(report: Report) -> list[dict[str, Any]]:
    """The findings with their `suspicion`, the most suspicious first.

    A finding weighs by its severity; more where the other subject does not have it, little where
    it does, and more where the two subjects differ, by the priority of the difference.
    """
    settable = {s["name"] for s in report["subjects"] if s["config"] is not None}
    others = [f for f in report["findings"] if f["subject"] != first_name(report)]
    known = {(f["id"], f["path"]) for f in others}
    ranked = [
        {
            **f,
            "fix": f["fix"] if f["subject"] in settable else [],  # `--set` changes configs only
            "suspicion": round(_suspicion(f, report, known), 3),
        }
        for f in report["findings"]
    ]
    return sorted(ranked, key=lambda f: (f["subject"] != first_name(report), -f["suspicion"]))


def verdict(report: Report) -> Verdict:
    """What the report says of its first subject; it needs `counts` and ranked findings."""
    causes = _causes(report)
    found = [cause for cause in causes if cause.severity != "difference"]
    sentences = [tally(report)]
    if found:
        sentences.append(suspects(report, [(cause.path, cause.numbers) for cause in found]))
    if len(report["subjects"]) > 1 and report["differences"]:
        sentences.append(compared(report))
    return Verdict(tuple(sentences), tuple(causes[:MOST_CAUSES]))


def resolve(report: Report, pointer: str) -> Any:
    """What stands at a JSON pointer (RFC 6901); raises KeyError where nothing does."""
    value: Any = report
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise KeyError(pointer) from error
    return value


def _suspicion(finding: Mapping[str, Any], report: Report, known: set[tuple[str, str]]) -> float:
    score = SEVERITY[finding["severity"]]
    if len(report["subjects"]) > 1 and finding["subject"] == first_name(report):
        score *= SHARED if (finding["id"], finding["path"]) in known else ALONE
        score *= DIFFERS.get(_priority_at(finding["path"], report) or "", 1.0)
    if finding["evidence"].get("priority", 5) == 0:
        score *= NAMED
    return score


def _causes(report: Report) -> list[Cause]:
    causes = []
    for index, finding in enumerate(report["findings"]):
        if finding["subject"] == first_name(report) and finding["severity"] != "info":
            causes.append(_of_finding(report, index, finding))
    explained = {cause.path for cause in causes}
    for index, change in enumerate(report["differences"]):
        if change.get("priority") in DIFFERENCE and change["path"] not in explained:
            causes.append(_of_difference(report, index, change))
    return sorted(causes, key=lambda cause: -cause.score)


def _of_finding(report: Report, index: int, finding: Mapping[str, Any]) -> Cause:
    numbers = tuple(
        Number(f"/findings/{index}/evidence/{escaped(key)}", value)
        for key, value in finding["evidence"].items()
        if _is_number(value) and key != "priority"
    )
    return Cause(
        path=finding["path"],
        text=finding["message"],
        score=finding["suspicion"],
        severity=finding["severity"],
        priority=_priority_at(finding["path"], report),
        numbers=numbers or (Number(f"/findings/{index}/suspicion", finding["suspicion"]),),
        fix=tuple(finding["fix"]),
        finding=index,
    )


def _of_difference(report: Report, index: int, change: Mapping[str, Any]) -> Cause:
    second = report["subjects"][1]["name"]
    before, after = _brief(change["before"]), _brief(change["after"])
    told = _EXPLAINED.get((change.get("reason"), after), change.get("reason") or "")
    text = f"{change['path']} is {before}, in {second} {after}" + (f": {told}." if told else ".")
    numbers = tuple(
        Number(f"/exhibits/{i}/start/fingers_from_mean_deg", value)
        for i, shown in enumerate(report.get("exhibits", ())[:2])
        if _is_number(value := shown.get("start", {}).get("fingers_from_mean_deg"))
    )
    if len(numbers) == 2:
        a, b = (f"{number.value:.1f}" for number in numbers)
        text += f" The first answer's fingers are {a}° from the mean hand, {b}° in {second}."
    exchanged = any(isinstance(change[side], Mapping) for side in ("before", "after"))
    return Cause(
        path=change["path"],
        text=text,
        score=DIFFERENCE[change["priority"]] * (EXCHANGED if exchanged else 1.0),
        severity="difference",
        priority=change["priority"],
        numbers=numbers or (Number(f"/differences/{index}/rank", change["rank"]),),
        fix=_fix(change),
    )


_EXPLAINED = {
    ("residual", "True"): "without it the head has to say the whole hand, not a correction",
    ("mean initialisation", "mean"): "without it the first answer is no hand",
}


def _fix(change: Mapping[str, Any]) -> tuple[str, ...]:
    value = change["after"]
    if change["before"] == "absent" or value == "absent" or isinstance(value, Mapping):
        return ()
    return (f"{change['path']}={str(value).lower() if isinstance(value, bool) else value}",)


def _priority_at(path: str, report: Report) -> str | None:
    """The best priority of a difference at, above or below a config path."""
    found = [
        change["priority"]
        for change in report["differences"]
        if change.get("priority") and _related(change["path"], path)
    ]
    return min(found, default=None)


def _related(a: str, b: str) -> bool:
    return a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.")


def _brief(value: Any, width: int = 48) -> str:
    text = value["type"] if isinstance(value, Mapping) and "type" in value else str(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
