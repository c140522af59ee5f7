"""Ratios of alternating rounds: equal work is equal, a tenth more is seen, drift cancels."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.bench.timing import LEAST_ROUNDS, alternate


class Machine:
    """A clock and work whose time is made up: noise, and hours that slow everything down."""

    def __init__(self, seed: int = 0) -> None:
        self.rng, self.now, self.calls = np.random.default_rng(seed), 0.0, []

    def clock(self) -> float:
        return self.now

    def work(self, name: str, seconds: float):
        def run() -> None:
            self.calls.append(name)
            busy = 1.0 + 0.6 * (np.sin(self.now / 7.0) > 0)  # all of it, for a while
            self.now += seconds * busy * self.rng.lognormal(0.0, 0.04)

        return run


def test_equal_work_under_two_names_has_a_ratio_of_one():
    for seed in range(20):
        machine = Machine(seed)
        work = {name: machine.work(name, 0.1) for name in "ab"}
        found = alternate(work, budget=8.0, clock=machine.clock)
        assert 1.0 in found["a"].ratio(found["b"], comparisons=20)


def test_a_planted_tenth_is_seen():
    for seed in range(20):
        machine = Machine(seed)
        work = {"a": machine.work("a", 0.11), "b": machine.work("b", 0.1)}
        found = alternate(work, budget=8.0, clock=machine.clock)
        ratio = found["a"].ratio(found["b"], comparisons=20)
        assert ratio.low > 1.0
        assert ratio.value == pytest.approx(1.1, rel=0.04)


def test_a_planted_tenth_of_real_work_is_seen():
    """Time of this thread, not of the wall: a busy machine takes none of it."""

    def burn(seconds: float):
        def run() -> None:
            end = time.thread_time() + seconds
            while time.thread_time() < end:
                pass

        return run

    work = {"a": burn(0.0055), "b": burn(0.005), "c": burn(0.005)}
    found = alternate(work, budget=1.0, clock=time.thread_time)
    assert found["a"].ratio(found["b"]).low > 1.03
    assert found["b"].ratio(found["c"]).value == pytest.approx(1.0, abs=0.05)


def test_subjects_are_measured_in_turn_there_and_back():
    machine = Machine()
    work = {name: machine.work(name, 0.1) for name in "abc"}
    alternate(work, budget=2.0, warm_up=1, clock=machine.clock)
    order = "".join(machine.calls[3:])
    assert order.startswith("abccbaabc")
    assert order.replace("abc", "").replace("cba", "") == ""


def test_a_machine_that_grows_busier_favours_nobody():
    class Slowing(Machine):
        def work(self, name: str, seconds: float):
            def run() -> None:
                self.now += seconds * (1 + self.now / 10) * self.rng.lognormal(0.0, 0.01)

            return run

    machine = Slowing()
    found = alternate({n: machine.work(n, 0.1) for n in "ab"}, budget=9.0, clock=machine.clock)
    assert found["a"].ratio(found["b"]).value == pytest.approx(1.0, abs=0.01)
    assert 1.0 in found["a"].ratio(found["b"])


def test_the_budget_is_kept_but_for_the_least_rounds():
    machine = Machine()
    long = alternate({"a": machine.work("a", 1.0)}, budget=0.1, clock=machine.clock)
    assert len(long["a"].seconds) == LEAST_ROUNDS
    short = alternate({"a": machine.work("a", 0.03)}, budget=1.5, clock=machine.clock)
    assert LEAST_ROUNDS < len(short["a"].seconds) < 60


def test_quick_work_is_repeated_within_a_measurement():
    machine = Machine()
    found = alternate({"a": machine.work("a", 0.001)}, budget=0.5, clock=machine.clock)
    assert len(machine.calls) > 10 * len(found["a"].seconds)
    assert np.median(found["a"].seconds) == pytest.approx(0.001, rel=0.7)
