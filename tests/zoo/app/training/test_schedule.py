"""The learning rate follows the recipe: a warm-up, then a cosine."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from zoo.app.training.schedule import schedulers


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
