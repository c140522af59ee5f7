"""The command `zoo diagnose`: thin, so that `zoo --help` loads neither torch nor charts."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console


class Built(StrEnum):
    """How large the models are built; tiny keeps every choice and answers in a minute."""

    tiny = "tiny"
    small = "small"
    full = "full"


class FailOn(StrEnum):
    """Which findings on the first subject end the command with exit code 1."""

    error = "error"
    warning = "warning"


NONE = "none"

First = Annotated[
    str, typer.Argument(help="A config, the folder of a run, or a file with a model of your own")
]
Second = Annotated[str, typer.Argument(help="One that learns, to compare with; 'none' for A alone")]
SizeOption = Annotated[Built, typer.Option(help="tiny keeps every choice of the config")]
Data = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Shards, or a batch a guard kept; default: rendered hands"),
]
Html = Annotated[Optional[Path], typer.Option("--html", help="Write a report here")]  # noqa: UP045
Json = Annotated[Optional[Path], typer.Option("--json", help="Write the numbers here")]  # noqa: UP045
Fail = Annotated[
    Optional[FailOn],  # noqa: UP045
    typer.Option("--fail-on", help="Exit with 1 where A has findings that bad"),
]
Probes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--probe", help="Only this probe or family: gradient, mask.alone"),
]
Changes = Annotated[Optional[list[str]], typer.Option("--set", help="Change one value of A")]  # noqa: UP045
Plugins = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--plugin", help="A Python file that registers parts"),
]
Checkpoints = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--checkpoint", help="Trained weights of A; once more for B"),
]
Seed = Annotated[int, typer.Option(help="Of weights, hands and augmentation")]


def add_diagnose_commands(app: typer.Typer) -> None:
    """Hangs the command of this file on the app."""
    app.command()(diagnose)


def diagnose(
    a: First,
    b: Second = "hamer",
    size: SizeOption = Built.tiny,
    data: Data = None,
    html: Html = None,
    json: Json = None,
    fail_on: Fail = None,
    probes: Probes = None,
    changes: Changes = None,
    plugins: Plugins = None,
    checkpoints: Checkpoints = None,
    seed: Seed = 0,
) -> None:
    """Say why a model does not learn: laws it breaks, beside a model that keeps them."""
    from zoo.app.diagnosis.diagnose import DiagnoseRequest, failed, run_diagnosis

    request = DiagnoseRequest(
        subjects=(a,) if b == NONE or (a == b and not changes) else (a, b),
        size=size.value,
        data=data,
        html=html,
        json=json,
        fail_on=fail_on and fail_on.value,
        probes=tuple(probes or ()),
        changes=tuple(changes or ()),
        plugins=tuple(plugins or ()),
        checkpoints=tuple(checkpoints or ()),
        seed=seed,
        command=shlex.join(["zoo", *sys.argv[1:]]),
    )
    if failed(run_diagnosis(request, Console()), request.fail_on):
        raise typer.Exit(1)
