"""Learning rate and dropout of every step against numbers recorded from the original CS-ViT2.

Two differences are meant: the original's first step has a learning rate of zero, ours the least of
the warm-up; and after its last step the original's rate rises again, ours stays.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from zoo.app.training.hooks import ProgressiveDropout
from zoo.app.training.schedule import schedulers

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_schedules.npz")
STEPS, WARMUP = 100_000, 5_000
SHORTER = 50  # the whole curve is compared at this fraction of its length


def factors(recipe: dict[str, float], steps: int, beyond: int = 0) -> np.ndarray:
    """The learning-rate factor of every step, and of some that come too late."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    wrapper = OptimWrapper(optimizer)
    built = [PARAM_SCHEDULERS.build({**s, "optimizer": wrapper}) for s in schedulers(recipe, steps)]
    rates = []
    for _ in range(steps + beyond):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize("cycles", [0.4, 0.5])
def test_the_whole_curve_has_the_recorded_shape_and_never_rises_again(cycles):
    step, expected = (RECORDED[f"cycle{cycles}/{name}"] for name in ("step", "factor"))
    warmup, steps = WARMUP // SHORTER, STEPS // SHORTER
    ours = factors({"warmup": warmup, "cycles": cycles}, steps, beyond=steps // 4)
    whole = (step % SHORTER == 0) & (step < STEPS)
    found = ours[step[whole] // SHORTER]
    np.testing.assert_allclose(found, expected[whole], rtol=0, atol=1 / warmup)
    after = whole & (step >= WARMUP)
    np.testing.assert_allclose(ours[step[after] // SHORTER], expected[after], rtol=0, atol=1e-6)
    assert (np.diff(ours[warmup:]) <= 1e-12).all()
    end = expected[step == STEPS].item()
    np.testing.assert_allclose(ours[steps:], end, rtol=0, atol=1e-3)
    assert expected[-1] != pytest.approx(end, abs=1e-3), "the original goes on beyond its end"


@pytest.mark.parametrize(("warmup", "steps", "cycles"), [(3, 20, 0.4), (0, 10, 0.5)])
def test_a_short_trajectory_is_the_recorded_one(warmup, steps, cycles):
    expected = RECORDED[f"trajectory_warm{warmup}_total{steps}_cycle{cycles}/lr_at_step"]
    ours = 1e-4 * factors({"warmup": warmup, "cycles": cycles}, steps)
    np.testing.assert_allclose(ours[warmup:], expected[warmup:steps], rtol=1e-4, atol=1e-12)
    floor = 1e-4 / (warmup + 1)  # ours warms up from here, the original from zero
    warm = expected[:warmup] + floor * (1 - expected[:warmup] / 1e-4)
    np.testing.assert_allclose(ours[:warmup], warm, rtol=1e-6)


def test_dropout_switches_on_at_the_recorded_step():
    hook = ProgressiveDropout(start_step=10_000, probability=0.1)
    steps, expected = RECORDED["dropout/step"], RECORDED["dropout/p"]
    assert [hook.at(int(step), STEPS) for step in steps] == pytest.approx(expected.tolist())
