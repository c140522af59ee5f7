"""Commands that only look: list, show, doctor."""

from __future__ import annotations

import contextlib
import json as json_module
from collections.abc import Iterator, Mapping
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


_TWICE = "claimed twice"


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
    if slot is None:
        console.print(_all_slots(SLOTS, providing, console))
        console.print("`zoo list SLOT` says what each is, `zoo check-part` whether it works.")
    elif slot != "configs":
        console.print(_one_slot(SLOTS[slot], providing, console))
    if slot != "configs":
        clashes = [text for name in SLOTS for text in SLOTS[name].clashes().values()]
        for sentence in (*clashes, *lost_entry_points()):
            console.print(f"[yellow]note:[/] {escape(sentence)}")


def _all_slots(slots: Mapping[str, Slot], providing: str | None, console: Console) -> Table:
    table = Table("slot", "parts")
    for name, slot in slots.items():
        parts = [part for part in slot.names() if _provides(slot, part, providing, console)]
        named = (f"{part} ({text})" if (text := _foreign(slot, part)) else part for part in parts)
        if parts:
            table.add_row(name, escape(", ".join(named)))
    return table


def _one_slot(slot: Slot, providing: str | None, console: Console) -> Table:
    from registry.signature import summary
    from registry.slot import nearest

    table = Table(slot.noun)
    table.add_column("what it is", overflow="fold")
    for part in slot.names():
        if not _provides(slot, part, providing, console):
            continue
        origin = _foreign(slot, part)
        told = [origin, "" if origin == _TWICE else summary(slot, part)]
        table.add_row(part, escape("\n".join(filter(None, told))))
    if providing is not None and not table.row_count:
        promised = sorted(set(_all_promised(slot)))
        raise ValueError(
            f"No {slot.noun} provides {providing!r}.{nearest(providing, promised)} "
            f"They provide: {', '.join(promised) or 'nothing that is known beforehand'}."
        )
    return table


def _foreign(slot: Slot, part: str) -> str:
    """Who brought a part that is not shipped, else nothing."""
    from registry.slot import NameClash

    try:
        origin = slot.origin(part)
    except NameClash:
        return _TWICE
    return "" if origin == "shipped" else origin


def show(
    config: Annotated[str, typer.Argument(help="A config file or its bare name")],
    size: Annotated[Optional[str], typer.Option(help="tiny, small or full")] = None,  # noqa: UP045
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="Change one value: model.head.steps=3"),
    ] = None,
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
    from zoo.app.machine.doctor import examine

    console = Console()
    table = Table("what", "state", "found", "what to do")
    for row in examine():
        mark = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]"}.get(row.state, row.state)
        table.add_row(row.name, mark, escape(row.found), escape(row.advice))
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
        return wanted in _promised(slot, name)
    except ValueError as error:  # a broken plug-in hides nobody else's part
        console.print(f"[yellow]left out:[/] {escape(str(error))}")
        return False


def _all_promised(slot: Slot) -> Iterator[str]:
    for name in slot.names():
        with contextlib.suppress(ValueError):  # said above
            yield from _promised(slot, name)


def _promised(slot: Slot, name: str) -> frozenset[str]:
    """What every part of this class provides; a part may learn it only when it is built."""
    promised = getattr(slot.get(name), "provides", None)
    return promised if isinstance(promised, frozenset) else frozenset()
