"""A ladder is read back from its folder: numbers, page and Markdown, and nothing else is needed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.ladder.climb import (
    OtherLadder,
    Settings,
    plan_record,
    runs_of,
    settle,
    stops_of,
    write_json,
)
from benchmarks.ladder.orders import route
from benchmarks.ladder.plan import make_plan
from benchmarks.ladder.report import ladder_page
from benchmarks.ladder.runs import Run
from benchmarks.ladder.summary import NoLadder, read_plan, read_results, summarise
from benchmarks.ladder.trials import holds
from benchmarks.ladder.variants import summarise_table
from benchmarks.model_zoo import NoPlace, ladder_section, runs_of_zoo, written, zoo_table
from benchmarks.zoo_runs import Wanted, runs_that_count
from registry.config import load

ERRORS = {"00-start": 90.0, "01-head": 60.0, "02-loss": 55.0, "set-02": 88.0}
MAIN = "root_mpjpe_mm"


def anything(config) -> None:
    """Every config can be built."""


@pytest.fixture(scope="module")
def found():
    """A ladder of two rungs, climbed both ways."""
    start = load("csvit2_ief3", size="tiny")
    goal = load(
        "csvit2_ief3", size="tiny", changes=["model.head.steps=1", "model.losses.joints.weight=1.0"]
    )
    plan = make_plan(("a", start), ("b", goal), why_not=anything)
    return route(plan, "both", budget=9, seed=0, why_not=anything)


@pytest.fixture(scope="module")
def climbed(found, made_run, tmp_path_factory) -> Path:
    """Its folder with every run finished, two seeds each."""
    folder = tmp_path_factory.mktemp("ladder")
    stops = stops_of(found)
    write_json(folder / "plan.json", plan_record(found, stops, Settings("tiny", 2, 100, "both")))
    for run in runs_of(stops, folder, 2):
        made_run(run.folder, error_mm=ERRORS[run.name] + 3 * run.seed, seed=run.seed)
    return folder


@pytest.fixture(scope="module")
def summary(climbed) -> dict:
    record = read_plan(climbed)
    return summarise(record, read_results(climbed, record))


def test_the_schema_is_that_of_the_command_line(summary):
    assert summary["schema"] == 1
    assert summary["trainings"] == 8, "four configs, two seeds"
    assert [rung["name"] for rung in summary["rungs"]] == ["a", "head", "loss"]
    for rung in summary["rungs"]:
        assert [run["seed"] for run in rung["runs"]] == [0, 1]
        assert all(run["metrics"][MAIN] > 0 and run["steps"] == 100 for run in rung["runs"])
    assert set(summary["rungs"][1]["step"][MAIN]) == {"mean", "low", "high"}
    entry = summary["attribution"][0]
    assert {"change", "metric", "mean", "low", "high", "by_order", "spread"} <= set(entry)


@pytest.mark.parametrize("metric", [MAIN, "pa_mpjpe_mm"])
def test_shares_add_up_to_goal_minus_start(summary, metric):
    shares = [entry["mean"] for entry in summary["attribution"] if entry["metric"] == metric]
    assert sum(shares) == pytest.approx(summary["total"][metric]["mean"], abs=1e-5)
    steps = [rung["step"][metric]["mean"] for rung in summary["rungs"][1:]]
    assert sum(steps) == pytest.approx(summary["total"][metric]["mean"], abs=1e-5)


def test_a_large_step_leaves_nothing_out_of_its_interval(summary):
    head = next(e for e in summary["attribution"] if e["change"] == "head" and e["metric"] == MAIN)
    assert head["high"] < 0


def test_the_page_holds_every_rung_and_difference_and_needs_no_network(summary):
    html = ladder_page(summary, {"command": "zoo ladder a b"})
    for text in ("model.head.steps", "model.losses.joints.weight", "goal minus start", "Verdicts"):
        assert text in html
    assert html.count("<svg") >= 6
    assert 'src="http' not in html


def test_the_markdown_holds_every_rung_and_a_picture_that_stands_alone(climbed, tmp_path):
    text = ladder_section(climbed, tmp_path)
    assert "![root_mpjpe_mm on every rung" in text
    drawn = (tmp_path / "ladder-a-b.svg").read_text()
    said = "".join(ElementTree.fromstring(drawn).itertext())
    assert all(rung in said for rung in ("start: a", "+ head", "+ loss", "goal minus start"))
    assert "var(" not in drawn, "a colour of a style sheet that the file does not have"
    assert "zoo ladder a b --size tiny --steps 100 --seeds 2 --order both" in text
    assert "| head |" in text
    assert "`model.head.steps`" in text
    assert "goal minus start" in text


def test_seeds_that_are_not_finished_everywhere_wait(climbed, found, made_run, tmp_path):
    stops = stops_of(found)
    record = plan_record(found, stops, Settings("tiny", 2, 100, "both"))
    write_json(tmp_path / "plan.json", record)
    runs = runs_of(stops, tmp_path, 2)
    with pytest.raises(NoLadder, match="waiting for"):
        read_results(tmp_path, record)
    for run in runs[:-1]:
        made_run(run.folder, error_mm=50.0, seed=run.seed)
    assert {len(of) for of in read_results(tmp_path, record).values()} == {1}


def test_a_folder_is_gone_on_with_only_by_the_same_ladder(found, tmp_path):
    stops = stops_of(found)
    first = settle(tmp_path, found, stops, Settings("tiny", 2, 100, "both", threads=2))
    again = settle(tmp_path, found, stops, Settings("tiny", 2, 100, "both", threads=1))
    assert again == first, "the threads of the first start stay: sums would round differently"
    with pytest.raises(OtherLadder, match="another folder with --out"):
        settle(tmp_path, found, stops, Settings("tiny", 3, 200, "both"))


def test_seeds_can_be_added_and_other_values_of_a_config_cannot(found, tmp_path):
    stops = stops_of(found)
    settle(tmp_path, found, stops, Settings("tiny", 1, 100, "both"))
    more = settle(tmp_path, found, stops, Settings("tiny", 3, 100, "both"))
    assert more["settings"]["seeds"] == 3
    with pytest.raises(OtherLadder):
        settle(tmp_path, found, stops, Settings("tiny", 1, 100, "both"))
    hotter = copy.deepcopy(stops)
    hotter[0].config["optim_wrapper"]["optimizer"]["lr"] = 1.0
    with pytest.raises(OtherLadder, match=r"00-start.py is another config"):
        settle(tmp_path, found, hotter, Settings("tiny", 3, 100, "both"))


def test_rungs_differ_in_nothing_but_their_changes(found, tmp_path):
    stops = stops_of(found)
    settle(tmp_path, found, stops, Settings("tiny", 1, 100, "both"))
    configs = {stop.name: load(tmp_path / "configs" / f"{stop.name}.py") for stop in stops}
    sections = ("data", "train_cfg", "randomness", "evaluation", "default_hooks", "augmentation")
    for name in sections:
        assert len({json.dumps(config.get(name), default=str) for config in configs.values()}) == 1


def test_configs_that_are_the_same_share_one_training(tmp_path):
    config = load("csvit2_ief3", size="tiny")
    plan = make_plan(("mine", config), ("copy", config), why_not=anything)
    stops = stops_of(route(plan, "both", budget=9, seed=0, why_not=anything))
    assert len(runs_of(stops, tmp_path, 3)) == 3


def test_a_ladder_between_equal_configs_says_so(made_run, tmp_path):
    config = load("csvit2_ief3", size="tiny")
    plan = make_plan(("mine", config), ("copy", config), why_not=anything)
    nothing = route(plan, "forward", budget=9, seed=0, why_not=anything)
    stops = stops_of(nothing)
    record = plan_record(nothing, stops, Settings("tiny", 2, 100, "forward"))
    for run in runs_of(stops, tmp_path, 2):
        made_run(run.folder, error_mm=70.0, seed=run.seed)
    found = summarise(record, read_results(tmp_path, record))
    assert found["total"][MAIN] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert all(e["low"] <= 0 <= e["high"] for e in found["attribution"])
    assert "nothing to climb" in ladder_page(found, {})


@pytest.fixture
def table(made_run, tmp_path) -> Path:
    """A table of three variants, one of which could not be trained."""
    variants = [
        {"name": "fixed", "changes": ["x=1"], "claim": "7.6 % worse"},
        {"name": "progressive", "changes": [], "claim": None},
        {"name": "fp16", "changes": ["x=2"], "claim": None},
    ]
    settings = Settings("tiny", 2, 100, "forward").record()
    record = {"schema": 1, "base": "csvit2", "settings": settings, "variants": variants}
    write_json(tmp_path / "plan.json", record)
    for seed in range(2):
        made_run(tmp_path / "runs" / f"fixed-seed{seed}", error_mm=80.0, seed=seed)
        made_run(tmp_path / "runs" / f"progressive-seed{seed}", error_mm=60.0, seed=seed)
    (tmp_path / "runs" / "fp16-seed0.log").write_text("error: no CUDA device is here\n")
    return tmp_path


def test_a_table_sets_measured_beside_claimed_and_says_what_failed(table):
    found = summarise_table(table)
    assert found["reference"] == "progressive"
    fixed, progressive, half = found["variants"]
    assert fixed["difference"]["low"] > 0
    assert fixed["claim"] == "7.6 % worse"
    assert progressive["difference"] is None
    assert half["failed"] == "error: no CUDA device is here"
    text = ladder_section(table)
    assert "not trained: error: no CUDA device" in text


@pytest.mark.parametrize(
    ("answers", "expected"), [((True, True, False), True), ((True, False), False)]
)
def test_a_config_holds_when_most_of_its_seeds_do(made_run, tmp_path, answers, expected):
    folders = [
        made_run(tmp_path / f"{i}", error_mm=50.0, seed=i, converged=answer)
        for i, answer in enumerate(answers)
    ]
    assert holds(folders, "converged") is expected
    assert holds(folders, "beats_baseline") is expected
    with pytest.raises(ValueError, match="a verdict has converged, beats_baseline"):
        holds(folders, "beauty")


@pytest.fixture
def shipped() -> dict:
    return load("csvit2", size="tiny")


def test_the_zoo_page_has_a_row_for_every_config_and_the_reason_where_there_is_no_result(
    made_run, tmp_path, shipped
):
    for seed in range(2):
        made_run(tmp_path / f"csvit2-seed{seed}", error_mm=70.0, seed=seed, config=shipped)
    (tmp_path / "hamer-seed0.log").write_text("first\nerror: no shards are here\n")
    text = zoo_table([tmp_path], ["csvit2", "hamer", "wilor"], Wanted(steps=100))
    assert "| 2 of 2 |" in text
    assert "| 100 | 2 |" in text, "steps and seeds"
    assert "- `hamer`: not trained: error: no shards are here." in text
    assert "- `wilor`: not trained." in text
    assert "zoo train csvit2 --size tiny --seed 0 --steps 100" in text
    assert [run.name for run in runs_of_zoo(["a", "b"], 2, tmp_path)] == ["a", "b", "a", "b"]
    assert isinstance(runs_of_zoo(["a"], 1, tmp_path)[0], Run)


def test_runs_trained_elsewhere_count_when_they_are_of_the_config_as_it_is_shipped(
    made_run, tmp_path, shipped
):
    own, other = tmp_path / "own", tmp_path / "other"
    steps = shipped["train_cfg"]["max_iters"]
    for seed in (0, 2):
        made_run(own / f"csvit2-seed{seed}", error_mm=70.0, seed=seed, config=shipped, steps=steps)
    for seed in (0, 1, 3):
        place = other / f"csvit2-seed{seed}"
        made_run(place, error_mm=60.0, seed=seed, config=shipped, steps=steps)
    found = runs_that_count([own, other], ["csvit2"], Wanted(seeds=3))["csvit2"]
    assert found.places == [own / "csvit2-seed0", other / "csvit2-seed1", own / "csvit2-seed2"]
    assert found.refused == []


def test_a_run_of_another_config_or_budget_does_not_count_and_says_why(made_run, tmp_path, shipped):
    changed = load("csvit2", ["model.losses.joints.weight=7.0"], size="tiny")
    made_run(tmp_path / "csvit2-seed0", error_mm=70.0, seed=0, config=changed)
    made_run(tmp_path / "csvit2-seed1", error_mm=70.0, seed=1, config=shipped, steps=40)
    found = runs_that_count([tmp_path], ["csvit2"], Wanted(steps=100))["csvit2"]
    assert found.places == []
    assert "model.losses.joints.weight was 7.0" in found.refused[0]
    assert "40 steps, not 100" in found.refused[1]
    text = zoo_table([tmp_path], ["csvit2"], Wanted(steps=100))
    assert "not trained as it is now (csvit2-seed0: model.losses.joints.weight was 7.0" in text


def test_results_go_between_the_marks_of_a_page_and_nowhere_else():
    page = Path("docs/model_zoo.md").read_text()
    once = written(page, "| a |", "model_zoo.md")
    assert written(once, "| a |", "model_zoo.md") == once
    assert once.startswith(page[:200])
    with pytest.raises(NoPlace):
        written("no marks", "x", "page.md")
