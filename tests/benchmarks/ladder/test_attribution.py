"""What rungs bought adds up to goal minus start, and nothing is bought by nothing."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.bench.accuracy import OtherHands, Scores
from benchmarks.ladder.attribution import Result, attribution, interaction, level, step, total
from benchmarks.ladder.orders import Climb
from benchmarks.statistics import Estimate

MAIN = "root_mpjpe_mm"
HANDS, SEEDS = 150, 3
FORWARD, BACKWARD = Climb("forward", (0, 1, 2)), Climb("backward", (2, 1, 0))
MIDDLE = Climb("random 1", (1, 2, 0))
CLIMBS = [FORWARD, BACKWARD, MIDDLE]
GAINS = {0: -20.0, 1: -5.0, 2: 0.0}
TOGETHER = -8.0  # what 0 and 1 bring beyond their sum


def made_up(error_of, *, noise: float = 1.0, seed: int = 0) -> dict:
    """Results of every stop, with errors that vary over hands, seeds and both."""
    rng = np.random.default_rng(seed)
    hands = rng.gamma(4, 5, HANDS)
    stops = dict.fromkeys(stop for climb in CLIMBS for stop in climb.stops())
    return {
        stop: [_result(error_of(stop), hands, noise, rng) for _ in range(SEEDS)] for stop in stops
    }


def _result(error: float, hands: np.ndarray, noise: float, rng: np.random.Generator) -> Result:
    values = 60 + error + hands + noise * (rng.normal() + rng.normal(0, 3, HANDS))
    counts = np.full(HANDS, 21)
    keys = tuple(("synthetic", f"{i}") for i in range(HANDS))
    record = {"metrics": {MAIN: float(values.mean())}}
    return Result(record, Scores(keys, {MAIN: values}, {MAIN: counts}))


def planted(stop) -> float:
    together = TOGETHER if {0, 1} <= stop else 0.0
    return sum(GAINS[number] for number in stop) + together


def inside(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


@pytest.mark.parametrize("climbs", [[FORWARD], [BACKWARD], CLIMBS[:2], CLIMBS])
def test_attributions_add_up_to_goal_minus_start(climbs):
    results = made_up(planted)
    parts = [attribution(results, climbs, number, MAIN).value for number in range(3)]
    assert sum(parts) == pytest.approx(total(results, FORWARD, MAIN).value, abs=1e-9)


def test_a_step_is_what_its_rung_brings_in_that_order():
    results = made_up(planted)
    assert inside(step(results, FORWARD, 0, MAIN), -20.0)
    assert inside(step(results, FORWARD, 1, MAIN), -5.0 + TOGETHER)
    assert inside(step(results, BACKWARD, 1, MAIN), -5.0)
    assert step(results, FORWARD, 0, MAIN).high < 0


def test_what_two_rungs_bring_together_is_shared_and_shown():
    results = made_up(planted, noise=0.0)
    shares = [attribution(results, CLIMBS[:2], number, MAIN).value for number in range(3)]
    assert shares == pytest.approx([-24.0, -9.0, 0.0])
    assert interaction(results, CLIMBS[:2], 0, MAIN)["spread"] == pytest.approx(8.0)
    assert interaction(results, CLIMBS[:2], 2, MAIN)["spread"] == pytest.approx(0.0)


def test_a_rung_that_does_nothing_has_nothing_in_its_interval_about_as_often_as_promised():
    found = [
        inside(attribution(made_up(planted, seed=seed), CLIMBS, 2, MAIN), 0.0) for seed in range(40)
    ]
    assert np.mean(found) >= 0.85


def test_two_names_of_one_config_share_their_runs_and_differ_by_exactly_nothing():
    one = made_up(planted)[frozenset()]
    results = {stop: one for climb in CLIMBS for stop in climb.stops()}
    for number in range(3):
        share = attribution(results, CLIMBS, number, MAIN)
        assert (share.value, share.low, share.high) == (0.0, 0.0, 0.0)


def test_a_ladder_without_rungs_has_a_total_of_nothing():
    climb = Climb("forward", ())
    results = {frozenset(): made_up(planted)[frozenset()]}
    assert total(results, climb, MAIN) == Estimate(0.0, 0.0, 0.0)


def test_a_level_covers_hands_and_seeds():
    results = made_up(planted)[frozenset()]
    found = level(results, MAIN)
    assert found.low < 80 < found.high


def test_one_seed_gives_an_interval_over_hands():
    results = {stop: of[:1] for stop, of in made_up(planted).items()}
    found = attribution(results, [FORWARD], 0, MAIN)
    assert found.low < found.value < found.high


def test_runs_on_other_hands_are_not_compared():
    results = made_up(planted)
    stop = frozenset({0})
    other = results[stop][0]
    keys = (("elsewhere", "0"), *other.scores.keys[1:])
    moved = Scores(keys, other.scores.values, other.scores.counts)
    results[stop] = [Result(other.record, moved), *results[stop][1:]]
    with pytest.raises(OtherHands, match="same shards"):
        attribution(results, [FORWARD], 0, MAIN)
