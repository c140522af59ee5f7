"""`zoo diff`: the list of what two configs do differently, for eyes, programs and colleagues."""

from __future__ import annotations

import json as json_module
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from registry.priority import Ranked


_SHORT = 60  # letters of both values on one line


def add_diff_commands(app: typer.Typer) -> None:
    """Hangs the command of this file on the app."""
    app.command()(diff)


def diff(
    a: Annotated[str, typer.Argument(help="A config file, or its bare name")],
    b: Annotated[str, typer.Argument(help="Another config")],
    size: Annotated[Optional[str], typer.Option(help="Compare at this size")] = None,  # noqa: UP045
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the list here")] = None,  # noqa: UP045
    html: Annotated[Optional[Path], typer.Option("--html", help="Write a page here")] = None,  # noqa: UP045
    plugins: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--plugin", help="A Python file that registers parts"),
    ] = None,
) -> None:
    """List every difference between two configs, the most important first."""
    from registry.config import load
    from registry.plugins import load_plugin
    from registry.priority import ranked_difference

    for plugin in plugins or ():
        load_plugin(plugin)
    found = ranked_difference(load(a, size=size), load(b, size=size))
    console = Console()
    for line in _lines(found, a, b) if found else [escape(f"{a} and {b} are the same.")]:
        console.print(line, highlight=False, soft_wrap=True)
    if json is not None:
        _write(json, json_module.dumps(as_json(found, a, b), indent=1) + "\n")
    if html is not None:
        from zoo.app.ladder.diff_page import difference_page

        asked = ["zoo", "diff", a, b, *(("--size", size) if size else ())]
        _write(html, difference_page(found, a, b, command=shlex.join(asked)))
        console.print(f"Page: {html}")


def as_json(found: Sequence[Ranked], a: str, b: str) -> dict[str, Any]:
    """The document of `--json`: a value that one side does not have is left out of its row."""
    from registry.difference import ABSENT

    rows = []
    for item in found:
        sides = {"before": item.change.before, "after": item.change.after}
        rows.append(
            {
                "path": item.path,
                **{name: _plain(value) for name, value in sides.items() if value is not ABSENT},
                "slot": item.slot,
                "priority": item.priority,
                "reason": item.reason,
            }
        )
    return {"schema": 1, "subjects": [a, b], "differences": rows}


def brief(value: Any) -> str:
    """A config's value on one line: a part as its name and arguments."""
    from registry.difference import ABSENT

    if value is ABSENT:
        return "absent"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key}={brief(item)}" for key, item in value.items() if key != "type")
        return f"{value.get('type', 'dict')}({inside})"
    return repr(value)


def _lines(found: Sequence[Ranked], a: str, b: str) -> Iterator[str]:
    """One line a change, more for a part exchanged whole; nothing is shortened."""
    yield f"[bold]{escape(a)} -> {escape(b)}[/]: {_caption(found)}"
    width = max(len(item.slot) for item in found)
    for priority, items in groupby(found, key=lambda item: item.priority):
        yield f"\n[bold]{priority or 'not ranked'}[/]"
        for item in items:
            before, after = (brief(value) for value in (item.change.before, item.change.after))
            start = f"  {item.slot:{width}}  [cyan]{escape(item.path)}[/]"
            if len(before) + len(after) < _SHORT:
                yield f"{start}: {escape(before)} -> {escape(after)}"
            else:
                yield start
                indent = " " * (width + 6)
                yield f"{indent}[red]-[/] {escape(before)}\n{indent}[green]+[/] {escape(after)}"


def _caption(found: Sequence[Ranked]) -> str:
    named = {item.priority: [] for item in found if item.priority}
    for item in found:
        if item.priority and item.reason not in named[item.priority]:
            named[item.priority].append(item.reason)
    said = "; ".join(f"{priority} {', '.join(names)}" for priority, names in named.items())
    return f"{len(found)} differences. {said}".strip()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
