"""A rung that cannot be trained does not take the report of all others with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ladder.climb import Settings, plan_record, runs_of, stops_of, write_json
from benchmarks.ladder.gaps import climbed_over, failures
from benchmarks.ladder.orders import route
from benchmarks.ladder.plan import make_plan
from benchmarks.ladder.summary import NoLadder, read_plan, read_results, summarise
from registry.config import load

ERRORS = {"00-start": 90.0, "02-loss": 55.0}
MAIN = "root_mpjpe_mm"


@pytest.fixture
def one_way(made_run, tmp_path) -> Path:
    """The same two rungs climbed once; the first could not be trained."""
    start = load("csvit2_ief3", size="tiny")
    changes = ["model.head.steps=1", "model.losses.joints.weight=1.0"]
    goal = load("csvit2_ief3", size="tiny", changes=changes)
    plan = make_plan(("a", start), ("b", goal), why_not=lambda config: None)
    once = route(plan, "forward", budget=9, seed=0, why_not=lambda config: None)
    stops = stops_of(once)
    write_json(
        tmp_path / "plan.json", plan_record(once, stops, Settings("tiny", 1, 100, "forward"))
    )
    for run in runs_of(stops, tmp_path, 1):
        if run.name != "01-head":
            made_run(run.folder, error_mm=ERRORS[run.name], seed=0)
    return tmp_path


def test_a_rung_that_failed_is_climbed_with_the_next_one_and_says_why(one_way):
    (one_way / "journal.txt").write_text(
        "01-head seed 0: starts\n01-head seed 0: failed: step 9: the loss was not finite\n"
    )
    record = climbed_over(read_plan(one_way), failures(one_way))
    summary = summarise(record, read_results(one_way, record))
    assert [rung["name"] for rung in summary["rungs"]] == ["a", "head+loss"]
    paths = [change["path"] for change in summary["rungs"][1]["changes"]]
    assert paths == ["model.head.steps", "model.losses.joints.weight"]
    assert "step 9: the loss was not finite" in summary["rungs"][1]["notes"][-1]
    assert summary["rungs"][1]["step"][MAIN] == summary["total"][MAIN]


@pytest.mark.parametrize("last", ["starts", "killed by signal 9; goes on"])
def test_a_rung_that_may_yet_be_trained_is_waited_for(one_way, last):
    lines = ["01-head seed 0: failed: no memory", f"01-head seed 0: {last}"]
    (one_way / "journal.txt").write_text("\n".join(lines) + "\n")
    record = climbed_over(read_plan(one_way), failures(one_way))
    with pytest.raises(NoLadder, match="waiting for 01-head"):
        read_results(one_way, record)
