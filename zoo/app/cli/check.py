"""`zoo check-part`: the contract's rules tried on anybody's part, as a table."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_MARKS = {"passed": "[green]passed[/]", "failed": "[bold red]failed[/]", "skipped": "[dim]-[/]"}


def add_check_commands(app: typer.Typer) -> None:
    """Hangs the command of this file on the app."""
    app.command("check-part")(check)


def check(
    slot: Annotated[str, typer.Argument(help="head, loss, backbone, neck, camera, ...")],
    name: Annotated[str, typer.Argument(help="The part's name, or package.module.Class")],
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="An argument of the part: dim=64"),
    ] = None,
    plugins: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--plugin", help="A Python file that registers parts"),
    ] = None,
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the checks here")] = None,  # noqa: UP045
) -> None:
    """Check that a part keeps its slot's contract; exit code 1 where it does not."""
    from registry.catalog import SLOTS
    from registry.overrides import parse_value
    from registry.plugins import load_plugin

    for plugin in plugins or ():
        load_plugin(plugin)
    if slot in SLOTS:
        SLOTS[slot].path(name)  # a misspelt name is answered before torch loads
    from zoo.app.parts.checks import check_part

    said = [text.partition("=") for text in changes or ()]
    arguments = {key.strip(): parse_value(value.strip()) for key, _, value in said}
    found = check_part(slot, name, arguments=arguments)
    console = Console()
    table = Table("rule", "", title=f"{slot} {escape(name)} ({escape(SLOTS[slot].origin(name))})")
    table.add_column("seen", overflow="fold")
    for item in found:
        table.add_row(item.name, _MARKS[item.state], escape(item.seen))
    console.print(table)
    if json is not None:
        document = {"schema": 1, "slot": slot, "part": name, "checks": [asdict(c) for c in found]}
        json.write_text(json_module.dumps(document, indent=1) + "\n", encoding="utf-8")
    if any(item.state == "failed" for item in found):
        raise typer.Exit(1)
