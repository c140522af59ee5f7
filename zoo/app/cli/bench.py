"""The command `zoo bench`: thin, so that `zoo --help` loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
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


Subjects = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(help=f"Configs, or folders of runs; default: {DEFAULT}"),
]
Compare = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--compare", help="What the others are divided by: hamer"),
]
SizeOption = Annotated[Built, typer.Option(help="full on a CPU counts and does not time")]
Data = Annotated[
    Optional[str], typer.Option(help="Shards to measure errors on, with checkpoints")  # noqa: UP045
]
Checkpoints = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option(
        "--checkpoint", "--checkpoints", help="Trained weights, in the order of the subjects"
    ),
]
Batch = Annotated[
    Optional[int], typer.Option(min=1, help="Hands at once; 8, on a GPU 64")  # noqa: UP045
]
Budget = Annotated[float, typer.Option(help="Seconds of timing in all")]
Precisions = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--precision", help="bf16 and fp32 unless said"),
]
Grow = Annotated[
    Optional[list[Axis]],  # noqa: UP045
    typer.Option("--grow", help="Draw the cost against this as well"),
]
Html = Annotated[Optional[Path], typer.Option("--html", help="Write a page here")]  # noqa: UP045
Json = Annotated[Optional[Path], typer.Option("--json", help="Write the numbers here")]  # noqa: UP045
Changes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="Change a value of every subject"),
]
Plugins = Annotated[Optional[list[Path]], typer.Option("--plugin")]  # noqa: UP045


def add_bench_commands(app: typer.Typer) -> None:
    """Hangs the command of this file on the app."""
    app.command()(bench)


def bench(
    configs: Subjects = None,
    compare: Compare = None,
    size: SizeOption = Built.tiny,
    data: Data = None,
    checkpoints: Checkpoints = None,
    batch: Batch = None,
    budget: Budget = 60.0,
    precisions: Precisions = None,
    grow: Grow = None,
    html: Html = None,
    json: Json = None,
    changes: Changes = None,
    plugins: Plugins = None,
) -> None:
    """Measure models side by side in one run: cost, speed, memory, errors, published figures."""
    _known((*(configs or ()), *(compare or ())))
    from zoo.app.evaluation.bench import BenchRequest, run_bench

    asked = (configs or (DEFAULT,), compare or ())
    request = BenchRequest(
        *(*map(tuple, asked), size.value, data, tuple(checkpoints or ()), batch, budget),
        *(tuple(precisions or ()), tuple(axis.value for axis in grow or ()), html, json),
        *(tuple(changes or ()), tuple(plugins or ())),
    )
    run_bench(request, Console())


def _known(names: Sequence[str]) -> None:
    """Answers a misspelt name before torch loads."""
    from registry.config import find

    for name in names:
        if not (Path(name) / "run.json").is_file():
            find(name)
