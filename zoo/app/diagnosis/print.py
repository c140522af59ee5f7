"""What `zoo diagnose` says in a terminal: verdict, causes, findings, and what was not tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_STYLE = {
    "error": "bold red",
    "warning": "yellow",
    "info": "blue",
    "difference": "magenta",
    "crashed": "bold red",
    "skipped": "dim",
}
_INDENT = (0, 0, 1, 4)


def show(report: Mapping[str, Any], console: Console) -> None:
    """Prints a diagnosis; wide or narrow, in colour or piped."""
    console.print(_verdict(report))
    if report["findings"]:
        console.print(_findings(report))
    if left_out := _not_run(report):
        console.print(left_out)


def _verdict(report: Mapping[str, Any]) -> Panel:
    said = report["verdict"]
    lines: list[Any] = [Text(sentence["text"]) for sentence in said["sentences"]]
    for number, cause in enumerate(said["causes"], 1):
        head = Text(f"{number}. ", style="bold")
        head.append(cause["severity"], style=_STYLE[cause["severity"]])
        head.append(f" {cause['priority']}" if cause["priority"] else "", style="magenta")
        head.append(f"  {cause['path']}", style="bold")
        lines += [Text(), head, Padding(Text(cause["text"]), (0, 0, 0, 3))]
        lines += [
            Padding(Text(f"--set {fix}", style="green"), (0, 0, 0, 3)) for fix in cause["fix"]
        ]
    title = " against ".join(subject["name"] for subject in report["subjects"])
    return Panel(Group(*lines), title=escape(title), title_align="left", padding=(1, 2))


def _findings(report: Mapping[str, Any]) -> Table:
    table = Table(title="Findings, worst first", title_justify="left", title_style="bold", box=None)
    table.add_column("severity", no_wrap=True)
    if len(report["subjects"]) > 1:
        table.add_column("found on", overflow="fold")
    table.add_column("finding", overflow="fold")
    table.add_column("says", overflow="fold", ratio=1)
    for severity, who, finding, says in _rows(report):
        cells = [Text(severity, style=_STYLE[severity]), Text(finding), Text(says)]
        if len(report["subjects"]) > 1:
            cells.insert(1, Text(who))
        table.add_row(*cells)
    return table


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """One row for a finding, however many subjects have it."""
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for finding in report["findings"]:
        grouped.setdefault((finding["id"], finding["path"]), []).append(finding)
    for group in grouped.values():
        first = group[0]
        who = ", ".join(dict.fromkeys(finding["subject"] for finding in group))
        place = f"{first['id']}\n{first['path']}"
        yield first["severity"], who, place, first["message"]


def _not_run(report: Mapping[str, Any]) -> Table | None:
    left_out = [p for p in report["probes"] if p["status"] in ("skipped", "crashed")]
    if not left_out:
        return None
    table = Table(title="Not tested", title_justify="left", title_style="bold", box=None)
    for name in ("", "subject", "probe"):
        table.add_column(name, overflow="fold")
    table.add_column("why", overflow="fold", ratio=1)
    for probe in sorted(left_out, key=lambda p: p["status"]):
        status = Text(probe["status"], style=_STYLE[probe["status"]])
        table.add_row(status, Text(probe["subject"]), Text(probe["id"]), Text(probe["why"]))
    return table
