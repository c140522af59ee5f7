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


def add_ladder_commands(app: typer.Typer) -> None:
    """Hangs the commands of this file on the app."""
    app.command()(ladder)
    app.command()(report)


def ladder(
    a: Annotated[str, typer.Argument(help="The start; or the name of a ladder file, alone")],
    b: Annotated[Optional[str], typer.Argument(help="The goal")] = None,  # noqa: UP045
    steps: Annotated[Optional[int], typer.Option(help="Budget of every training")] = None,  # noqa: UP045
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each config")] = 3,
    order: Annotated[Order, typer.Option(help="shapley: random orders")] = Order.forward,
    budget: Annotated[int, typer.Option(help="Configs a shapley estimate may train")] = 40,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at once")] = 1,
    out: Annotated[Optional[Path], typer.Option(help="Default: runs/ladder-A-B")] = None,  # noqa: UP045
    rungs: Annotated[
        str, typer.Option(help="slot, change (one each), or a ladder file's grouping")
    ] = "slot",
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Find the fewest differences that flip the verdict")
    ] = False,
    criterion: Annotated[
        str, typer.Option(help="What --bisect asks: converged, or one criterion of the verdict")
    ] = "converged",
    plan: Annotated[bool, typer.Option("--plan", help="Show the rungs and train nothing")] = False,
    size: Annotated[Size, typer.Option(help="auto: as for zoo train")] = Size.auto,
    data: Annotated[Optional[str], typer.Option(help="Shards for every rung")] = None,  # noqa: UP045
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="Change a value of both configs"),
    ] = None,
    plugins: Annotated[Optional[list[Path]], typer.Option("--plugin")] = None,  # noqa: UP045
    launcher: Annotated[
        Launcher, typer.Option(help="slurm prints one sbatch line a training")
    ] = Launcher.none,
) -> None:
    """Climb from A to B one difference at a time: what each buys, under one budget."""
    from registry.config import find

    for name in () if b is None else (a, b):  # a misspelt name is answered before torch loads
        find(name)
    for name in ([a] if b is None else []) + ([] if rungs in ("slot", "change") else [rungs]):
        find(name, folder="ladders")
    from zoo.app.ladder import LadderRequest, climb

    request = LadderRequest(
        a=a,
        b=b,
        steps=steps,
        seeds=seeds,
        order=order.value,
        budget=budget,
        jobs=jobs,
        out=out,
        rungs=rungs,
        bisect=bisect,
        criterion=criterion,
        plan_only=plan,
        size=size.value,
        data=data,
        changes=tuple(changes or ()),
        plugins=tuple(plugins or ()),
        launcher=launcher.value,
    )
    if not climb(request, Console()):
        raise typer.Exit(1)


def report(
    runs: Annotated[list[Path], typer.Argument(help="The folder of a ladder, or of runs")],
    html: Annotated[Optional[Path], typer.Option("--html", help="Write the page here")] = None,  # noqa: UP045
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the numbers here")] = None,  # noqa: UP045
) -> None:
    """Rebuild tables and pages from run files; no model is needed."""
    from zoo.app.report import rebuild

    rebuild(runs, html, json, Console())
