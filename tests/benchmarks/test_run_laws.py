"""A run's log is held to laws: a healthy one passes them all, a faulty one fails its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.run_laws import LAWS, RunLog, examine, rate_factor

RECIPE = {"warmup": 50, "cycles": 0.5}
CONFIG = {
    "optim_wrapper": {"optimizer": {"lr": 1e-3}, "clip_grad": {"max_norm": 1.0}},
    "param_scheduler": RECIPE,
    "train_cfg": {"max_iters": 1000},
    "data": {"num_workers": 2},
}


@pytest.fixture
def log() -> RunLog:
    steps = np.arange(10, 1001, 10)
    rng = np.random.default_rng(0)
    falling = 5 * np.exp(-steps / 300) + 1 + 0.05 * rng.standard_normal(len(steps))
    scalars = {
        "base_lr": np.array([1e-3 * rate_factor(RECIPE, 1000, int(s) - 1) for s in steps]),
        "loss": falling,
        "loss_joints": 0.5 * falling,
        "loss_wrist": 0.5 * falling,
        "grad_norm": 20 + rng.standard_normal(len(steps)),
        "time": np.full(len(steps), 0.3),
        "data_time": np.full(len(steps), 0.03),
    }
    summary = {"steps": 1000, "verdict": {"criteria": {"beats_baseline": {"value": 0.5}}}}
    return RunLog(CONFIG, steps, scalars, {"root_mpjpe_mm": np.array([80.0, 60.0, 50.0])}, summary)


def found(log: RunLog, **scalars: np.ndarray) -> list[str]:
    changed = dataclasses.replace(log, scalars={**log.scalars, **scalars})
    return [finding.id for run in examine(changed) for finding in run.findings]


def test_a_healthy_run_keeps_every_law(log):
    runs = list(examine(log))
    assert [run.id for run in runs] == list(LAWS)
    assert {run.status for run in runs} == {"passed"}
    assert all(run.law for run in runs)


def test_the_schedule_is_a_warm_up_and_a_cosine():
    factors = [rate_factor(RECIPE, 1000, step) for step in range(1000)]
    assert factors[0] == pytest.approx(1 / 51)
    assert factors[50] == pytest.approx(1.0)
    assert max(np.diff(factors[50:])) <= 0
    assert rate_factor({"warmup": 0, "cycles": 0}, 1000, 500) == 1.0


def test_a_flat_loss_is_an_error_and_a_risen_one_a_warning(log):
    flat = 3 + 0.001 * np.arange(100) % 0.01
    assert found(log, loss=flat)[0] == "run.losses/flat"
    risen = np.concatenate([np.linspace(5, 1, 60), np.linspace(1, 4, 40)])
    assert found(log, loss=risen) == ["run.losses/rose"]


def test_a_number_that_is_none_names_its_term_and_its_first_step(log):
    broken = log.scalars["loss_wrist"].copy()
    broken[40:] = np.nan
    changed = dataclasses.replace(log, scalars={**log.scalars, "loss_wrist": broken})
    finding = next(f for run in examine(changed) for f in run.findings)
    assert (finding.id, finding.path) == ("run.finite/not", "model.losses.wrist")
    assert finding.evidence["first_step"] == 410


def test_a_term_that_stands_still_is_an_error_unless_nothing_feeds_it(log):
    assert found(log, loss_wrist=np.full(100, 0.25)) == ["run.repeats/still"]
    assert found(log, loss_wrist=np.zeros(100)) == ["run.repeats/zero"]


def test_totals_that_come_back_to_the_last_digit_are_noticed(log):
    assert "run.repeats/totals" in found(log, loss=np.repeat(log.scalars["loss"][::2], 2))


def test_a_schedule_that_ran_four_times_too_fast_is_an_error(log):
    fast = [1e-3 * rate_factor(RECIPE, 1000, min(4 * int(s) - 1, 999)) for s in log.steps]
    assert found(log, base_lr=np.array(fast)) == ["run.rate/off"]


def test_gradients_that_vanish_or_peak_are_found(log):
    assert found(log, grad_norm=np.full(100, 1e-14)) == ["run.gradients/none"]
    peaked = log.scalars["grad_norm"].copy()
    peaked[30] = 1e6
    assert found(log, grad_norm=peaked) == ["run.gradients/peaks"]


def test_waiting_for_data_is_found_with_a_fix(log):
    changed = dataclasses.replace(
        log, scalars={**log.scalars, "data_time": np.full(len(log.steps), 0.2)}
    )
    (finding,) = (f for run in examine(changed) for f in run.findings)
    assert finding.id == "run.wait/data"
    assert finding.fix == ("data.num_workers=4",)


def test_a_model_no_better_than_the_mean_hand_is_an_error(log):
    blind = {"steps": 9, "verdict": {"criteria": {"beats_baseline": {"value": 1.0}}}}
    changed = dataclasses.replace(log, summary=blind)
    assert [f.id for run in examine(changed) for f in run.findings] == ["run.result/blind"]


def test_the_numbers_of_a_hand_that_collapsed_to_a_point_are_found_by_standing_still(log):
    logged = {"root_mpjpe_mm": np.full(8, 102.152), "pa_mpjpe_mm": np.full(8, 48.320)}
    changed = dataclasses.replace(log, validation=logged)
    (finding,) = (f for run in examine(changed) for f in run.findings)
    assert (finding.id, finding.severity, finding.path) == ("run.measured/still", "error", "model")
    assert finding.evidence["value"] == 102.152
    moving = {name: values + 1e-9 * np.arange(8) for name, values in logged.items()}
    assert not [
        f for run in examine(dataclasses.replace(log, validation=moving)) for f in run.findings
    ]


def test_what_the_log_does_not_hold_is_skipped_with_a_reason(log):
    short = dataclasses.replace(
        log,
        steps=log.steps[:5],
        scalars={name: values[:5] for name, values in log.scalars.items()},
        validation={"root_mpjpe_mm": np.array([80.0])},
        summary=None,
    )
    reasons = {run.id: run.why for run in examine(short) if run.status == "skipped"}
    assert reasons["run.losses"] == "only 5 logged steps; it takes 20"
    assert "did not finish" in reasons["run.result"]
    assert reasons["run.measured"] == "fewer than 3 measurements to compare"
