"""The numbers of a table of variants, from its run files alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ladder.attribution import MAIN, Result, attribution, level, read_result
from benchmarks.ladder.orders import Climb
from benchmarks.ladder.runs import Run, last_words
from benchmarks.ladder.summary import NoLadder, numbers_of, read_plan


def summarise_table(folder: Path) -> dict[str, Any]:
    """Each variant's error, its paired difference from the unchanged one, and the claim.

    The reference is the variant without changes, else the first. A variant that could not be
    trained has the last line of its log.
    """
    record = read_plan(folder)
    seeds = record["settings"]["seeds"]
    found = {v["name"]: _results(folder, v["name"], seeds) for v in record["variants"]}
    if not any(found.values()):
        raise NoLadder(f"{folder}: no variant is trained yet.")
    names = [v["name"] for v in record["variants"] if not v["changes"]] or list(found)
    reference = next((name for name in names if found[name]), None)
    return {
        **{key: record[key] for key in ("schema", "base", "settings")},
        "metric": MAIN,
        "reference": reference,
        "variants": [
            _variant(folder, variant, found[variant["name"]], found.get(reference, {}))
            for variant in record["variants"]
        ],
    }


def _variant(
    folder: Path,
    variant: Mapping[str, Any],
    own: Mapping[int, Result],
    reference: Mapping[int, Result],
) -> dict[str, Any]:
    entry: dict[str, Any] = {**variant, "level": None, "difference": None, "failed": None}
    if not own:
        run = Run(variant["name"], Path(), 0, folder / "runs" / f"{variant['name']}-seed0")
        return {**entry, "failed": last_words(run)}
    held = [bool((result.record.get("verdict") or {}).get("converged")) for result in own.values()]
    both = sorted(own.keys() & reference.keys())
    if both and own is not reference:
        pair = ([reference[seed] for seed in both], [own[seed] for seed in both])
        entry["difference"] = numbers_of(_difference(*pair))
    return {
        **entry,
        "level": numbers_of(level(list(own.values()), MAIN)),
        "converged": sum(held),
        "runs": len(held),
        "samples_per_s": [result.record.get("samples_per_s") for result in own.values()],
    }


def _difference(reference: Sequence[Result], own: Sequence[Result]) -> Any:
    results = {frozenset(): reference, frozenset({0}): own}
    return attribution(results, [Climb("forward", (0,))], 0, MAIN)


def _results(folder: Path, name: str, seeds: int) -> dict[int, Result]:
    places = {seed: folder / "runs" / f"{name}-seed{seed}" for seed in range(seeds)}
    return {seed: read_result(place) for seed, place in places.items() if json_there(place)}


def json_there(place: Path) -> bool:
    """Whether a run is finished."""
    file = place / "run.json"
    return file.is_file() and bool(json.loads(file.read_text()))
