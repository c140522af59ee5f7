"""Commands that only look: list, show, doctor."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from registry.slot import Slot

Plugins = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="A Python file that registers parts")  # noqa: UP045
]


def add_info_commands(app: typer.Typer) -> None:
    """Hangs the commands of this file on the app."""
    app.command("list")(list_names)
    app.command()(show)
    app.command()(doctor)


def list_names(
    slot: Annotated[Optional[str], typer.Argument(help="A slot, or 'configs'")] = None,  # noqa: UP045
    providing: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only parts that provide this: log_heatmap_x"),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """List every part the registry knows, or every config."""
    from registry.catalog import SLOTS
    from registry.config import available
    from registry.house_rules import docstring_of
    from registry.plugins import load_plugin, lost_entry_points
    from registry.slot import nearest

    for plugin in plugins or ():
        load_plugin(plugin)
    known = [*SLOTS, "configs"]
    if slot is not None and slot not in known:
        raise ValueError(
            f"There is no slot {slot!r}.{nearest(slot, known)} Known: {', '.join(known)}."
        )
    console = Console()
    if slot in (None, "configs"):
        table = Table("config", "what it is")
        for name, file in available().items():
            table.add_row(name, docstring_of(file).split("\n")[0])
        console.print(table)
    if slot != "configs":
        table = Table("slot", "name")
        table.add_column("from", overflow="fold")
        for name in [slot] if slot else SLOTS:
            for part in SLOTS[name].names():
                if _provides(SLOTS[name], part, providing, console):
                    table.add_row(name, part, escape(SLOTS[name].origin(part)))
        console.print(table)
        clashes = [text for name in SLOTS for text in SLOTS[name].clashes().values()]
        for sentence in (*clashes, *lost_entry_points()):
            console.print(f"[yellow]note:[/] {escape(sentence)}")


def show(
    config: Annotated[str, typer.Argument(help="A config file or its bare name")],
    size: Annotated[Optional[str], typer.Option(help="tiny, small or full")] = None,  # noqa: UP045
    changes: Annotated[Optional[list[str]], typer.Option("--set")] = None,  # noqa: UP045
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
    plugins: Plugins = None,
) -> None:
    """Show a config as it will be used: bases merged, size and changes applied."""
    from registry.config import load
    from registry.plugins import load_plugin

    for plugin in plugins or ():
        load_plugin(plugin)
    resolved = load(config, changes or (), size=size)
    console = Console()
    if json:
        console.print_json(json_module.dumps(resolved, default=str))
        return
    for line in _flat("", resolved):
        console.print(line, highlight=True, soft_wrap=True)


def doctor() -> None:
    """Look at this machine: what is here, what is missing, and what brings it."""
    from zoo.app.doctor import examine

    console = Console()
    table = Table("what", "state", "what to do")
    for row in examine():
        mark = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]"}.get(row.state, row.state)
        table.add_row(row.name, f"{mark}  {escape(row.found)}", escape(row.advice))
    console.print(table)


def _flat(prefix: str, value: object) -> list[str]:
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            lines += _flat(f"{prefix}.{key}" if prefix else str(key), item)
        return lines
    return [f"{prefix} = {value!r}"]


def _provides(slot: Slot, name: str, wanted: str | None, console: Console) -> bool:
    if wanted is None:
        return True
    try:
        promised = getattr(slot.get(name), "provides", frozenset())
    except ValueError as error:  # a broken plug-in hides nobody else's part
        console.print(f"[yellow]left out:[/] {escape(str(error))}")
        return False
    return isinstance(promised, frozenset) and wanted in promised
