"""The commands `zoo ladder` and `zoo report`: thin, so that `zoo --help` loads no torch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console


class Order(StrEnum):
    """In which orders the differences are climbed."""

    forward = "forward"
    backward = "backward"
    both = "both"
    shapley = "shapley"


class Size(StrEnum):
    """How large the rungs are built."""

    auto = "auto"
    tiny = "tiny"
    small = "small"
    full = "full"


class Launcher(StrEnum):
    """Who starts the trainings."""

    none = "none"
    slurm = "slurm"


Start = Annotated[str, typer.Argument(help="The start; or the name of a ladder file, alone")]
Goal = Annotated[Optional[str], typer.Argument(help="The goal")]  # noqa: UP045
Steps = Annotated[Optional[int], typer.Option(help="Budget of every training")]  # noqa: UP045
Seeds = Annotated[int, typer.Option(min=1, help="Trainings of each config")]
OrderOption = Annotated[Order, typer.Option(help="shapley: random orders")]
Budget = Annotated[int, typer.Option(help="Configs a shapley estimate may train")]
Jobs = Annotated[int, typer.Option(min=1, help="Trainings at once")]
Out = Annotated[Optional[Path], typer.Option(help="Default: runs/ladder-A-B")]  # noqa: UP045
Rungs = Annotated[str, typer.Option(help="slot, change (one each), or a ladder file's grouping")]
Bisect = Annotated[
    bool, typer.Option("--bisect", help="Find the fewest differences that flip the verdict")
]
Criterion = Annotated[
    str, typer.Option(help="What --bisect asks: converged, or one criterion of the verdict")
]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Show the rungs and train nothing")]
SizeOption = Annotated[Size, typer.Option(help="auto: as for zoo train")]
Data = Annotated[Optional[str], typer.Option(help="Shards for every rung")]  # noqa: UP045
Changes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="Change a value of both configs"),
]
Plugins = Annotated[Optional[list[Path]], typer.Option("--plugin")]  # noqa: UP045
LauncherOption = Annotated[Launcher, typer.Option(help="slurm prints one sbatch line a training")]


def add_ladder_commands(app: typer.Typer) -> None:
    """Hangs the commands of this file on the app."""
    app.command()(ladder)
    app.command()(report)


def ladder(
    a: Start,
    b: Goal = None,
    steps: Steps = None,
    seeds: Seeds = 3,
    order: OrderOption = Order.forward,
    budget: Budget = 40,
    jobs: Jobs = 1,
    out: Out = None,
    rungs: Rungs = "slot",
    bisect: Bisect = False,
    criterion: Criterion = "converged",
    plan: PlanOnly = False,
    size: SizeOption = Size.auto,
    data: Data = None,
    changes: Changes = None,
    plugins: Plugins = None,
    launcher: LauncherOption = Launcher.none,
) -> None:
    """Climb from A to B one difference at a time: what each buys, under one budget."""
    _known(a, b, rungs)
    from zoo.app.ladder.climb import LadderRequest, climb

    request = LadderRequest(
        *(a, b, steps, seeds, order.value, budget, jobs, out, rungs, bisect, criterion, plan),
        *(size.value, data, tuple(changes or ()), tuple(plugins or ()), launcher.value),
    )
    if not climb(request, Console()):
        raise typer.Exit(1)


def _known(a: str, b: str | None, rungs: str) -> None:
    """Answers a misspelt name before torch loads."""
    from registry.config import find

    for name in () if b is None else (a, b):
        find(name)
    for name in ([a] if b is None else []) + ([] if rungs in ("slot", "change") else [rungs]):
        find(name, folder="ladders")


def report(
    runs: Annotated[list[Path], typer.Argument(help="The folder of a ladder, or of runs")],
    html: Annotated[Optional[Path], typer.Option("--html", help="Write the page here")] = None,  # noqa: UP045
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the numbers here")] = None,  # noqa: UP045
) -> None:
    """Rebuild tables and pages from run files; no model is needed."""
    from zoo.app.ladder.report import rebuild

    rebuild(runs, html, json, Console())
