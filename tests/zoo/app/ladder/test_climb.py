"""A ladder runs to its end unattended, goes on where it was, and is rebuilt from its files."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.ladder.climb import OtherLadder
from zoo.app.evaluation.bench import BenchRequest, run_bench
from zoo.app.ladder.climb import LadderRequest, climb
from zoo.app.ladder.report import rebuild
from zoo.app.training.train import TrainRequest, train

GOAL = '''"""csvit2_ief3 with one IEF step, and half the weight on joints."""

from mmengine.config import read_base

with read_base():
    from configs.csvit2_ief3 import *

model.head.update(steps=1)
sizes.tiny.update({"train_cfg.val_interval": 200})
'''


@pytest.fixture(scope="module")
def goal(tmp_path_factory) -> str:
    """A config that differs from csvit2_ief3 in one thing that is climbed."""
    file = tmp_path_factory.mktemp("configs") / "one_step.py"
    file.write_text(GOAL)
    return str(file)


@pytest.fixture(scope="module")
def request_of(goal, hands, tiny_changes, tmp_path_factory) -> LadderRequest:
    """A ladder of one rung and four steps."""
    return LadderRequest(
        a="csvit2_ief3",
        b=goal,
        steps=4,
        seeds=1,
        jobs=2,
        out=tmp_path_factory.mktemp("runs") / "ladder",
        size="tiny",
        data=str(hands),
        changes=tiny_changes,
    )


def shown(request: LadderRequest) -> tuple[bool, str]:
    said = io.StringIO()
    return climb(request, Console(file=said, width=160)), said.getvalue()


@pytest.fixture(scope="module")
def climbed(request_of) -> tuple[Path, str]:
    """The ladder's folder after it ran to its end, and what it showed.

    One of its two trainings is there beforehand, as after a kill; the other is a process.
    """
    shown(dataclasses.replace(request_of, launcher="slurm"))  # writes the configs
    folder = request_of.out
    first = TrainRequest(
        config=str(folder / "configs" / "00-start.py"),
        size="full",
        steps=4,
        seed=0,
        data=request_of.data,
        work_dir=folder / "runs" / "00-start-seed0",
    )
    train(first, Console(file=io.StringIO()))
    complete, said = shown(request_of)
    assert complete, said
    return folder, said


def test_a_ladder_leaves_numbers_page_and_what_is_needed_to_repeat_it(climbed):
    folder, said = climbed
    summary = json.loads((folder / "ladder.json").read_text())
    assert [rung["name"] for rung in summary["rungs"]] == ["csvit2_ief3", "head"]
    (entry,) = [e for e in summary["attribution"] if e["metric"] == "root_mpjpe_mm"]
    total = summary["total"]["root_mpjpe_mm"]
    assert entry["mean"] == pytest.approx(total["mean"], abs=1e-5)
    assert "model.head.steps" in (folder / "report.html").read_text()
    assert sorted(file.name for file in (folder / "configs").iterdir()) == [
        "00-start.py",
        "01-head.py",
    ]
    assert "Held equal at csvit2_ief3's value" in said
    assert "2 trainings, 1 of them done" in said
    assert "01-head seed 0: finished, root_mpjpe_mm" in said


def test_every_run_keeps_its_verdict_and_curves(climbed):
    folder, _ = climbed
    run = json.loads((folder / "runs" / "01-head-seed0" / "run.json").read_text())
    assert set(run["verdict"]["criteria"]) == {
        *("beats_baseline", "loss_does_not_rise", "every_step_finite"),
        *("overfits_one_batch", "gradient_reaches_everything"),
    }
    assert run["verdict"]["criteria"]["gradient_reaches_everything"]["holds"] is True
    assert len(run["history"]["train/loss"]["value"]) == 4
    assert run["steps"] == 4, "the budget is the ladder's, not the goal's"


def test_asked_again_it_trains_nothing_and_says_the_same(climbed, request_of):
    folder, _ = climbed
    before = (folder / "ladder.json").read_text()
    complete, said = shown(request_of)
    assert complete
    assert "2 trainings, 2 of them done" in said
    assert (folder / "ladder.json").read_text() == before


def test_another_budget_needs_another_folder(climbed, request_of):
    with pytest.raises(OtherLadder, match="--out"):
        climb(dataclasses.replace(request_of, steps=5), Console(file=io.StringIO()))


def test_a_report_needs_no_model(climbed, tmp_path):
    folder, _ = climbed
    said = io.StringIO()
    html, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
    rebuild([folder], html, numbers, Console(file=said, width=160))
    assert "goal minus start" in said.getvalue()
    assert json.loads(numbers.read_text())["schema"] == 1
    assert "Rung by rung" in html.read_text()


def test_runs_are_shown_side_by_side_with_paired_differences(climbed, tmp_path):
    folder, _ = climbed
    runs = [folder / "runs" / f"{name}-seed0" for name in ("00-start", "01-head")]
    html, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
    rebuild(runs, html, numbers, Console(file=io.StringIO()))
    (found,) = json.loads(numbers.read_text())["differences"].values()
    low, value, high = (found["root_mpjpe_mm"][key] for key in ("low", "value", "high"))
    assert low <= value <= high
    assert "01-head-seed0" in html.read_text()


def test_on_a_cluster_each_missing_training_is_one_line(request_of, tmp_path):
    request = dataclasses.replace(request_of, launcher="slurm", out=tmp_path / "ladder", seeds=2)
    complete, said = shown(request)
    assert not complete
    assert said.count("sbatch --job-name=") == 4
    assert "zoo report" in said
    assert not list(tmp_path.glob("ladder/runs/*/*"))


def test_a_plan_trains_nothing(request_of, tmp_path):
    complete, said = shown(
        dataclasses.replace(request_of, plan_only=True, out=tmp_path / "nothing")
    )
    assert complete
    assert "model.head.steps" in said
    assert not (tmp_path / "nothing").exists()


def test_bench_reads_errors_of_runs_and_counts_their_cost(climbed, tiny_changes, hands, tmp_path):
    """The checkpoints are measured anew on shards, on the same hands for both."""
    folder, _ = climbed
    configs = tuple(str(folder / "configs" / f"{n}.py") for n in ("00-start", "01-head"))
    runs = tuple(folder / "runs" / f"{name}-seed0" for name in ("00-start", "01-head"))
    request = BenchRequest(
        configs=configs,
        size="full",
        checkpoints=runs,
        data=str(hands / "val"),
        json=tmp_path / "bench.json",
        html=tmp_path / "bench.html",
    )
    record = run_bench(request, Console(file=io.StringIO(), width=160))
    start, goal = record["subjects"]
    assert start["metrics"]["root_mpjpe_mm"]["count"] == 8
    trained = json.loads((runs[0] / "run.json").read_text())["metrics"]
    found = start["metrics"]["root_mpjpe_mm"]["value"]
    assert found == pytest.approx(trained["root_mpjpe_mm"], rel=1e-4)
    (pair,) = record["differences"].values()
    assert pair["root_mpjpe_mm"]["low"] <= pair["root_mpjpe_mm"]["high"]
    assert start["gflops"] > goal["gflops"]
    assert "Errors" in (tmp_path / "bench.html").read_text()
