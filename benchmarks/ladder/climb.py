"""A ladder in its folder: planned once, trained as often as it takes, read back from its runs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.ladder.orders import Climb, Route, Taken
from benchmarks.ladder.plan import HELD, Plan
from benchmarks.ladder.runs import Command, Journal, Run, train_all, write_config
from registry.config import load
from registry.difference import ABSENT, Change, same
from registry.layout import slot_of

CHECKPOINTS = 20  # of a run: what a kill of everything at once may cost is a twentieth
PLAN = "plan.json"
JOURNAL = "journal.txt"


class OtherLadder(ValueError):
    """A folder that already holds a ladder with other rungs, budget or seeds."""


@dataclass(frozen=True)
class Settings:
    """What every rung has in common."""

    size: str
    seeds: int
    steps: int | None
    order: str
    threads: int = 1
    data: str | None = None
    changes: tuple[str, ...] = ()  # made in every config, as `--set` says them

    def record(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "changes": list(self.changes)}


@dataclass(frozen=True)
class Stop:
    """A config to train, with what is made in it."""

    name: str  # "02-neck"; configs that are the same share one
    taken: tuple[int, ...]
    config: dict[str, Any] = field(repr=False)


def stops_of(found: Route) -> list[Stop]:
    """Every config of a route by name; those of the plan's own order are numbered by height."""
    plan, seen, result = found.plan, [], []
    for taken in found.stops():
        numbers = tuple(sorted(taken))
        config = frugal(plan.at(taken))
        name = next((stop.name for stop in seen if same(stop.config, config)), None)
        stop = Stop(name or _name(plan, numbers), numbers, config)
        seen.append(stop)
        result.append(stop)
    return result


def runs_of(stops: Sequence[Stop], folder: Path, seeds: int) -> list[Run]:
    """The trainings of stops, seed after seed, so that an early end leaves whole ladders."""
    names = dict.fromkeys(stop.name for stop in stops)
    return [
        Run(name, folder / "configs" / f"{name}.py", seed, folder / "runs" / f"{name}-seed{seed}")
        for seed in range(seeds)
        for name in names
    ]


def settle(folder: Path, found: Route, stops: Sequence[Stop], settings: Settings) -> dict[str, Any]:
    """Writes plan and configs, or checks that the folder holds this ladder with no more seeds.

    returns: the plan as written; its threads are those of the first start. Raises OtherLadder.
    """
    record = plan_record(found, stops, settings)
    file = folder / PLAN
    if file.is_file():
        before = json.loads(file.read_text())
        if not goes_on(before, record):
            raise OtherLadder(
                f"{folder} holds another ladder ({before['start']} to {before['goal']}, "
                f"{before['settings']['seeds']} seeds, {before['settings']['order']}); name "
                "another folder with --out, or ask for the same one to go on with it."
            )
    for stop in stops:
        says = f"{stop.name} of the ladder from {found.plan.start} to {found.plan.goal}."
        keep_config(folder, stop, says)
    write_json(file, record)
    return record


def keep_config(folder: Path, stop: Stop, says: str) -> Path:
    """A stop's config as a file of the folder; raises OtherLadder where it holds another."""
    path = folder / "configs" / f"{stop.name}.py"
    if not path.is_file():
        return write_config(path, stop.config, says)
    if not same(load(path), stop.config):
        raise OtherLadder(
            f"{path} is another config than {stop.name} is now, so its runs would be of two; name "
            "another folder with --out."
        )
    return path


def goes_on(before: Mapping[str, Any], record: dict[str, Any]) -> bool:
    """Whether a plan is the one written before, or that with more seeds; it takes its threads."""
    first = before["settings"]
    record["settings"]["threads"] = first["threads"]
    more = {**first, "seeds": max(first["seeds"], record["settings"]["seeds"])}
    return {**before, "settings": more} == json.loads(json.dumps(record))


def plan_record(found: Route, stops: Sequence[Stop], settings: Settings) -> dict[str, Any]:
    """What is trained and why, without any result."""
    plan = found.plan
    return {
        "schema": 1,
        "start": plan.start,
        "goal": plan.goal,
        "settings": settings.record(),
        "rungs": [
            {
                "name": rung.name,
                "changes": [change_record(change) for change in rung.changes],
                "notes": list(rung.notes),
            }
            for rung in plan.rungs
        ],
        "held": {"sections": list(HELD), "changes": [change_record(c) for c in plan.held]},
        "climbs": [{"name": climb.name, "order": list(climb.order)} for climb in found.climbs],
        "stops": [{"name": stop.name, "taken": list(stop.taken)} for stop in stops],
    }


def train(
    folder: Path,
    runs: Sequence[Run],
    command: Command,
    *,
    jobs: int,
    threads: int,
    devices: Sequence[str] = (),
    told: Callable[[Run, str], None] = lambda run, what: None,
) -> list[Run]:
    """Trains what is missing; returns the runs that failed. Events go to the journal as well."""
    journal = Journal(folder / JOURNAL)

    def tell(run: Run, what: str) -> None:
        journal(run, what)
        told(run, what)

    return train_all(runs, command, jobs=jobs, threads=threads, devices=devices, told=tell)


def climbs_of(record: Mapping[str, Any]) -> list[Climb]:
    """The orders of a written plan."""
    return [Climb(climb["name"], tuple(climb["order"])) for climb in record["climbs"]]


def names_of(record: Mapping[str, Any]) -> dict[Taken, str]:
    """The stops of a written plan: what is made, and under which name it was trained."""
    return {frozenset(stop["taken"]): stop["name"] for stop in record["stops"]}


def change_record(change: Change) -> dict[str, Any]:
    """A change for eyes and JSON."""
    return {
        "path": change.path,
        "before": _said(change.before),
        "after": _said(change.after),
        "slot": slot_of(change.path),
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON under its name, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _name(plan: Plan, numbers: tuple[int, ...]) -> str:
    if not numbers:
        return "00-start"
    if numbers == tuple(range(len(numbers))):
        label = plan.rungs[numbers[-1]].name.replace("+", "-").replace(".", "-")
        return f"{len(numbers):02d}-{label}"
    return "set-" + "-".join(f"{number + 1:02d}" for number in numbers)


def frugal(config: dict[str, Any]) -> dict[str, Any]:
    """The config that saves often and keeps the last state alone; no number depends on it."""
    hooks = dict(config.get("default_hooks") or {})
    interval = max(1, config["train_cfg"]["max_iters"] // CHECKPOINTS)
    saving = {**hooks.get("checkpoint", {}), "interval": interval, "max_keep_ckpts": 1}
    for key in ("type", "save_best", "rule"):  # the best state is no result of a ladder
        saving.pop(key, None)
    return {**config, "default_hooks": {**hooks, "checkpoint": saving}}


def _said(value: Any) -> Any:
    if value is ABSENT:
        return "absent"
    if isinstance(value, Mapping):
        return {str(key): _said(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_said(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
