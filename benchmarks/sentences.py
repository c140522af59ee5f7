"""The sentences of a verdict; each names the places in the report where its numbers stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Report = dict[str, Any]

MOST_NAMED = 4  # causes in one sentence


@dataclass(frozen=True)
class Number:
    """A value a sentence rests on, and where it stands in the report (JSON pointer)."""

    at: str
    value: float


@dataclass(frozen=True)
class Sentence:
    """Words, and the numbers behind them."""

    text: str
    numbers: tuple[Number, ...]


def tally(report: Report) -> Sentence:
    """How many laws each subject broke, and how many could not be tested."""
    parts, numbers = [], []
    for subject in report["subjects"]:
        name, at = subject["name"], f"/counts/subjects/{escaped(subject['name'])}"
        counted = report["counts"]["subjects"][name]
        found = [kind for kind in ("error", "warning") if counted[kind]]
        told = " and ".join(_plural(counted[kind], kind) for kind in found)
        parts.append(f"{name} has {told}" if found else f"{name} keeps every law that was tested")
        left_out = [status for status in ("skipped", "crashed") if counted[status]]
        extra = "".join(f", {counted[status]} {status}" for status in left_out)
        parts[-1] += (
            f" ({counted['passed']} of {_plural(counted['probes'], 'probe')} passed{extra})"
        )
        wanted = (*found, "passed", "probes", *left_out)
        numbers += [Number(f"{at}/{key}", counted[key]) for key in wanted]
    return Sentence("; ".join(parts) + ".", tuple(numbers))


def suspects(report: Report, places: Sequence[tuple[str, tuple[Number, ...]]]) -> Sentence:
    """Where to look first: config paths with their numbers, the most suspicious first."""
    named = places[:MOST_NAMED]
    where = ", ".join(dict.fromkeys(path for path, _ in named))
    numbers = tuple(number for _, mine in named for number in mine)
    return Sentence(f"Most suspicious in {first_name(report)}, in this order: {where}.", numbers)


def compared(report: Report) -> Sentence:
    """How many differences there are, and which of them decide."""
    other = report["subjects"][1]["name"]
    decisive = [c for c in report["differences"] if c.get("priority") == "P0"]
    total = len(report["differences"])
    numbers = [Number("/counts/differences", total), Number("/counts/decisive", len(decisive))]
    text = f"Of {_plural(total, 'difference')} to {other}, "
    if not decisive:
        text += "none is ranked as one that decides whether a model learns (P0)."
    else:
        text += f"{len(decisive)} "
        text += "is one that decides" if len(decisive) == 1 else "are ones that decide"
        text += f" whether a model learns (P0): {', '.join(c['path'] for c in decisive)}."
    return Sentence(text, tuple(numbers))


def first_name(report: Report) -> str:
    """The name of the subject under diagnosis."""
    return report["subjects"][0]["name"]


def escaped(key: str) -> str:
    """A key as a JSON pointer writes it (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
