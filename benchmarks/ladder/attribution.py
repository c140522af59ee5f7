"""What each rung bought: differences of runs that add up to goal minus start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench.accuracy import Scores, check_same_hands, read_scores
from benchmarks.ladder.orders import Climb, Taken
from benchmarks.statistics import Estimate, mean_of_runs, standard_error

MAIN = "root_mpjpe_mm"


@dataclass(frozen=True)
class Result:
    """One finished run: its record and the errors of its hands."""

    record: Mapping[str, Any]
    scores: Scores

    def metric(self, name: str) -> float:
        value = self.record["metrics"].get(name)
        return float("nan") if value is None else float(value)


Results = Mapping[Taken, Sequence[Result]]  # of each stop, a result a seed, in the seeds' order


def read_result(folder: Path) -> Result:
    """A run's record and scores from its folder."""
    record = json.loads((folder / "run.json").read_text())
    return Result(record, read_scores(folder / "predictions.npz", record["config"]))


def level(results: Sequence[Result], metric: str) -> Estimate:
    """The error of a config over its seeds, the choice of hands included."""
    check_same_hands([result.scores for result in results])
    error = _hands_error([(1.0, result) for result in results], metric, len(results))
    return mean_of_runs([result.metric(metric) for result in results], hands_error=error)


def step(results: Results, climb: Climb, number: int, metric: str) -> Estimate:
    """What one rung changed in one order, seeds and hands paired."""
    return attribution(results, [climb], number, metric)


def attribution(results: Results, climbs: Sequence[Climb], number: int, metric: str) -> Estimate:
    """What a rung changed, on average over the orders; below 0 it made the error smaller.

    number: of the rung. Over all rungs the values add up to goal minus start, in every order and
    so on average. The interval pairs runs by seed and hands by key.
    """
    terms = _terms(results, climbs, number)
    seeds = len(next(iter(results.values())))
    runs = [
        sum(weight * of[seed].metric(metric) for weight, of in terms) / len(climbs)
        for seed in range(seeds)
    ]
    flat = [(weight / len(climbs), result) for weight, of in terms for result in of]
    error = _hands_error(flat, metric, seeds) if flat else 0.0
    return mean_of_runs(runs, hands_error=error)


def total(results: Results, climb: Climb, metric: str) -> Estimate:
    """Goal minus start."""
    start, goal = climb.stops()[0], climb.stops()[-1]
    seeds = range(len(results[start]))
    terms = [(sign, r) for sign, stop in ((-1.0, start), (1.0, goal)) for r in results[stop]]
    error = _hands_error(terms, metric, len(results[start])) if start != goal else 0.0
    runs = [results[goal][s].metric(metric) - results[start][s].metric(metric) for s in seeds]
    return mean_of_runs(runs, hands_error=error)


def interaction(
    results: Results, climbs: Sequence[Climb], number: int, metric: str
) -> dict[str, Any]:
    """What the rung changed in each order, and how far these are apart: 0 if it acts alone."""
    by_order = {climb.name: step(results, climb, number, metric).value for climb in climbs}
    values = list(by_order.values())
    return {"by_order": by_order, "spread": max(values) - min(values)}


def _terms(
    results: Results, climbs: Sequence[Climb], number: int
) -> list[tuple[int, Sequence[Result]]]:
    """The runs that enter a rung's mean, each with how often and its sign; what cancels is out.

    Stops that share their runs are one, so that configs that are the same differ by exactly 0.
    """
    counted: dict[tuple[int, ...], tuple[int, Sequence[Result]]] = {}
    for climb in climbs:
        before = frozenset(climb.order[: climb.order.index(number)])
        for stop, sign in ((before, -1), (before | {number}, 1)):
            key = tuple(map(id, results[stop]))
            counted[key] = (counted.get(key, (0, ()))[0] + sign, results[stop])
    return [term for term in counted.values() if term[0]]


def _hands_error(terms: Sequence[tuple[float, Result]], metric: str, seeds: int) -> float:
    """The standard error, by the choice of hands, of a weighted sum of runs' errors."""
    scores = [result.scores for _, result in terms]
    check_same_hands(scores)
    counts = scores[0].counts[metric]
    summed = sum(
        weight * np.where(counts > 0, one.values[metric], 0.0)
        for (weight, _), one in zip(terms, scores, strict=True)
    )
    return standard_error(summed / seeds, counts)
