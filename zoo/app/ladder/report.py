"""`zoo report`: tables and pages again from run files, without a model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.bench.runs import compare_runs
from benchmarks.bench.runs_page import interval, runs_page
from benchmarks.ladder.climb import PLAN, write_json
from benchmarks.ladder.gaps import NO_RUN, climbed_over, failures
from benchmarks.ladder.report import ladder_page
from benchmarks.ladder.summary import read_plan, read_results, summarise
from benchmarks.report import page
from zoo.app.ladder.print import summary_tables
from zoo.app.ladder.table import show_table
from zoo.app.training.results import commit, machine


def rebuild(runs: Sequence[Path], html: Path | None, json: Path | None, console: Console) -> None:
    """The report of a ladder's folder, of a table's, or of single runs side by side."""
    if len(runs) == 1 and (runs[0] / PLAN).is_file():
        if "variants" in read_plan(runs[0]):
            summary = show_table(runs[0], console)
        else:
            summary = rebuild_ladder(runs[0], console, html)
    else:
        summary = compare_runs(runs)
        console.print(_runs_table(summary))
        target = html or Path("report.html")
        page.write(target, runs_page(summary, facts(["zoo", "report", *map(str, runs)])))
        console.print(f"Page: {target}", highlight=False)
    if json is not None:
        write_json(json, summary)


def rebuild_ladder(folder: Path, console: Console, html: Path | None = None) -> dict[str, Any]:
    """Prints a ladder's tables and writes its JSON and page."""
    record = climbed_over(read_plan(folder), failures(folder))
    summary = summarise(record, read_results(folder, record))
    for table in summary_tables(summary, console.width):
        console.print(table)
    for note in (note for rung in summary["rungs"] for note in rung["notes"]):
        if NO_RUN in note:
            console.print(f"[yellow]climbed over:[/] {escape(note)}", highlight=False)
    write_json(folder / "ladder.json", summary)
    target = html or folder / "report.html"
    page.write(target, ladder_page(summary, facts(["zoo", "report", str(folder)])))
    console.print(f"Numbers: {folder / 'ladder.json'}", highlight=False)
    console.print(f"Page:    {target}", highlight=False)
    return summary


def _runs_table(summary: Mapping[str, Any]) -> Table:
    table = Table("metric", *(run["name"] for run in summary["runs"]), title="Runs side by side")
    for metric in summary["metrics"]:
        table.add_row(metric, *(interval(run["metrics"][metric]) for run in summary["runs"]))
    return table


def facts(command: Sequence[str]) -> dict[str, str]:
    """The small print of a page: command, commit and machine."""
    here = machine()
    gpu = here["gpu"] or "no GPU"
    return {
        "command": shlex.join(command),
        "commit": commit() or "an installed wheel",
        "machine": f"{here['cores']} cores, {here['architecture']}, {gpu}",
    }
