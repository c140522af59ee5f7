"""What pages are built of: tables, heat tables, tabs, marks, copyable code, figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from markupsafe import Markup

from benchmarks.report.page import MAX_SUBJECTS, environment

Kind = Literal["error", "warning", "info", "ok", ""]


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers are right-aligned."""

    title: str | Markup
    numeric: bool = False


@dataclass(frozen=True)
class Group:
    """A row that names the rows after it."""

    group: str | Markup


@dataclass(frozen=True)
class Panel:
    """One of several bodies of which a reader sees one at a time; print shows all."""

    title: str
    body: Markup
    kind: str = ""  # a subject's colour class, from `colour`


@dataclass(frozen=True)
class Heat:
    """A cell of a heat table."""

    text: str
    heat: float = 0.0  # 0 pale to 1 strong
    kind: Literal["", "dead", "flag"] = ""  # dead: hatched, nothing there; flag: outlined
    note: str = ""  # shown on hover


def table(
    columns: Sequence[str | Column],
    rows: Iterable[Sequence[Any] | Group],
    *,
    caption: str,
    stacks: bool = False,
) -> Markup:
    """A table; its first column names the row.

    Cells are text, numbers (shown by `number`) or Markup; None is an en dash.
    stacks: on a narrow screen cells stand below each other, each behind its column's title, where
    a row is read and not compared with others. Other tables scroll there.
    """
    heads = [column if isinstance(column, Column) else Column(column) for column in columns]
    shown = [row if isinstance(row, Group) else [_cell(cell) for cell in row] for row in rows]
    return _render("table", heads, shown, caption, stacks)


def heat_table(
    columns: Sequence[str],
    rows: Mapping[str, Sequence[Heat]],
    *,
    caption: str,
    corner: str = "",
) -> Markup:
    """A matrix whose cells are coloured by value and still say the value."""
    return _render("heat", corner, columns, list(rows.items()), caption)


def tabs(label: str, panels: Sequence[Panel], *, id: str) -> Markup:
    """Panels of which one is shown; keyboard as the ARIA practices say, all of them in print."""
    if len(panels) == 1:
        return panels[0].body
    return _render("tabs", id, label, panels)


def code(text: str, *, label: str = "") -> Markup:
    """Text to copy, with a button that does."""
    return _render("code", text, label)


def bars(rows: Sequence[tuple[str, float, str]], *, subject: int | None = None) -> Markup:
    """Horizontal bars: label, value, text of the value; the longest fills the width."""
    largest = max((value for _, value, _ in rows if math.isfinite(value)), default=0.0) or 1.0
    shown = [
        {"label": label, "percent": 100 * max(value, 0.0) / largest, "text": text}
        for label, value, text in rows
        if math.isfinite(value)
    ]
    return _render("bars", shown, "" if subject is None else colour(subject))


def figure(drawing: Markup, caption: str = "") -> Markup:
    """A drawing with what it shows."""
    return _render("figure", drawing, caption)


def details(summary: str, body: Markup) -> Markup:
    """Something folded away; print unfolds it."""
    return _render("details", summary, body)


def mark(text: str, kind: str = "") -> Markup:
    """A small label: error, warning, info, passed, failed, skipped, crashed, P0-P2, path."""
    return _render("mark", text, kind)


def subject_mark(name: str, index: int) -> Markup:
    """A subject's name in its colour."""
    return mark(name, f"subject {colour(index)}")


def notice(body: str | Markup, kind: Kind = "") -> Markup:
    """A sentence that must not be missed."""
    return _render("notice", body, kind)


def columns(*items: Markup) -> Markup:
    """Blocks side by side, under each other on a narrow screen."""
    return _render("columns", items)


def stack(items: Iterable[Markup]) -> Markup:
    """Blocks one after another."""
    return Markup("\n").join(items)


def heading(text: str, level: int = 3) -> Markup:
    """A heading inside a section."""
    return Markup("<h{0}>{1}</h{0}>").format(level, text)


def paragraph(text: str | Markup) -> Markup:
    return Markup("<p>{}</p>").format(text)


def colour(subject: int) -> str:
    """The class that carries the colour of the subject with this index."""
    return f"s{subject % MAX_SUBJECTS}"


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, as short as they can be said: 0.00123, 41.2, 1.2e-07."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) < 10**7:
        return f"{value:,}".replace(",", "\u2009")
    if value and not 1e-4 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    text = f"{value:.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@cache
def _macros() -> Any:
    return environment().get_template("blocks.html.j2").module


def _render(name: str, *arguments: Any) -> Markup:
    return getattr(_macros(), name)(*arguments)


def _cell(value: Any) -> Any:
    if isinstance(value, Markup | str):
        return value
    return number(value)
