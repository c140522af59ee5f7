"""In which orders the rungs are climbed, and which configs that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.ladder.plan import CannotClimb, Plan, WhyNot, first_sentence, merge

Taken = frozenset[int]  # numbers of the rungs that are made
KINDS = ("forward", "backward", "both", "shapley")


@dataclass(frozen=True)
class Climb:
    """One order of the rungs."""

    name: str  # "forward", "backward", "random 3"
    order: tuple[int, ...]

    def stops(self) -> list[Taken]:
        """What is made at the start, after the first rung, and so on to the top."""
        return [frozenset(self.order[:count]) for count in range(len(self.order) + 1)]


@dataclass(frozen=True)
class Route:
    """A plan with the orders it is climbed in; every stop of every order can be built."""

    plan: Plan
    climbs: tuple[Climb, ...]

    def stops(self) -> list[Taken]:
        """Every config to train, each once, those of the first order first."""
        return list(dict.fromkeys(stop for climb in self.climbs for stop in climb.stops()))


def route(plan: Plan, kind: str, *, budget: int, seed: int, why_not: WhyNot) -> Route:
    """The orders of a kind.

    kind: one of KINDS. "shapley" draws random orders, each with its reverse, as long as they take
    at most `budget` configs; the first is the plan's own. Rungs that some order could not climb
    one by one are merged, and the merged rung says why.
    """
    if kind not in KINDS:
        raise ValueError(f"--order {kind}: it is one of {', '.join(KINDS)}.")
    while True:
        climbs = _climbs(len(plan.rungs), kind, budget, np.random.default_rng(seed))
        found = Route(plan, tuple(climbs))
        merged = _mended(found, why_not)
        if merged is None:
            return found
        plan = merged


def _climbs(count: int, kind: str, budget: int, rng: np.random.Generator) -> list[Climb]:
    forward = Climb("forward", tuple(range(count)))
    backward = Climb("backward", tuple(reversed(range(count))))
    if kind in ("forward", "backward") or count < 2:
        return [backward if kind == "backward" and count > 1 else forward]
    climbs = [forward, backward]
    if kind == "both":
        return climbs
    stops = {stop for climb in climbs for stop in climb.stops()}
    for number in range(1, 1 + 20 * budget):
        order = tuple(int(i) for i in rng.permutation(count))
        pair = [Climb(f"random {number}", order), Climb(f"random {number} reversed", order[::-1])]
        more = stops | {stop for climb in pair for stop in climb.stops()}
        known = any(climb.order == order for climb in climbs)
        if len(more) > budget or len(climbs) + 2 > math.factorial(min(count, 12)):
            break
        if not known:
            climbs, stops = [*climbs, *pair], more
    return climbs


def _mended(found: Route, why_not: WhyNot) -> Plan | None:
    """The plan with two rungs merged because of the first stop that cannot be built, or None."""
    plan = found.plan
    for climb in found.climbs:
        for count, stop in enumerate(climb.stops()):
            reason = why_not(plan.at(stop))
            if reason is None:
                continue
            last = climb.order[count - 1]
            needed = _partner(plan, stop, climb.order[count:], why_not)
            other = climb.order[count] if needed is None else needed
            if other == last:
                raise CannotClimb(f"No order of the rungs can be climbed: {reason}")
            why = first_sentence(reason)
            return merge(plan, last, other, f"in another order it cannot be built: {why}")
    return None


def _partner(plan: Plan, stop: Taken, left: Sequence[int], why_not: WhyNot) -> int | None:
    return next((number for number in left if why_not(plan.at(stop | {number})) is None), None)
