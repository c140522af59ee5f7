"""Which differences decide a verdict: found with few trainings (delta debugging)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.ladder.orders import Taken

Judge = Callable[[Taken], bool | None]  # whether the run holds; None: it could not be judged


class NothingToBisect(ValueError):
    """Two configs with the same verdict."""


@dataclass
class Search:
    """Asks the judge about each set once, and keeps what it said."""

    judge: Judge
    asked: dict[Taken, bool | None] = field(default_factory=dict)

    def holds(self, taken: Taken) -> bool:
        if taken not in self.asked:
            self.asked[taken] = self.judge(taken)
        return self.asked[taken] is True

    @property
    def runs(self) -> int:
        return len(self.asked)


@dataclass(frozen=True)
class Culprits:
    """The smallest set found, and what it was found with."""

    numbers: tuple[int, ...]  # of the rungs
    start_holds: bool  # the set is made on the start: it repairs it, or (where True) breaks it
    runs: int
    asked: tuple[tuple[Taken, bool | None], ...]


def bisect(count: int, judge: Judge) -> Culprits:
    """The smallest set of differences that turns the failing config into one that holds.

    count: differences between a start (none made) and a goal (all made), of which one holds and
    the other fails. Looking from the failing side names every harmful difference, for each must be
    undone; the other way any one of them would be an answer. Each is found by halving, so k among
    n take about k log2(n) + 3 trainings. It relies on further repairs not hurting; the set found
    was itself tried and holds. Raises NothingToBisect.
    """
    search = Search(judge)
    everything = frozenset(range(count))
    start, goal = search.holds(frozenset()), search.holds(everything)
    if start == goal:
        raise NothingToBisect(
            f"start and goal both {'hold' if goal else 'fail'}; there is no verdict to explain."
        )

    def repaired(made: Taken) -> bool:
        """Whether the failing config holds with these differences taken from the other."""
        return search.holds(everything - made if start else made)

    found = _needed(list(range(count)), repaired)
    return Culprits(tuple(sorted(found)), start, search.runs, tuple(search.asked.items()))


def _needed(candidates: Sequence[int], repaired: Callable[[Taken], bool]) -> list[int]:
    """Every candidate without which the rest of them does not repair."""
    found: list[int] = []
    left = list(candidates)
    while left and not (found and repaired(frozenset(found))):
        few, enough = (0 if found else 1), len(left)  # with all that is left it is known to hold
        while few < enough:
            middle = (few + enough) // 2
            if repaired(frozenset([*found, *left[:middle]])):
                enough = middle
            else:
                few = middle + 1
        if enough == 0:
            break
        found.append(left[enough - 1])
        left = left[: enough - 1]
    return found
