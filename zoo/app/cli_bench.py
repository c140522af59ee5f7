"""The command `zoo bench`: thin, so that `zoo --help` loads no torch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console


class Built(StrEnum):
    """How large the subjects are built."""

    auto = "auto"
    tiny = "tiny"
    small = "small"
    full = "full"


class Axis(StrEnum):
    """What a growth curve is drawn against."""

    batch = "batch"
    image_size = "image_size"
    steps = "steps"
    frames = "frames"


DEFAULT = "csvit2_ief3"


def add_bench_commands(app: typer.Typer) -> None:
    """Hangs the command of this file on the app."""
    app.command()(bench)


def bench(
    configs: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help=f"Configs, or folders of runs; default: {DEFAULT}"),
    ] = None,
    compare: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--compare", help="What the others are divided by: hamer"),
    ] = None,
    size: Annotated[
        Built, typer.Option(help="full on a CPU counts and does not time")
    ] = Built.tiny,
    data: Annotated[
        Optional[str], typer.Option(help="Shards to measure errors on, with checkpoints")  # noqa: UP045
    ] = None,
    checkpoints: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            "--checkpoint", help="Trained weights, in the order of configs then --compare"
        ),
    ] = None,
    batch: Annotated[
        Optional[int], typer.Option(min=1, help="Hands at once; 8, on a GPU 64")  # noqa: UP045
    ] = None,
    budget: Annotated[float, typer.Option(help="Seconds of timing in all")] = 60.0,
    precisions: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--precision", help="bf16 and fp32 unless said"),
    ] = None,
    grow: Annotated[
        Optional[list[Axis]],  # noqa: UP045
        typer.Option("--grow", help="Draw the cost against this as well"),
    ] = None,
    html: Annotated[Optional[Path], typer.Option("--html", help="Write a page here")] = None,  # noqa: UP045
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the numbers here")] = None,  # noqa: UP045
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="Change a value of every subject"),
    ] = None,
    plugins: Annotated[Optional[list[Path]], typer.Option("--plugin")] = None,  # noqa: UP045
) -> None:
    """Measure models side by side in one run: cost, speed, memory, errors, published figures."""
    from registry.config import find

    for name in (*(configs or ()), *(compare or ())):
        if not (Path(name) / "run.json").is_file():
            find(name)  # a misspelt name is answered before torch loads
    from zoo.app.bench import BenchRequest, run_bench

    run_bench(
        BenchRequest(
            configs=tuple(configs or (DEFAULT,)),
            compare=tuple(compare or ()),
            size=size.value,
            data=data,
            checkpoints=tuple(checkpoints or ()),
            batch=batch,
            budget=budget,
            precisions=tuple(precisions or ()),
            grow=tuple(axis.value for axis in grow or ()),
            html=html,
            json=json,
            changes=tuple(changes or ()),
            plugins=tuple(plugins or ()),
        ),
        Console(),
    )
