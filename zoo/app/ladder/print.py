"""What `zoo ladder` shows in a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from benchmarks.ladder.attribution import MAIN
from benchmarks.ladder.bisect import Culprits
from benchmarks.ladder.plan import Plan
from benchmarks.ladder.report import shown
from benchmarks.ladder.runs import Run
from registry.difference import Change
from zoo.app.cli.diff import brief
from zoo.app.ladder.marks import Scale, one_scale

_NAME = 20  # columns of a rung's name
_SHORT = 50  # letters of both values on one line


def plan_lines(plan: Plan, *, whole: bool) -> Iterator[RenderableType]:
    """The rungs, and what is held equal; whole: with every difference and its two values."""
    if not plan.rungs:
        yield f"{plan.start} and {plan.goal} are the same but for what is held equal."
    else:
        count = sum(len(rung.changes) for rung in plan.rungs)
        said = f"{count} differences in {len(plan.rungs)} rungs"
        yield f"[bold]{plan.start} -> {plan.goal}[/]: {said}"
    for number, rung in enumerate(plan.rungs, 1):
        size = len(rung.changes)
        said = "" if whole else f"  [dim]{size} difference{'s' if size > 1 else ''}[/]"
        yield f"{number:3} [bold]{rung.name}[/]{said}"
        for change in rung.changes if whole else ():
            yield from _change(change)
        for note in rung.notes:
            yield _inside(f"[yellow]{escape(note)}[/]")
    if plan.held:
        paths = ", ".join(change.path for change in plan.held)
        yield _inside(f"Held equal at {plan.start}'s value: [dim]{paths}[/]", 0)


def _change(change: Change) -> Iterator[RenderableType]:
    """A line; three where a part is exchanged whole."""
    before, after = escape(brief(change.before)), escape(brief(change.after))
    path = f"[cyan]{escape(change.path)}[/]"
    if len(before) + len(after) < _SHORT:
        yield _inside(f"{path}: {before} -> {after}")
        return
    yield _inside(path)
    yield _inside(f"[red]-[/] {before}", 6)
    yield _inside(f"[green]+[/] {after}", 6)


def _inside(text: str, indent: int = 4) -> Padding:
    return Padding(text, (0, 0, 0, indent), expand=False)


@dataclass
class Teller:
    """Prints each event of a training, how many are done, and when the last one will be."""

    console: Console
    total: int
    done: int = 0
    _begun: float = field(default_factory=time.monotonic)
    _before: int | None = None  # done when this start of the ladder began

    def __post_init__(self) -> None:
        self._before = self.done

    def __call__(self, run: Run, what: str) -> None:
        if what == "finished":
            self.done += 1
            what = f"finished{_error_of(run)}{self._left()}"
        digits = len(str(self.total))
        self.console.print(
            f"\\[{self.done:{digits}}/{self.total}] {run.name} seed {run.seed}: {what}",
            highlight=False,
        )

    def _left(self) -> str:
        minutes = (time.monotonic() - self._begun) / 60 / (self.done - self._before)
        left = minutes * (self.total - self.done)
        return f"; about {left:.0f} min left" if left >= 1 else ""


def summary_tables(summary: Mapping[str, Any], width: int = 100) -> Iterator[Table]:
    """The staircase, and what each rung bought where there are several orders.

    width: columns of the terminal; what the text leaves is drawn on.
    """
    main = summary["metrics"][0]
    many = len(summary["climbs"]) > 1
    yield _stairs(summary, main, width, with_total=not many)
    if many:
        yield _shares(summary, main, width)


def _stairs(summary: Mapping[str, Any], main: str, width: int, with_total: bool) -> Table:
    table = Table(title=f"{main} rung by rung, with 95 % intervals", box=None)
    table.title_style = "bold"
    table.add_column("rung", overflow="fold", max_width=_NAME)
    for name in ("error", "step", "converged"):
        table.add_column(name, justify="right")
    estimates = [rung["level"][main] for rung in summary["rungs"]]
    base = summary["rungs"][0]["runs"][0]["baseline"].get(main)
    scale = one_scale(estimates, columns=width - 64, mark=base)
    table.add_column(scale.header)
    for rung, error in zip(summary["rungs"], estimates, strict=True):
        held = [bool((run["verdict"] or {}).get("converged")) for run in rung["runs"]]
        step = rung["step"].get(main)
        table.add_row(
            rung["name"],
            f"{error['mean']:.1f}",
            _judged(step) if step else "",
            f"{sum(held)} of {len(held)}",
            _drawn(scale, error),
        )
    if with_total:
        total = summary["total"][main]
        table.add_row("[bold]goal minus start[/]", "", f"[bold]{_judged(total)}[/]", "", "")
    table.caption = _caption(base)
    return table


def _shares(summary: Mapping[str, Any], main: str, width: int) -> Table:
    table = Table(title=f"What each rung bought in {main}, over the orders", box=None)
    table.title_style = "bold"
    table.add_column("rung", overflow="fold", max_width=_NAME)
    for name in ("share", "spread"):
        table.add_column(name, justify="right")
    entries = [entry for entry in summary["attribution"] if entry["metric"] == main]
    scale = one_scale(entries, columns=width - 63, mark=0.0)
    table.add_column(scale.header)
    for entry in entries:
        spread = f"{entry['spread']:.1f}"
        table.add_row(entry["change"], _judged(entry), spread, _drawn(scale, entry))
    total = summary["total"][main]
    table.add_row("[bold]goal minus start[/]", f"[bold]{_judged(total)}[/]", "", "")
    table.caption = "Below 0 is better. Spread: how far the orders are apart."
    return table


def _drawn(scale: Scale, estimate: Mapping[str, Any]) -> str:
    return f"[cyan]{scale.draw(estimate)}[/]"


def _judged(step: Mapping[str, Any]) -> str:
    """A step in green or red where its interval leaves 0 out."""
    text = shown(step, signed=True)
    if step["low"] is None or step["low"] <= 0 <= step["high"]:
        return text
    return f"[green]{text}[/]" if step["high"] < 0 else f"[red]{text}[/]"


def _caption(base: float | None) -> str:
    said = "Smaller is better."
    return said if base is None else f"{said} ┊ is the mean-pose baseline, {base:.1f}."


def bisect_lines(plan: Plan, found: Culprits, criterion: str) -> Iterator[str]:
    """The decisive differences in words."""
    good, bad = (plan.start, plan.goal) if found.start_holds else (plan.goal, plan.start)
    yield (
        f"{good} holds ({criterion}) and {bad} fails. The smallest set found whose return to "
        f"{good}'s value repairs {bad}, with {found.runs} configs trained:"
    )
    for number in found.numbers:
        for change in plan.rungs[number].changes:
            yield f"  {change.path}: {brief(change.before)} -> {brief(change.after)}"


def _error_of(run: Run) -> str:
    metrics = json.loads((run.folder / "run.json").read_text()).get("metrics", {})
    return f", {MAIN} {metrics[MAIN]:.1f}" if metrics.get(MAIN) is not None else ""
