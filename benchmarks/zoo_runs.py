"""Which finished runs count as results of a shipped config, wherever they were trained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.ladder.runs import Run, last_words
from registry.budget import IN_STEPS
from registry.config import load
from registry.difference import difference

# What a run may have of its own: its seed, and where it is stopped what counts steps.
_OWN = ("randomness",)


@dataclass(frozen=True)
class Wanted:
    """The protocol that all results of a page have in common."""

    size: str = "tiny"
    steps: int | None = None  # None: the config's own
    seeds: int = 3


@dataclass
class Counted:
    """The runs of a config that count, and why others do not."""

    places: list[Path] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def runs_that_count(
    folders: Sequence[Path], configs: Sequence[str], wanted: Wanted
) -> dict[str, Counted]:
    """Of each config at most `wanted.seeds` runs, of the smallest seeds; `CONFIG-seedN` in folders.

    A run counts when it trained the config as it is shipped now, at this size, for as many steps
    and on the same hands as the first run that counts. Where two folders have a seed, the first
    folder's is taken.
    """
    found: dict[str, Counted] = {}
    hands: str | None = None
    for name in configs:
        found[name] = counted = Counted()
        seeds: dict[int, Path] = {}
        for place in _finished(folders, name):
            record = json.loads((place / "run.json").read_text())
            why = why_not_counted(record, name, wanted)
            if why is None and hands not in (None, record["data"]["fingerprint"]):
                why = "trained on other hands"
            if why is not None:
                counted.refused.append(f"{place.name}: {why}")
                continue
            hands = record["data"]["fingerprint"]
            seeds.setdefault(record["seed"], place)
        counted.places = [seeds[seed] for seed in sorted(seeds)][: wanted.seeds]
    return found


def why_not_counted(record: Mapping[str, Any], name: str, wanted: Wanted) -> str | None:
    """What sets a run apart from the config as it is shipped now, or None."""
    if record["size"] != wanted.size:
        return f"its size is {record['size']}"
    shipped = json.loads(json.dumps(load(name, size=wanted.size), default=str))
    steps = shipped["train_cfg"]["max_iters"] if wanted.steps is None else wanted.steps
    if record["steps"] != steps:
        return f"{record['steps']} steps, not {steps}"
    free = _OWN + (() if wanted.steps is None else IN_STEPS)
    for change in difference(shipped, record["config"]):
        if not any(change.path == path or change.path.startswith(f"{path}.") for path in free):
            return f"{change.path} was {change.after}, and is {change.before} now"
    return None


def why_none(folders: Sequence[Path], name: str, counted: Counted) -> str:
    """What stands in the row of a config without a run that counts."""
    if counted.refused:
        return f"not trained as it is now ({counted.refused[0]})"
    for folder in folders:
        run = Run(name, Path(name), 0, folder / f"{name}-seed0")
        if run.log.is_file() and not run.folder.is_dir():
            return f"not trained: {last_words(run)}"
    return "not trained"


def _finished(folders: Sequence[Path], name: str) -> Iterator[Path]:
    for folder in folders:
        for place in sorted(folder.glob(f"{name}-seed*")):
            if (place / "run.json").is_file() and place.name[len(name) + 5 :].isdigit():
                yield place
