"""Times several things in turn, so that whatever slows the machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from benchmarks.statistics import Estimate, median_interval, paired_ratio

Clock = Callable[[], float]
Work = Callable[[], object]
LEAST_ROUNDS = 13  # fewer could not bound twenty ratios at once
SHORTEST = 0.02  # s, of one measurement: work that is quicker is done several times in it


@dataclass(frozen=True)
class Timing:
    """Seconds of one piece of work, one a round; the rounds of all subjects belong together."""

    seconds: tuple[float, ...]

    def milliseconds(self) -> Estimate:
        """The median and its 95 % interval."""
        found = median_interval(self.seconds)
        return Estimate(1e3 * found.value, 1e3 * found.low, 1e3 * found.high)

    def ratio(self, other: Timing, *, comparisons: int = 1) -> Estimate:
        """How many times as long as the other, from the pairs of both's rounds."""
        return paired_ratio(self.seconds, other.seconds, comparisons=comparisons)


def alternate(
    work: Mapping[str, Work],
    *,
    budget: float,
    rounds: int = 60,
    warm_up: int = 2,
    clock: Clock = time.perf_counter,
    device: str = "cpu",
) -> dict[str, Timing]:
    """The timings of each piece of work, measured A B, B A, A B until the budget is spent.

    budget: seconds for all of them together; at least LEAST_ROUNDS rounds are made whatever they
    take, and at most `rounds`. warm_up: rounds that do not count.
    """
    repeats = {}
    for name, run in work.items():
        for _ in range(warm_up - 1):
            _once(run, 1, clock, device)
        shortest = _once(run, 1, clock, device)
        repeats[name] = max(1, min(50, round(SHORTEST / max(shortest, 1e-6))))
    seconds: dict[str, list[float]] = {name: [] for name in work}
    started, names = clock(), list(work)
    for number in range(rounds):
        if number >= LEAST_ROUNDS and clock() - started > budget:
            break
        # there and back: what a machine's slow change gives the first, it takes in the next round
        for name in names if number % 2 == 0 else reversed(names):
            seconds[name].append(_once(work[name], repeats[name], clock, device))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def _once(run: Work, repeats: int, clock: Clock, device: str) -> float:
    """Seconds of one run, from several."""
    _wait(device)
    started = clock()
    for _ in range(repeats):
        run()
    _wait(device)
    return (clock() - started) / repeats


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
