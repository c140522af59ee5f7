from __future__ import annotations

import pytest
import torch

from zoo.weights.account import WrongCheckpoint, compare

WANTED = {
    "body.weight": (2, 3),
    "body.bias": (2,),
    "head.weight": (4, 2),
    "judge.weight": (1,),
    "judge.bias": (1,),
}


def some(**changes) -> dict[str, torch.Tensor]:
    state = {key: torch.zeros(shape) for key, shape in WANTED.items()}
    return {k: v for k, v in (state | changes).items() if v is not None}


def account(state):
    return compare("x.ckpt", state, WANTED, required=("body", "head"))


def test_a_complete_file_has_no_problem_and_counts_every_module():
    whole = account(some(extra=torch.zeros(1)))
    assert whole.problems == []
    assert [(m.name, m.matched, m.total) for m in whole.modules] == [
        ("body", 2, 2),
        ("head", 1, 1),
        ("judge", 2, 2),
    ]
    assert whole.unexpected == ("extra",)
    assert "not used: extra" in str(whole)
    whole.require("advice")


def test_a_module_that_is_not_required_may_be_absent_as_a_whole_only():
    without = {k: v for k, v in some().items() if not k.startswith("judge")}
    assert account(without).problems == []
    assert "judge              0 of 2    not in the file" in str(account(without))
    half = {k: v for k, v in some().items() if k != "judge.bias"}
    assert account(half).problems == ["judge.bias is missing"]


def test_one_report_names_everything_that_is_wrong_and_what_to_do():
    state = {
        **some(),
        "head.weight": torch.zeros(4, 3),
        "body.bias": torch.tensor([0.0, torch.nan]),
    }
    del state["body.weight"]
    with pytest.raises(WrongCheckpoint) as raised:
        account(state).require("Take another file.")
    said = str(raised.value)
    assert "body.weight is missing" in said
    assert "head.weight has shape (4, 3), wanted (4, 2)" in said
    assert "body.bias holds numbers that are not finite" in said
    assert "body               1 of 2    incomplete" in said
    assert said.endswith("Take another file.")
    assert raised.value.account.missing == ("body.weight",)


def test_a_long_list_is_counted_and_not_printed_whole():
    wanted = {f"body.{i}": (1,) for i in range(400)}
    with pytest.raises(WrongCheckpoint, match="and 395 more") as raised:
        compare("x", {}, wanted, required=("body",)).require("")
    assert str(raised.value).count("\n") < 12
