"""Finds the shards a run trains on, rendering the embedded default once where none are named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from registry.build import build_sources
from registry.layout import at
from zoo.app.training.assemble import Shards
from zoo.data.shards import resolve_shards
from zoo.data.synthetic.write import generator, write_dataset


def cache_folder() -> Path:
    """Where rendered shards are kept: $ZOO_CACHE, else the user's cache folder."""
    if given := os.environ.get("ZOO_CACHE"):
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(base).expanduser() / "hand-mesh-zoo"


def find_shards(
    config: Mapping[str, Any], data: str | None, val_data: str | None, console: Console
) -> Shards:
    """Training and validation data: those asked for, those configured, or rendered ones.

    data: what --data said; a folder with `train` and `val` inside means both. Where neither is
    said, the config's `sources` come before its `shards`. Without val_data, a `val` folder or
    validation sources, the training data are also measured on, and that is said.
    """
    train, val = data, val_data
    if data is None:
        train = build_sources(config, "data.train.sources") or at(config, "data.train.shards")
        val = val or build_sources(config, "data.val.sources")
    val = val or at(config, "data.val.shards")
    if train is None:
        folder = embedded(config, console)
        train, val = folder / "train", val or folder / "val"
    elif isinstance(train, str) and (Path(train).expanduser() / "train").is_dir():
        folder = Path(train).expanduser()
        train = folder / "train"
        val = val or (folder / "val" if (folder / "val").is_dir() else None)
    if val is None:
        console.print(
            f"[yellow]note:[/] no validation shards were named (--val-data), so the model is "
            f"measured on what it trains on: {_named(train)}"
        )
        val = train
    return Shards(*(x if isinstance(x, Mapping) else resolve_shards(x) for x in (train, val)))


def _named(data: Any) -> str:
    return ", ".join(data) if isinstance(data, Mapping) else str(data)


def embedded(config: Mapping[str, Any], console: Console) -> Path:
    """The folder of the config's rendered hands, made now if this machine has none yet."""
    recipe = dict(config["data"]["synthetic"])
    count, val_count = recipe.pop("count"), recipe.pop("val_count")
    total = count + val_count
    name = hashlib.sha256(json.dumps([generator(), count, val_count, recipe]).encode()).hexdigest()[
        :10
    ]
    folder = cache_folder() / f"synthetic-{recipe['image_size']}px-{total}-{name}"
    render(
        folder,
        console,
        count=total,
        split=(count / total, val_count / total),
        **recipe,
    )
    return folder


def render(
    folder: Path, console: Console, *, count: int, jobs: int | None = None, **recipe
) -> dict:
    """Writes (or completes) a rendered data set with a progress bar; returns its dataset.json."""
    jobs = jobs or max(1, len(os.sched_getaffinity(0)))
    finished = folder / "dataset.json"
    if finished.is_file() and json.loads(finished.read_text()).get("complete"):
        console.print(f"Rendered hands: {folder}", highlight=False)
        return write_dataset(folder, count=count, jobs=1, **recipe)
    console.print(f"Rendering {count} hands into {folder} (once; later runs reuse them)")
    with Progress(
        TextColumn("[bold]rendering[/]"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:.0f} pictures/s"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("render", total=count)
        return write_dataset(
            folder,
            count=count,
            jobs=jobs,
            progress=lambda pictures: bar.advance(task, pictures),
            **recipe,
        )
