"""`zoo ladder` on a table: one config with each of some changes, beside what somebody claimed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.ladder.buildable import why_not_built
from benchmarks.ladder.climb import (
    OtherLadder,
    Stop,
    frugal,
    goes_on,
    keep_config,
    runs_of,
    write_json,
)
from benchmarks.ladder.plan import CannotClimb, WhyNot
from benchmarks.ladder.variants import summarise_table
from registry.config import load
from zoo.app.machine.sizing import choose_size

if TYPE_CHECKING:
    from zoo.app.ladder.climb import LadderRequest


def climb_table(request: LadderRequest, file: Mapping[str, Any], console: Console) -> bool:
    """Trains every variant of a ladder file that holds a table; False where a training failed.

    Raises CannotClimb before any training where a variant cannot be built.
    """
    from zoo.app.ladder.climb import train_runs

    base = file["base"]
    size = choose_size(base, request.changes, request.size, request.data)
    console.print(f"{base} at size {size.name} ({size.reason})")
    folder = request.out or Path("runs") / f"table-{Path(request.a).stem}"
    stops = [
        Stop(name, (), frugal(load(base, [*request.changes, *said], size=size.name)))
        for name, said in file["variants"].items()
    ]
    record = _plan(request, file, size.name)
    for line in _lines(record):
        console.print(line, highlight=False)
    check_variants(stops, why_not_built(None))
    if request.plan_only:
        return True
    _settle(folder, record, stops)
    runs = runs_of(stops, folder, request.seeds)
    complete = train_runs(request, runs, folder, record, stops[0].config, console)
    if request.launcher == "none":
        show_table(folder, console)
    return complete


def check_variants(stops: Sequence[Stop], why_not: WhyNot) -> None:
    """Raises CannotClimb for the first variant that cannot be built, with the reason."""
    for stop in stops:
        if reason := why_not(stop.config):
            raise CannotClimb(f"The variant {stop.name} cannot be built: {reason}")


def show_table(folder: Path, console: Console) -> dict[str, Any]:
    """Prints and writes what the finished runs of a table say."""
    summary = summarise_table(folder)
    console.print(table_of(summary))
    write_json(folder / "table.json", summary)
    console.print(f"Numbers: {folder / 'table.json'}", highlight=False)
    return summary


def table_of(summary: Mapping[str, Any]) -> Table:
    """Measured beside claimed; a variant without a result says why."""
    from benchmarks.ladder.report import shown

    main = summary["metric"]
    table = Table("variant", main, f"against {summary['reference']}", "converged", "claimed")
    table.title = f"{summary['base']}, {summary['settings']['seeds']} seeds"
    table.caption = "Claimed figures have no log behind them."
    for variant in summary["variants"]:
        claim = variant["claim"] or ""
        if variant["level"] is None:
            table.add_row(variant["name"], f"[yellow]{variant['failed']}[/]", "", "", claim)
            continue
        difference = variant["difference"]
        table.add_row(
            variant["name"],
            shown(variant["level"]),
            shown(difference, signed=True) if difference else "",
            f"{variant['converged']} of {variant['runs']}",
            claim,
        )
    return table


def _plan(request: LadderRequest, file: Mapping[str, Any], size: str) -> dict[str, Any]:
    claims = file.get("claims", {})
    return {
        "schema": 1,
        "base": file["base"],
        "settings": request.settings(size).record(),
        "variants": [
            {"name": name, "changes": list(said), "claim": claims.get(name)}
            for name, said in file["variants"].items()
        ],
    }


def _settle(folder: Path, record: dict[str, Any], stops: Sequence[Stop]) -> None:
    plan = folder / "plan.json"
    if plan.is_file():
        before = json.loads(plan.read_text())
        if not goes_on(before, record):
            raise OtherLadder(
                f"{folder} holds another table; name another folder with --out, or ask for the "
                "same one to go on with it."
            )
    for stop in stops:
        keep_config(folder, stop, f"{stop.name}: {record['base']} of a table.")
    write_json(plan, record)


def _lines(record: Mapping[str, Any]) -> list[str]:
    return [
        f"  {variant['name']}: {', '.join(variant['changes']) or 'as it is'}"
        for variant in record["variants"]
    ]
