"""`zoo data convert`, `check` and `view`: released data in, verdicts and pictures out."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from registry.catalog import SLOTS
from zoo.contracts import Finding, HandAsset
from zoo.data import check
from zoo.data.converters.hamer import write_hamer_tar
from zoo.data.converters.writing import write_split
from zoo.data.shards import read_samples, resolve_shards
from zoo.data.sheet import contact_sheet
from zoo.data.streams import EvalStream
from zoo.inference.files import write_png
from zoo.mano import files, procedural
from zoo.mano.procedural import NAME as CLAYHAND


def convert_dataset(
    name: str,
    source: Path,
    target: Path,
    *,
    split: str,
    limit: int | None,
    console: Console,
    workers: int = 1,
    resume: bool = False,
    hand: str | None = None,
    depth: bool = False,
) -> dict[str, Any]:
    """Writes one split of a released data set as shards, with its licence said and stored.

    hand: the hand MANO labels are of, a file or folder; None looks where `zoo.mano.files` does and
        leaves MANO labels out where there is none.
    depth: keep depth pictures, where the release has them.

    Raises ValueError for an unknown converter or split, for one whose depth is not read, or a
    source that is not that data set.
    """
    kind = SLOTS["converter"].get(name)
    takes, options = inspect.signature(kind).parameters, {}
    if "hand" in takes and (asset := _hand(hand, console)) is not None:
        options["hand"] = asset
    if depth and "depth" not in takes:
        raise ValueError(f"{name} has no depth pictures that are read; leave --depth out.")
    converter = kind(**options, **({"depth": True} if depth else {}))
    split = getattr(converter, "aliases", {}).get(split, split)
    if split not in converter.splits:
        raise ValueError(f"{name} has no split {split!r}; it has {', '.join(converter.splits)}.")
    console.print(converter.release.notice())
    began = time.perf_counter()
    with _converting(console) as bar:
        task = bar.add_task("", total=None)
        told = write_split(
            converter,
            source,
            target,
            split=split,
            limit=limit,
            workers=workers,
            resume=resume,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _print_account(told, target / split, time.perf_counter() - began, console)
    return told


def _print_account(told: Mapping[str, Any], folder: Path, seconds: float, console: Console) -> None:
    console.print(
        f"{folder.name}: {told['frames']} hands in {told['pictures']} pictures, {told['samples']} "
        f"samples, {told['shards']} shards in {folder} "
        f"({told['pictures'] / max(seconds, 1e-9):.0f} pictures/s)"
    )
    console.print(_counted(told), highlight=False)
    for reason, count in told["skipped"].items():
        console.print(f"[yellow]left out:[/] {count} x {reason}", highlight=False)


def _hand(hand: str | None, console: Console) -> HandAsset | None:
    """The hand asked for, or the user's own; None, with a word, where there is none."""
    if hand is not None:
        return files.load(files.find(hand) if hand == CLAYHAND else files.find("mano", hand))
    try:
        return files.load(files.find("mano"))
    except files.WrongHandFile:
        console.print(
            "[yellow]note:[/] no MANO hand was found, so joints, keypoints and cameras are taken "
            "and MANO labels are not. " + files.GET_IT + " Then name it with --hand."
        )
        return None


def _counted(told: Mapping[str, Any]) -> str:
    """What was read beside what the makers say there is."""
    listed, official = told["listed"], told["official"]
    if listed is None:
        return "the pictures were not counted before they were read"
    if told["partial"]:
        return f"[yellow]partial:[/] --limit; the release lists {listed} pictures for the split"
    if official is None:
        return f"{listed} pictures are listed; the makers tell no number for this split"
    if listed == official:
        return f"[green]complete:[/] {listed} pictures are listed, the official number"
    return f"[yellow]partial:[/] {listed} pictures are listed, officially there are {official}"


def export_hamer(shards: str, target: Path, console: Console, *, overwrite: bool) -> int:
    """Writes every shard as a tar of HaMeR's layout beside the others; returns the pictures.

    Raises ValueError where a tar is already there.
    """
    total = 0
    for shard in resolve_shards(shards):
        path = target / Path(shard).name
        if path.exists() and not overwrite:
            raise ValueError(f"{path} is already there; name another folder, or pass --overwrite.")
        target.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        total += write_hamer_tar(part, read_samples(shard))
        part.replace(path)
    console.print(
        "The labels are pickles, as HaMeR's loader wants them: whoever reads such a tar runs what "
        "is in it. Cameras, times, translations and visibility have no place there and are lost."
    )
    return total


def check_shards(
    shards: Sequence[str], console: Console, *, hand: str | None = None
) -> list[dict[str, Any]]:
    """Tests shards against the laws every label keeps; prints and returns the findings.

    hand: a hand of the user's own to pose labels with, beside clayhand; a file or folder.
    """
    assets = (procedural.load(),) if hand is None else (procedural.load(), _hand(hand, console))
    with _counting(console, "checked") as bar:
        task = bar.add_task("", total=None, done=0)
        report = check.check_shards(
            shards, assets=assets, progress=lambda count: bar.advance(task, count)
        )
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


def _converting(console: Console) -> Progress:
    return Progress(
        TextColumn("converting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed!s:.5} rows/s"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _line(finding: Finding) -> str:
    colour = {"error": "red", "warning": "yellow"}.get(finding.severity, "cyan")
    return f"[{colour}]{finding.severity}[/] {finding.path}: {finding.message}"


def _flat(counts: Any) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in counts.items() if not isinstance(value, dict)]
