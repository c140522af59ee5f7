"""`zoo new`: a package of one's own with a part that already works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape


def add_new_commands(app: typer.Typer) -> None:
    """Hangs the command of this file on the app."""
    app.command("new")(new)


def new(
    kind: Annotated[str, typer.Argument(help="head, loss, backbone, neck, augmentation or probe")],
    name: Annotated[str, typer.Argument(help="The part's name, such as graph_head")],
    out: Annotated[Optional[Path], typer.Option(help="The folder; default: ./NAME")] = None,  # noqa: UP045
) -> None:
    """Write a small package with a working part, a config, a test and a README."""
    from zoo.app.parts.scaffold import KINDS, write_package

    folder = out or Path(name)
    files = write_package(kind, name, folder)
    console = Console()
    for file in files:
        console.print(f"  {escape(str(file))}", highlight=False, soft_wrap=True)
    config = next((file for file in files if file.name == f"train_{name}.py"), "")
    steps = [
        f"pip install --no-build-isolation --no-deps -e {folder}",
        f"pytest {folder}",
        KINDS[kind].use.format(config=config),
    ]
    console.print("Next:")
    for step in steps:
        console.print(f"  [bold]{escape(step)}[/]", highlight=False, soft_wrap=True)
