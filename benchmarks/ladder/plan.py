"""From two configs to rungs: which differences are climbed together, and in what order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.difference import Change, apply, difference, same, split_path
from registry.layout import slot_of

WhyNot = Callable[[Mapping[str, Any]], str | None]  # why a config cannot be built, or None

# Equal on every rung: what a fair comparison holds still, and what has no part in learning.
HELD = ("data", "evaluation", "train_cfg", "randomness", "default_hooks", "visualizer", "stage1")
SCHEDULE = ("optim_wrapper", "param_scheduler", "custom_hooks")
SLOT_ORDER = (
    "backbone",
    "neck",
    "camera",
    "head",
    "temporal",
    "loss",
    "crop",
    "view_augmentation",
    "pixel_augmentation",
    "model",
    "augmentation",
    "schedule",
)


class CannotClimb(ValueError):
    """Two configs between which no ladder stands."""


@dataclass(frozen=True)
class Rung:
    """Differences that are made together."""

    name: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()  # what was merged into it, and why


@dataclass(frozen=True)
class Plan:
    """A start, the differences to its goal in rungs, and what is held equal instead."""

    start: str
    goal: str
    config: dict[str, Any]  # of the start
    rungs: tuple[Rung, ...]
    held: tuple[Change, ...] = ()  # differences that are not climbed

    def at(self, taken: Iterable[int]) -> dict[str, Any]:
        """The config with the rungs of these numbers made."""
        changes = [change for number in sorted(taken) for change in self.rungs[number].changes]
        return apply(self.config, changes)

    @property
    def top(self) -> dict[str, Any]:
        return self.at(range(len(self.rungs)))


def make_plan(
    start: tuple[str, Mapping[str, Any]],
    goal: tuple[str, Mapping[str, Any]],
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    why_not: WhyNot,
) -> Plan:
    """The ladder between two resolved configs.

    start, goal: name and config. groups: rung -> config prefixes; each difference goes to the
    first rung that has a prefix of its path. None makes one rung a slot. Raises CannotClimb where
    start or goal cannot be built, or no rung covers a difference. The top rung is the goal, but
    for what HELD names.
    """
    (start_name, first), (goal_name, last) = start, goal
    for name, config in (start, goal):
        if reason := why_not(config):
            raise CannotClimb(f"{name} cannot be built, so nothing is compared with it: {reason}")
    everything = difference(first, last)
    held = tuple(c for c in everything if split_path(c.path)[0] in HELD)
    climbed = [c for c in everything if c not in held]
    sorted_out = _by_prefix(climbed, groups) if groups else _by_slot(climbed)
    plan = Plan(start_name, goal_name, copy.deepcopy(dict(first)), (), held)
    rungs = tuple(_buildable(first, sorted_out, why_not))
    plan = Plan(start_name, goal_name, plan.config, rungs, held)
    wanted = apply(last, [change.reversed() for change in held])
    if not same(plan.top, wanted):
        raise AssertionError(f"The top rung of {start_name} to {goal_name} is not the goal.")
    return plan


def single_changes(plan: Plan) -> Plan:
    """The same ladder with a rung for every difference, named by its path.

    Differences that can only be built together stay one rung.
    """
    rungs = [
        fine
        for rung in plan.rungs
        for fine in ([rung] if rung.notes else [Rung(c.path, (c,)) for c in rung.changes])
    ]
    return Plan(plan.start, plan.goal, plan.config, tuple(rungs), plan.held)


def _by_slot(changes: Sequence[Change]) -> list[Rung]:
    found: dict[str, list[Change]] = {name: [] for name in SLOT_ORDER}
    for change in changes:
        slot = slot_of(change.path)
        found.setdefault("schedule" if slot in SCHEDULE else slot, []).append(change)
    return [Rung(name, tuple(group)) for name, group in found.items() if group]


def _by_prefix(changes: Sequence[Change], groups: Mapping[str, Sequence[str]]) -> list[Rung]:
    found: dict[str, list[Change]] = {name: [] for name in groups}
    uncovered = []
    for change in changes:
        name = next((n for n, prefixes in groups.items() if _covers(prefixes, change.path)), None)
        if name is None:
            uncovered.append(change.path)
        else:
            found[name].append(change)
    if uncovered:
        raise CannotClimb(
            f"No rung covers: {', '.join(uncovered)}. Add a prefix of it to a rung of the ladder."
        )
    return [Rung(name, tuple(group)) for name, group in found.items() if group]


def _covers(prefixes: Sequence[str], path: str) -> bool:
    keys = split_path(path)
    return any(keys[: len(split_path(prefix))] == split_path(prefix) for prefix in prefixes)


def _buildable(config: Mapping[str, Any], rungs: Sequence[Rung], why_not: WhyNot) -> Iterable[Rung]:
    """The rungs in order, each taking with it what it cannot be built without."""
    below, left = dict(config), list(rungs)
    while left:
        rung, *left = left
        reason = why_not(apply(below, rung.changes))
        if reason is not None:
            rung, left = _with_what_it_needs(below, rung, left, reason, why_not)
        below = apply(below, rung.changes)
        yield rung


def _with_what_it_needs(
    below: Mapping[str, Any], rung: Rung, left: list[Rung], reason: str, why_not: WhyNot
) -> tuple[Rung, list[Rung]]:
    """The rung with the fewest later changes that let it be built, and the rungs without them.

    All later changes do, for then it is the goal; what is not needed is left where it was.
    """

    def enough(changes: Sequence[Change]) -> bool:
        return why_not(apply(below, [*rung.changes, *changes])) is None

    later = [change for other in left for change in other.changes]
    needed = next(([change] for change in later if enough([change])), later)
    for dropped in (*(other.changes for other in reversed(left)), *((c,) for c in later)):
        fewer = [change for change in needed if change not in dropped]
        if len(fewer) < len(needed) and fewer and enough(fewer):
            needed = fewer
    paths = [change.path for change in needed]
    note = f"takes {_listed(paths)} with it, for alone it cannot be built: "
    note += first_sentence(reason)
    taken = Rung(rung.name, (*rung.changes, *needed), (*rung.notes, note))
    return taken, _without(left, set(paths))


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def first_sentence(text: str) -> str:
    """What is wrong, without what could be done about it."""
    return text.partition(". ")[0].rstrip(".")


def _merged(rung: Rung, others: Sequence[Rung], because: str) -> Rung:
    names = [other.name for other in others]
    return Rung(
        "+".join([rung.name, *names]),
        (*rung.changes, *(change for other in others for change in other.changes)),
        (*rung.notes, f"{rung.name} is climbed with {' and '.join(names)}, for {because}"),
    )


def _without(rungs: Sequence[Rung], paths: set[str]) -> list[Rung]:
    kept = [
        Rung(rung.name, tuple(c for c in rung.changes if c.path not in paths), rung.notes)
        for rung in rungs
    ]
    return [rung for rung in kept if rung.changes]


def merge(plan: Plan, one: int, other: int, because: str) -> Plan:
    """The plan with two rungs climbed together, where the earlier of them stood."""
    first, second = sorted((one, other))
    rung = _merged(plan.rungs[first], [plan.rungs[second]], because)
    rungs = [*plan.rungs[:first], rung, *plan.rungs[first + 1 : second], *plan.rungs[second + 1 :]]
    return Plan(plan.start, plan.goal, plan.config, tuple(rungs), plan.held)
