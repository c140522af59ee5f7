"""The page of `zoo diff --html`: every difference with its priority, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from benchmarks.report import blocks, page
from registry.difference import ABSENT
from registry.priority import Ranked

_TITLES = {
    "P0": "P0, look here first",
    "P1": "P1, look here next",
    "P2": "P2, worth a run",
    None: "Not ranked",
}


def difference_page(found: Sequence[Ranked], a: str, b: str, *, command: str) -> str:
    """A self-contained HTML document of the differences, grouped by priority."""
    sections = [
        _section(priority, list(items), a, b)
        for priority, items in groupby(found, key=lambda item: item.priority)
    ]
    lead = (
        f"{len(found)} differences. Made in {a} they give {b}, and undone in {b} they give {a}."
        if found
        else "The two configs are the same."
    )
    return page.render(
        title=f"{a} against {b}",
        kind="zoo diff",
        subjects=[a, b],
        lead=lead,
        sections=sections,
        facts={"command": command},
    )


def _section(priority: str | None, items: Sequence[Ranked], a: str, b: str) -> page.Section:
    columns = ["path", "slot", blocks.subject_mark(a, 0), blocks.subject_mark(b, 1)]
    titled = [blocks.Column(column) for column in columns]
    rows = [
        [_name(item), item.slot, _value(item.change.before), _value(item.change.after)]
        for item in items
    ]
    return page.Section(
        id=(priority or "unranked").lower(),
        title=_TITLES[priority],
        body=blocks.table(titled, rows, caption=f"{a} and {b}"),
        lead=", ".join(dict.fromkeys(item.reason for item in items if item.reason)),
        badge=str(len(items)),
    )


def _name(item: Ranked) -> Markup:
    path = Markup("<code>{}</code>").format(item.path)
    return path + Markup(" ") + blocks.mark(item.priority, item.priority) if item.priority else path


def _value(value: Any) -> Markup:
    """A value as code; a part with one argument a line, so that two can be read side by side."""
    if value is ABSENT:
        return Markup("<em>absent</em>")
    if isinstance(value, Mapping):
        lines = [str(value.get("type", ""))] + [
            f"  {key} = {item!r}" for key, item in value.items() if key != "type"
        ]
        return Markup("<pre>{}</pre>").format("\n".join(line for line in lines if line.strip()))
    return Markup("<code>{}</code>").format(repr(value))
