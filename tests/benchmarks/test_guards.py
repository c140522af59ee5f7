"""Guards ring for what is broken, say it once, and are silent on a healthy run."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from benchmarks.guards import Guards, Step


def kinds(guards: Guards, steps: list[Step]) -> list[str]:
    return [alarm.kind for step in steps for alarm in guards.after(step)]


def healthy(number: int) -> Step:
    return Step(number, {"loss": torch.tensor(1.0)}, 0, 1e-4, 1e-4, 0.1, 0.01)


def test_a_healthy_run_is_silent():
    guards = Guards(nn.Linear(2, 2).parameters(), parameters_every=5, wait_window=10)
    assert kinds(guards, [healthy(n) for n in range(1, 60)]) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_its_term_and_blames_the_batch(bad):
    step = Step(3, {"loss": torch.tensor(bad), "loss_a": 1.0, "loss_b": torch.tensor(bad)}, 1)
    (alarm,) = Guards([]).after(step)
    assert alarm.kind == "loss"
    assert "step 3: loss, loss_b" in alarm.message
    assert alarm.blames_batch
    assert not alarm.fatal


def test_a_left_out_update_is_noticed_once_for_each():
    guards = Guards([], skipped_updates=2)
    steps = [Step(n, {"loss": 1.0}, skipped) for n, skipped in enumerate((2, 3, 3, 4), 1)]
    assert kinds(guards, steps) == ["gradient", "gradient"]


def test_broken_parameters_are_fatal_at_the_next_look():
    layer = nn.Linear(2, 2)
    guards = Guards(layer.parameters(), parameters_every=4)
    with torch.no_grad():
        layer.weight[0, 0] = math.nan
    assert kinds(guards, [healthy(n) for n in (1, 2, 3)]) == []
    (alarm,) = guards.after(healthy(4))
    assert alarm.kind == "parameters"
    assert alarm.fatal


def test_a_rate_off_schedule_is_said_once():
    steps = [Step(n, {}, 0, 4e-4, 1e-4) for n in (10, 20, 30)]
    assert kinds(Guards([], parameters_every=10), steps) == ["rate"]


def test_waiting_for_data_is_measured_after_a_warm_up():
    slow = [Step(n, {}, 0, seconds=1.0, wait_seconds=0.9) for n in range(1, 11)]
    good = [Step(n, {}, 0, seconds=1.0, wait_seconds=0.1) for n in range(11, 21)]
    assert kinds(Guards([], wait_window=10), slow + good) == []
    assert kinds(Guards([], wait_window=10), slow + slow) == ["wait"]
