"""Finished runs side by side, from their files: errors, paired differences, verdicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.accuracy import OtherHands, Scores, differences, read_scores, summaries


class NoRun(ValueError):
    """A folder without the files of a finished run."""


def compare_runs(folders: Sequence[Path]) -> dict[str, Any]:
    """What every run's files say, and each run's differences from the last one named."""
    records = [read_run(folder) for folder in folders]
    scores = [
        read_scores(f / "predictions.npz", r["config"])
        for f, r in zip(folders, records, strict=True)
    ]
    names = unique_names(folders)
    runs = [
        {
            "name": name,
            "metrics": summaries(score),
            **{key: record.get(key) for key in _KEPT},
        }
        for name, record, score in zip(names, records, scores, strict=True)
    ]
    shared = set.intersection(*(set(run["metrics"]) for run in runs))
    return {
        "schema": 1,
        "metrics": [name for name in runs[0]["metrics"] if name in shared],
        "runs": runs,
        "differences": _differences(names, scores),
    }


_KEPT = (
    "config_name",
    "size",
    "seed",
    "steps",
    "seconds",
    "parameters_m",
    "samples_per_s",
    "baseline",
    "verdict",
    "history",
    "data",
    "commit",
)


def read_run(folder: Path) -> dict[str, Any]:
    """A run's record; raises NoRun where it did not finish."""
    file = folder / "run.json"
    if not file.is_file() or not (folder / "predictions.npz").is_file():
        raise NoRun(
            f"{folder} holds no finished run (run.json and predictions.npz); zoo train writes them."
        )
    return json.loads(file.read_text())


def unique_names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with their parents' where two are the same."""
    names = [folder.resolve().name for folder in folders]
    return [
        name if names.count(name) == 1 else f"{folder.resolve().parent.name}/{name}"
        for name, folder in zip(names, folders, strict=True)
    ]


def _differences(names: Sequence[str], scores: Sequence[Scores]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, own in zip(names[:-1], scores[:-1], strict=True):
        try:
            found[f"{name} - {names[-1]}"] = differences(own, scores[-1])
        except OtherHands as error:
            found[f"{name} - {names[-1]}"] = {"why_not": str(error)}
    return found
