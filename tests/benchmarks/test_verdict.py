"""A verdict is five criteria with their values and limits, and nothing unmeasured passes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.verdict import Overfit, explain, verdict

GOOD = {
    "baseline_ratio": 0.5,
    "losses": np.linspace(2.0, 1.0, 90).tolist(),
    "skipped_updates": 0,
    "overfit": Overfit(first=4.0, best=1.0, steps=20, unreached=()),
}


def test_a_run_that_holds_every_criterion_converged():
    found = verdict(**GOOD)
    assert found["converged"] is True
    assert [entry["holds"] for entry in found["criteria"].values()] == [True] * 5


@pytest.mark.parametrize(
    ("broken", "criterion"),
    [
        ({"baseline_ratio": 0.9}, "beats_baseline"),
        ({"losses": [*np.linspace(2, 1, 60), *np.linspace(1, 1.5, 30)]}, "loss_does_not_rise"),
        ({"losses": [2.0, math.nan, *np.linspace(2, 1, 60)]}, "every_step_finite"),
        ({"skipped_updates": 1}, "every_step_finite"),
        (
            {"overfit": Overfit(first=4.0, best=3.9, steps=60, unreached=())},
            "overfits_one_batch",
        ),
        (
            {"overfit": dataclasses.replace(GOOD["overfit"], unreached=("head.decpose.weight",))},
            "gradient_reaches_everything",
        ),
    ],
)
def test_one_broken_criterion_is_named_and_decides(broken, criterion):
    found = verdict(**{**GOOD, **broken})
    assert found["converged"] is False
    failed = [name for name, entry in found["criteria"].items() if entry["holds"] is not True]
    assert failed == [criterion]
    assert "fails" in explain(criterion, found["criteria"][criterion])


@pytest.mark.parametrize("unknown", ["baseline_ratio", "overfit"])
def test_what_was_not_measured_does_not_count_as_held(unknown):
    found = verdict(**{**GOOD, unknown: None})
    assert found["converged"] is False
    assert None in [entry["holds"] for entry in found["criteria"].values()]


def test_a_weight_that_no_loss_reaches_is_an_example():
    overfit = dataclasses.replace(GOOD["overfit"], unreached=tuple(f"w{i}" for i in range(9)))
    entry = verdict(**{**GOOD, "overfit": overfit})["criteria"]["gradient_reaches_everything"]
    assert entry["value"] == 9
    assert entry["examples"] == [f"w{i}" for i in range(5)]
