"""Commands about published checkpoints: convert, inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

weights_app = typer.Typer(
    help="Look into published checkpoints, turn them into ours, and back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(help="A checkpoint, or the folder of one")]
PickledConfig = Annotated[
    bool,
    typer.Option("--pickled-config", help="Also read pickled config objects, as plain data"),
]


def add_weights_commands(app: typer.Typer) -> None:
    """`zoo weights`."""
    app.add_typer(weights_app, name="weights")


@weights_app.command()
def convert(
    file: File,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Default: a folder, or with --to a file, beside the checkpoint"),
    ] = None,
    to: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Publish: write weights of ours as this family's program reads them"),
    ] = None,
    family: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Whose checkpoint it is, where the file does not tell"),
    ] = None,
    hand: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="With --to: the hand to put in; default: the one it was trained with"),
    ] = None,
    pickled_config: PickledConfig = False,
    overwrite: Annotated[bool, typer.Option("--overwrite")] = False,
) -> None:
    """Turn a published checkpoint into safetensors, a config and its hand; --to goes back."""
    from zoo.app.export.published import convert as run

    run(
        file,
        out,
        to=to,
        family=family,
        hand=hand,
        pickled_config=pickled_config,
        overwrite=overwrite,
        console=Console(),
    )


@weights_app.command()
def inspect(
    file: File,
    pickled_config: PickledConfig = False,
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the account here")] = None,  # noqa: UP045
) -> None:
    """Say what a file of weights is, key by key; nothing in it is run."""
    from zoo.app.export.published import inspect as run

    told = run(file, pickled_config=pickled_config, json_file=json, console=Console())
    if told.get("complete") is False:
        raise typer.Exit(1)
