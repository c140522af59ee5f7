"""A budget changes how long a run is, never the shape of what happens in it."""

from __future__ import annotations

import pytest

from registry.budget import fit_budget, written_in_steps
from registry.config import load


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


def test_a_number_the_user_wrote_is_meant_as_it_is():
    said = ("train_cfg.val_interval=20", "custom_hooks.ema.momentum=0.2", "model.head.steps=2")
    config = load("csvit2_ief3", said, size="tiny")
    short = fit_budget(config, 40, said)
    assert short["train_cfg"] == {"max_iters": 40, "val_interval": 20}
    assert short["custom_hooks"]["ema"]["momentum"] == 0.2
    assert short["param_scheduler"]["warmup"] == 2
    assert fit_budget(config, 40)["train_cfg"]["val_interval"] == 1
    assert written_in_steps(said) == list(said[:2])


def test_a_hook_the_user_wrote_whole_is_left_alone():
    said = ('custom_hooks.ema={"type": "EMAHook", "momentum": 0.2}',)
    config = load("csvit2_ief3", said, size="tiny")
    assert fit_budget(config, 40, said)["custom_hooks"]["ema"]["momentum"] == 0.2
