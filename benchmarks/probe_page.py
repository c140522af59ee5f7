"""Writes docs/probes.md from the probes themselves: `python -m benchmarks.probe_page`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from registry.catalog import SLOTS

PAGE = Path(__file__).parent.parent / "docs" / "probes.md"
FAMILIES = {
    "config": "Does the recipe say what its author believes?",
    "gradient": "Do the losses reach what they should train, and in what proportion?",
    "ledger": "Do the numbers that are added up mean what the recipe says?",
    "numeric": "Do values and gradients stay finite and exact where numbers are awkward?",
    "learning": "Does the whole learn?",
    "shape": "Is a batch its samples, whatever its size?",
    "label": "Do the labels of a hand agree with each other?",
    "augmentation": "Do pixels, points, orientation and camera move together?",
    "mask": "Is what is not labelled never read?",
    "metric": "Does a metric measure what its name says?",
    "determinism": "Does the same seed give the same, and another rank something else?",
    "data": "Are the hands inside what the model can see and say?",
    "weights": "Were the weights loaded that were asked for?",
    "run": "What does a run's own log say?",
}


def text() -> str:
    """The whole page: one section a probe, its law first, then why it matters."""
    lines = (line.rstrip() for line in (*_head(), *_sections()))
    return "\n".join(lines).rstrip() + "\n"


def anchor(probe: str) -> str:
    """The heading of a probe as the page's links spell it."""
    return probe.replace(".", "-").replace("_", "-")


def _head() -> Iterator[str]:
    yield "# Probes"
    yield ""
    yield "Each probe of `zoo diagnose` states a law that a healthy model keeps, tests it on the "
    yield "running model, and says what it found with numbers and a fix. An *error* is a broken "
    yield "law, a *warning* something suspicious that may be meant, an *info* a difference worth "
    yield "knowing. A probe that cannot test its law says why (*skipped*); one that breaks is "
    yield "reported as *crashed*, and the others still run."
    yield ""
    yield "How well they do it is measured: [the bug bench](bug_bench.md). To write one, see "
    yield "`benchmarks/probe.py`: a class with these four lines and a `__call__`, registered in "
    yield "the slot `probe`. This page is written by `python -m benchmarks.probe_page`."


def _sections() -> Iterator[str]:
    slot = SLOTS["probe"]
    names = [name for name in slot.names() if slot.origin(name) == "shipped"]
    families = sorted({n.split(".")[0] for n in names}, key=[*FAMILIES, *names].index)
    for family in families:
        yield from ("", f"## {family}", "", FAMILIES.get(family, ""))
        for name in (n for n in names if n.split(".")[0] == family):
            probe = slot.get(name)
            # an element, for not every reader of Markdown knows how to name a heading
            yield from ("", f'<a id="{anchor(name)}"></a>', "", f"### {name}", "")
            yield from (f"**Law.** {probe.law}", "")
            yield from inspect.cleandoc(probe.__doc__ or "").splitlines()


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
