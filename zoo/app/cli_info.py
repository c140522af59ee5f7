"""Commands that only look: list, show, diff, doctor."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def add_info_commands(app: typer.Typer) -> None:
    """Hangs the commands of this file on the app."""
    app.command("list")(list_names)
    app.command()(show)
    app.command()(diff)
    app.command()(doctor)


def list_names(
    slot: Annotated[Optional[str], typer.Argument(help="A slot, or 'configs'")] = None,  # noqa: UP045
    providing: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only parts that provide this: log_heatmap_x"),
    ] = None,
) -> None:
    """List every part the registry knows, or every config."""
    from registry.catalog import SLOTS
    from registry.config import available
    from registry.house_rules import docstring_of
    from registry.slot import nearest

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
        table = Table("slot", "name", "from")
        for name in [slot] if slot else SLOTS:
            for part in SLOTS[name].names():
                if providing is None or providing in _provided(SLOTS[name].get(part)):
                    table.add_row(name, part, SLOTS[name].origin(part))
        console.print(table)


def show(
    config: Annotated[str, typer.Argument(help="A config file or its bare name")],
    size: Annotated[Optional[str], typer.Option(help="tiny, small or full")] = None,  # noqa: UP045
    changes: Annotated[Optional[list[str]], typer.Option("--set")] = None,  # noqa: UP045
    json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
) -> None:
    """Show a config as it will be used: bases merged, size and changes applied."""
    from registry.config import load

    resolved = load(config, changes or (), size=size)
    console = Console()
    if json:
        console.print_json(json_module.dumps(resolved, default=str))
        return
    for line in _flat("", resolved):
        console.print(line, highlight=True, soft_wrap=True)


def diff(
    a: Annotated[str, typer.Argument(help="A config")],
    b: Annotated[str, typer.Argument(help="Another config")],
    size: Annotated[Optional[str], typer.Option(help="Compare at this size")] = None,  # noqa: UP045
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the list here")] = None,  # noqa: UP045
) -> None:
    """List every difference between two configs, grouped by slot."""
    from registry.config import load
    from registry.difference import difference
    from registry.layout import slot_of

    changes = difference(load(a, size=size), load(b, size=size))
    table = Table("slot", "path", a, b)
    for change in sorted(changes, key=lambda change: (slot_of(change.path), change.path)):
        before, after = (_brief(value) for value in (change.before, change.after))
        table.add_row(slot_of(change.path), change.path, before, after)
    console = Console()
    console.print(table if changes else f"{a} and {b} are the same.")
    if json is not None:
        rows = [
            {
                "path": change.path,
                "before": _brief(change.before),
                "after": _brief(change.after),
                "slot": slot_of(change.path),
            }
            for change in changes
        ]
        json.write_text(json_module.dumps({"schema": 1, "differences": rows}, indent=1) + "\n")


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


def _brief(value: object, width: int = 60) -> str:
    text = getattr(value, "name", None) or repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."


def _provided(part: object) -> frozenset[str]:
    promised = getattr(part, "provides", frozenset())
    return promised if isinstance(promised, frozenset) else frozenset()
