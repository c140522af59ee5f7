"""`zoo export`: a trained model as a file that other programs run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console


class Target(StrEnum):
    """What a model can be exported to."""

    onnx = "onnx"
    torch_export = "torch-export"
    safetensors = "safetensors"


class Size(StrEnum):
    """How large the checkpoint's model is; auto asks the files beside it."""

    auto = "auto"
    tiny = "tiny"
    small = "small"
    full = "full"


def add_export_commands(app: typer.Typer) -> None:
    """Hangs the command of this file on the app."""
    app.command()(export)


def export(
    config: Annotated[str, typer.Argument(help="A config file, or its bare name")],
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, or the folder of a run")],
    to: Annotated[Target, typer.Option(help="What to write")],
    out: Annotated[Optional[Path], typer.Option(help="Default: beside the checkpoint")] = None,  # noqa: UP045
    size: Annotated[Size, typer.Option(help="auto: as it was trained")] = Size.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier file")] = False,
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="Change one value: model.head.steps=3"),
    ] = None,
    plugins: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--plugin", help="A Python file that registers parts"),
    ] = None,
) -> None:
    """Write a checkpoint for other programs, and check the file's numbers against the model's."""
    from registry.config import find

    find(config)  # a misspelt name is answered before torch loads
    from zoo.app.export.model import ExportRequest, export_model

    request = ExportRequest(
        config=config,
        checkpoint=checkpoint,
        to=to.value,
        out=out,
        overwrite=overwrite,
        size=size.value,
        changes=tuple(changes or ()),
        plugins=tuple(plugins or ()),
    )
    export_model(request, Console())
