"""The page of `zoo report RUN...`: runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from benchmarks.ladder import charts
from benchmarks.report import blocks, page
from benchmarks.report.blocks import Column
from benchmarks.verdict import explain


def runs_page(summary: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """A whole HTML document from `compare_runs`'s record."""
    names = [run["name"] for run in summary["runs"]]
    sections = [
        page.Section("numbers", "Errors", _numbers(summary)),
        page.Section("verdicts", "Verdicts", _verdicts(summary)),
    ]
    if summary["differences"]:
        lead = "On the same hands, in pairs; below 0 the first named has the smaller error."
        sections.insert(1, page.Section("paired", "Differences", _paired(summary), lead=lead))
    likely = {"rungs": [{"name": run["name"], "runs": [run]} for run in summary["runs"]]}
    drawn = [charts.curves(likely, name) for name in ("train/loss", "val/root_mpjpe_mm")]
    if any(drawn):
        body = blocks.stack(chart for chart in drawn if chart is not None)
        sections.append(page.Section("curves", "Curves", body))
    return page.render(
        title=" and ".join(names) if len(names) < 4 else f"{len(names)} runs",
        kind="zoo report",
        sections=sections,
        lead="Read from the files of finished runs.",
        facts=facts,
    )


def interval(one: Mapping[str, float], signed: bool = False) -> str:
    """A value with its interval as text."""
    sign = "+" if signed else ""
    return f"{one['value']:{sign}.1f} ({one['low']:{sign}.1f} to {one['high']:{sign}.1f})"


def _numbers(summary: Mapping[str, Any]) -> Markup:
    columns = ["metric", *(Column(run["name"], True) for run in summary["runs"])]
    rows: list[Any] = [
        [metric, *(interval(run["metrics"][metric]) for run in summary["runs"])]
        for metric in summary["metrics"]
    ]
    for key in ("parameters_m", "steps", "samples_per_s", "seed"):
        rows.append([key, *(run.get(key) for run in summary["runs"])])
    return blocks.table(columns, rows, caption="Means over labels, 95 % intervals over hands")


def _paired(summary: Mapping[str, Any]) -> Markup:
    rows = []
    for pair, found in summary["differences"].items():
        if "why_not" in found:
            rows.append([pair, found["why_not"], ""])
            continue
        rows += [[pair, metric, interval(one, signed=True)] for metric, one in found.items()]
    return blocks.table(["pair", "metric", Column("difference", True)], rows, caption="Pairs")


def _verdicts(summary: Mapping[str, Any]) -> Markup:
    rows = []
    for run in summary["runs"]:
        criteria = (run["verdict"] or {}).get("criteria", {})
        failed = [
            explain(name, entry)
            for name, entry in criteria.items()
            if isinstance(entry, Mapping) and entry.get("holds") is not True
        ]
        mark = blocks.mark("not", "warning") if failed else blocks.mark("converged", "ok")
        rows.append([run["name"], mark, "; ".join(failed)])
    return blocks.table(["run", "verdict", "what failed"], rows, caption="Fixed criteria")
