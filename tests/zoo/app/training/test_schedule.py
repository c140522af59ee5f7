"""A budget changes how long a run is, never what its schedule looks like."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from registry.config import load
from zoo.app.training.schedule import fit_budget, schedulers


def rates(recipe: dict, steps: int) -> list[float]:
    """The learning-rate factor of every step."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    wrapper = OptimWrapper(optimizer)
    built = [PARAM_SCHEDULERS.build({**s, "optimizer": wrapper}) for s in schedulers(recipe, steps)]
    factors = []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return factors


@pytest.mark.parametrize("cycles", [0.4, 0.5])
def test_the_rate_follows_warm_up_and_cosine(cycles):
    warmup, steps = 10, 110
    factors = rates({"warmup": warmup, "cycles": cycles}, steps)
    assert factors[0] < 0.2
    assert all(a < b for a, b in itertools.pairwise(factors[:warmup]))
    for step in range(warmup, steps):
        progress = (step - warmup) / (steps - warmup)
        expected = (1 + math.cos(2 * math.pi * cycles * progress)) / 2
        assert factors[step] == pytest.approx(expected, abs=1e-6)


def test_ten_times_the_budget_is_the_same_recipe_ten_times_slower():
    short = load("csvit2_ief3", size="tiny")
    long = fit_budget(short, 10 * short["train_cfg"]["max_iters"])
    for path in (("train_cfg", "max_iters"), ("train_cfg", "val_interval")):
        section, key = path
        assert long[section][key] == 10 * short[section][key]
    assert long["param_scheduler"]["warmup"] == 10 * short["param_scheduler"]["warmup"]
    dropout = ("custom_hooks", "dropout", "start_step")
    assert (
        long[dropout[0]][dropout[1]][dropout[2]]
        == 10 * short["custom_hooks"]["dropout"]["start_step"]
    )
    assert long["optim_wrapper"] == short["optim_wrapper"]
    assert long["model"] == short["model"]


@pytest.mark.parametrize("steps", [20, 100, 10000])
def test_averaged_weights_leave_the_start_behind_at_any_budget(steps):
    config = load("csvit2_ief3", size="tiny")
    left_at_default = (1 - config["custom_hooks"]["ema"]["momentum"]) ** 1000
    left = (1 - fit_budget(config, steps)["custom_hooks"]["ema"]["momentum"]) ** steps
    assert config["train_cfg"]["max_iters"] == 1000
    assert left <= left_at_default * 1.1


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        fit_budget(load("csvit2_ief3"), 0)


def test_an_unknown_schedule_is_refused_by_its_key():
    with pytest.raises(ValueError, match="warm_up"):
        schedulers({"warm_up": 3}, 10)


def test_the_number_of_processes_does_not_enter(monkeypatch):
    recipe = {"warmup": 4, "cycles": 0.4}
    alone = rates(recipe, 30)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda group=None: 4)
    assert rates(recipe, 30) == alone
    assert [hook for hook in schedulers(recipe, 30) if hook["end"] > 30] == []
