"""`zoo data convert`, `check` and `view`: released data in, verdicts and pictures out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from registry.catalog import SLOTS
from zoo.contracts import Finding, SkippedSample
from zoo.data import check
from zoo.data.converters.release import write_split
from zoo.data.sheet import contact_sheet
from zoo.data.streams import EvalStream
from zoo.inference.files import write_png


def convert_dataset(
    name: str, source: Path, target: Path, *, split: str, limit: int | None, console: Console
) -> dict[str, Any]:
    """Writes one split of a released data set as shards, with its licence said and stored.

    Raises ValueError for an unknown converter or split, or a source that is not that data set.
    """
    converter = SLOTS["converter"].get(name)()
    if split not in converter.splits:
        raise ValueError(f"{name} has no split {split!r}; it has {', '.join(converter.splits)}.")
    console.print(converter.release.notice())
    skipped: list[SkippedSample] = []
    samples = islice(converter.samples(source, split=split, skipped=skipped), limit)
    with _counting(console, "converted") as bar:
        task = bar.add_task("", total=None, done=0)
        told = write_split(
            samples,
            target,
            release=converter.release,
            split=split,
            skipped=skipped,
            progress=lambda count: bar.advance(task, count),
        )
    console.print(
        f"{split}: {told['frames']} hands in {told['samples']} samples, {told['shards']} shards "
        f"in {target / split}"
    )
    for reason, count in Counter(sample.reason for sample in skipped).most_common():
        console.print(f"[yellow]left out:[/] {count} x {reason}", highlight=False)
    return told


def check_shards(shards: Sequence[str], console: Console) -> list[dict[str, Any]]:
    """Tests shards against the laws every label keeps; prints and returns the findings."""
    with _counting(console, "checked") as bar:
        task = bar.add_task("", total=None, done=0)
        report = check.check_shards(shards, progress=lambda count: bar.advance(task, count))
    counts = Table("data set", "what was looked at", title="Checked", title_style="bold")
    for source, seen in report.counts.items():
        text = ", ".join(f"{key} {value}" for key, value in _flat(seen))
        counts.add_row(source, text)
    console.print(counts)
    for finding in report.findings:
        console.print(_line(finding), highlight=False)
    errors = sum(finding.severity == "error" for finding in report.findings)
    verdict = f"[red]{errors} broken laws[/]" if errors else "[green]every law holds[/]"
    console.print(f"{verdict}, {len(report.findings) - errors} warnings and remarks")
    return [asdict(finding) for finding in report.findings]


def draw_sheet(shards: str, out: Path, *, count: int, overwrite: bool) -> int:
    """A contact sheet of the first hands of shards; returns how many were drawn."""
    stream = EvalStream(shards, batch_size=count)
    frames = list(islice((frame for batch in stream for frame in batch.frames), count))
    write_png(out, contact_sheet(frames), overwrite=overwrite)
    return len(frames)


def _counting(console: Console, verb: str) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn(f"{{task.completed}} samples {verb}"),
        console=console,
        disable=not console.is_terminal,
    )


def _line(finding: Finding) -> str:
    colour = {"error": "red", "warning": "yellow"}.get(finding.severity, "cyan")
    return f"[{colour}]{finding.severity}[/] {finding.path}: {finding.message}"


def _flat(counts: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in counts.items() if not isinstance(value, dict)]
