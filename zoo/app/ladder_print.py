"""What `zoo ladder` shows in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.ladder.attribution import MAIN
from benchmarks.ladder.bisect import Culprits
from benchmarks.ladder.plan import Plan
from benchmarks.ladder.report import shown
from benchmarks.ladder.runs import Run
from zoo.app.cli_diff import brief


def plan_tables(plan: Plan) -> Iterator[Table | str]:
    """The rungs with their differences, and what is held equal."""
    if not plan.rungs:
        yield f"{plan.start} and {plan.goal} are the same but for what is held equal."
    table = Table("rung", "path", plan.start, plan.goal, title="The ladder", title_style="bold")
    for number, rung in enumerate(plan.rungs, 1):
        for i, change in enumerate(rung.changes):
            name = f"{number} {rung.name}" if i == 0 else ""
            table.add_row(name, change.path, brief(change.before), brief(change.after))
        for note in rung.notes:
            table.add_row("", f"[yellow]{note}[/]", "", "")
    if plan.rungs:
        yield table
    if plan.held:
        paths = ", ".join(change.path for change in plan.held)
        yield f"Held equal at {plan.start}'s value: {paths}"


@dataclass
class Teller:
    """Prints each event of a training, and how many are done."""

    console: Console
    total: int
    done: int = 0

    def __call__(self, run: Run, what: str) -> None:
        if what == "finished":
            self.done += 1
            what = f"finished{_error_of(run)}"
        self.console.print(
            f"\\[{self.done}/{self.total}] {run.name} seed {run.seed}: {what}", highlight=False
        )


def summary_tables(summary: Mapping[str, Any]) -> Iterator[Table | str]:
    """The staircase and what each rung bought, for the main metric."""
    main = summary["metrics"][0]
    stairs = Table("rung", main, "step", "samples/s", "converged", title="Rung by rung")
    for rung in summary["rungs"]:
        held = [bool((run["verdict"] or {}).get("converged")) for run in rung["runs"]]
        speeds = [run["samples_per_s"] or 0.0 for run in rung["runs"]]
        stairs.add_row(
            rung["name"],
            shown(rung["level"][main]),
            shown(rung["step"][main], signed=True) if rung["step"] else "",
            f"{sum(speeds) / len(speeds):.0f}",
            f"{sum(held)} of {len(held)}",
        )
    yield stairs
    many = len(summary["climbs"]) > 1
    shares = Table("rung", "change", *(["spread over orders"] if many else []))
    shares.title = f"What each rung bought ({main}, below 0 is better)"
    for entry in summary["attribution"]:
        if entry["metric"] == main:
            spread = [f"{entry['spread']:.1f}"] if many else []
            shares.add_row(entry["change"], shown(entry, signed=True), *spread)
    shares.add_row("[bold]goal minus start[/]", shown(summary["total"][main], signed=True))
    yield shares


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
