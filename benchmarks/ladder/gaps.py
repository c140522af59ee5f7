"""A ladder with a rung that could not be trained: climbed over, and said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.ladder.climb import JOURNAL, climbs_of, names_of
from benchmarks.ladder.orders import Climb

NO_RUN = "has no run of its own"
_FAILED = "failed: "


def failures(folder: Path) -> dict[str, str]:
    """Why each stop failed of which no run is finished, by its name; others may yet be trained."""
    file = folder / JOURNAL
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    last: dict[tuple[str, str], str] = {}
    for line in lines:
        run, _, what = line.partition(": ")
        name, _, seed = run.rpartition(" seed ")
        last[name, seed] = what
    found: dict[str, str] = {}
    for (name, _), what in last.items():
        if what.startswith(_FAILED) and not any(folder.glob(f"runs/{name}-seed*/run.json")):
            found.setdefault(name, what.removeprefix(_FAILED))
    return found


def climbed_over(record: Mapping[str, Any], failed: Mapping[str, str]) -> dict[str, Any]:
    """The plan with each failed rung climbed together with the one after it, which says why.

    Steps still add up to goal minus start. Several orders stay as they are, for in another order
    the same rung may have been trained; so does a ladder whose start or goal failed.
    """
    climbs, names = climbs_of(record), names_of(record)
    heights = [names[stop] for stop in climbs[0].stops()]
    gone = failed.keys() & set(heights)
    if not gone or len(climbs) > 1 or heights[0] in gone or heights[-1] in gone:
        return dict(record)
    rungs, stops, group, notes = [], [{"name": heights[0], "taken": []}], [], []
    for number, name in zip(climbs[0].order, heights[1:], strict=True):
        rung = record["rungs"][number]
        group.append(rung)
        if name in gone:
            notes.append(f"{rung['name']} {NO_RUN}: {failed[name]}")
            continue
        rungs.append(
            {
                "name": "+".join(one["name"] for one in group),
                "changes": [change for one in group for change in one["changes"]],
                "notes": [*(note for one in group for note in one["notes"]), *notes],
            }
        )
        stops.append({"name": name, "taken": list(range(len(rungs)))})
        group, notes = [], []
    climb = Climb(climbs[0].name, tuple(range(len(rungs))))
    order = {"name": climb.name, "order": list(climb.order)}
    return {**record, "rungs": rungs, "stops": stops, "climbs": [order]}
