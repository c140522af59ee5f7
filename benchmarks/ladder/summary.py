"""The numbers of a ladder, from its plan and its run files alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ladder.attribution import (
    MAIN,
    Result,
    Results,
    attribution,
    interaction,
    level,
    read_result,
    step,
    total,
)
from benchmarks.ladder.climb import PLAN, climbs_of, names_of
from benchmarks.ladder.orders import Climb, Taken
from benchmarks.statistics import Estimate


class NoLadder(ValueError):
    """A folder without a ladder in it, or without enough of its runs."""


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan a ladder's folder holds."""
    file = folder / PLAN
    if not file.is_file():
        raise NoLadder(f"{folder} holds no {PLAN}; it is written by `zoo ladder`.")
    return json.loads(file.read_text())


def read_results(folder: Path, record: Mapping[str, Any]) -> Results:
    """Of each stop the runs of the seeds that every stop has; unfinished seeds wait."""
    found: dict[str, dict[int, Result]] = {}
    for name in dict.fromkeys(names_of(record).values()):
        found[name] = {}
        for seed in range(record["settings"]["seeds"]):
            run = folder / "runs" / f"{name}-seed{seed}"
            if (run / "run.json").is_file():
                found[name][seed] = read_result(run)
    seeds = sorted(set.intersection(*(set(of) for of in found.values())))
    if not seeds:
        waiting = [name for name, of in found.items() if not of]
        raise NoLadder(f"{folder}: no seed is finished on every rung; waiting for {waiting[0]}.")
    return {taken: [found[n][s] for s in seeds] for taken, n in names_of(record).items()}


def summarise(record: Mapping[str, Any], results: Results) -> dict[str, Any]:
    """The `ladder` record: rungs with their runs and steps, and attributions."""
    climbs, names = climbs_of(record), names_of(record)
    metrics = metrics_of(results)
    first = climbs[0]
    rungs = [
        _rung(record, results, names, first, height, metrics)
        for height in range(len(first.stops()))
    ]
    numbers = range(len(record["rungs"]))
    return {
        **{key: record[key] for key in ("schema", "start", "goal", "settings", "held", "climbs")},
        "metrics": metrics,
        "trainings": len({id(result) for of in results.values() for result in of}),
        "rungs": rungs,
        "total": {name: numbers_of(total(results, first, name)) for name in metrics},
        "attribution": [
            _attributed(record, results, climbs, number, name)
            for name in metrics
            for number in numbers
        ],
    }


def metrics_of(results: Results) -> list[str]:
    """The metrics every run has a number for, the main one first."""
    runs = [result for of in results.values() for result in of]
    names = [
        name
        for name in runs[0].scores.values
        if all(math.isfinite(result.metric(name)) for result in runs)
    ]
    return sorted(names, key=lambda name: (name != MAIN, name))


def numbers_of(estimate: Estimate) -> dict[str, float | None]:
    """An estimate for JSON; what is unknown is null."""

    def known(value: float) -> float | None:
        return round(value, 6) if math.isfinite(value) else None

    return {
        "mean": known(estimate.value),
        "low": known(estimate.low),
        "high": known(estimate.high),
    }


def _rung(
    record: Mapping[str, Any],
    results: Results,
    names: Mapping[Taken, str],
    climb: Climb,
    height: int,
    metrics: Sequence[str],
) -> dict[str, Any]:
    stop = climb.stops()[height]
    made = record["rungs"][climb.order[height - 1]] if height else None
    steps = {}
    if made is not None:
        steps = {
            name: numbers_of(step(results, climb, climb.order[height - 1], name))
            for name in metrics
        }
    return {
        "name": made["name"] if made else record["start"],
        "run": names[stop],
        "changes": made["changes"] if made else [],
        "notes": made["notes"] if made else [],
        "runs": [_run(result) for result in results[stop]],
        "level": {name: numbers_of(level(results[stop], name)) for name in metrics},
        "step": steps,
    }


def _run(result: Result) -> dict[str, Any]:
    record = result.record
    wanted = ("seed", "steps", "metrics", "baseline", "parameters_m", "seconds", "samples_per_s")
    return {
        **{key: record.get(key) for key in wanted},
        "verdict": record.get("verdict"),
        "history": record.get("history", {}),
    }


def _attributed(
    record: Mapping[str, Any],
    results: Results,
    climbs: Sequence[Climb],
    number: int,
    metric: str,
) -> dict[str, Any]:
    rung = record["rungs"][number]
    entry = {
        "change": rung["name"],
        "metric": metric,
        **numbers_of(attribution(results, climbs, number, metric)),
    }
    if len(climbs) > 1:
        entry |= interaction(results, climbs, number, metric)
    return entry
