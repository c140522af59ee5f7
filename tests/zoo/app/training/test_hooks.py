"""Dropout, saving and averaging over a run: what is kept, and from which step."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from torch import nn

from registry.config import load
from zoo.app.training import checkpoints
from zoo.app.training.assemble import Shards, build_model, build_runner
from zoo.app.training.hooks import LiveProgress, ProgressiveDropout
from zoo.data.shards import resolve_shards

STEPS = 6
BEST = ("root_mpjpe_mm", "mpjpe_mm", "rte_mm")


def run_of(hands, tiny_changes, work_dir, *more: str):
    changes = (
        "custom_hooks.dropout.probability=0.1",
        f"train_cfg.max_iters={STEPS}",
        "train_cfg.val_interval=1",
        "default_hooks.checkpoint.interval=1",
        "param_scheduler.warmup=0",
        "custom_hooks.dropout.start_step=3",
    )
    config = load("csvit2_ief3", (*tiny_changes, *changes, *more), size="tiny")
    shards = Shards(resolve_shards(hands / "train"), resolve_shards(hands / "val"))
    return build_runner(config, build_model(config), shards, work_dir=work_dir, hooks=[])


@pytest.fixture(scope="module")
def finished(hands, tiny_changes, tmp_path_factory):
    """A run that validates and saves at each of its six steps."""
    work_dir = tmp_path_factory.mktemp("hooks") / "run"
    runner = run_of(hands, tiny_changes, work_dir)
    runner.train()
    return work_dir, runner


def test_the_bar_is_readable_in_eighty_columns():
    out = io.StringIO()
    progress = LiveProgress(console=Console(file=out, force_terminal=True, width=80))
    runner = SimpleNamespace(max_iters=1000, iter=249)
    losses = {f"loss_{name}": torch.tensor(1.23) for name in ("rotations", "reprojection", "wrist")}
    progress.before_train(runner)
    progress.after_train_iter(runner, 0, [None] * 32, losses)
    shown = Console(width=80, file=io.StringIO(), record=True)
    shown.print(progress.bar.get_renderable())
    progress.close()
    bar, terms = shown.export_text().splitlines()
    assert all(part in bar for part in ("training", "250/1000", "samples/s"))
    assert terms.strip() == "rotations 1.23  reprojection 1.23  wrist 1.23"


def test_the_last_three_states_and_the_best_by_each_metric_are_kept(finished):
    work_dir, _ = finished
    kept = {int(path.stem.removeprefix("iter_")) for path in work_dir.glob("iter_*.pth")}
    assert kept == {STEPS - 2, STEPS - 1, STEPS}
    (scalars,) = work_dir.rglob("scalars.json")
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    validated = [row for row in rows if BEST[0] in row]
    assert len(validated) == STEPS
    for metric in BEST:
        values = [row[metric] for row in validated]
        (best,) = work_dir.glob(f"best_{metric}_iter_*.pth")
        assert int(best.stem.rsplit("_", 1)[1]) == 1 + values.index(min(values)), metric
        assert checkpoints.load(best)["state_dict"]


def test_a_metric_that_is_not_measured_is_named_before_the_first_step(
    hands, tiny_changes, tmp_path
):
    runner = run_of(hands, tiny_changes, tmp_path / "run", "evaluation.metrics.rte=none")
    with pytest.raises(ValueError, match=r"save_best: rte_mm is not measured; .*root_mpjpe_mm"):
        runner.train()
    assert runner.iter == 0


def test_saved_weights_are_the_running_average_of_the_trained_ones(finished):
    work_dir, runner = finished
    before, after = (checkpoints.load(work_dir / f"iter_{i}.pth") for i in (STEPS - 1, STEPS))
    trained = {name for name, _ in runner.model.named_parameters()}
    moved = 0
    for name in trained:
        average = 0.99 * before["state_dict"][name] + 0.01 * _raw(after, name)
        torch.testing.assert_close(after["state_dict"][name], average, rtol=1e-5, atol=1e-7)
        moved += not torch.equal(after["state_dict"][name], _raw(after, name))
    assert moved > 10


def _raw(checkpoint, name: str) -> torch.Tensor:
    return checkpoint["ema_state_dict"][f"module.{name}"]


def test_the_dropout_of_every_step_is_logged(finished):
    _, runner = finished
    logged = runner.message_hub.get_scalar("train/dropout").data[0].tolist()
    assert logged == pytest.approx([0, 0, 0, 0.1, 0.1, 0.1])


class Part(nn.Module):
    """A part whose dropout can be set."""

    def __init__(self) -> None:
        super().__init__()
        self.p = None

    def set_dropout(self, p: float) -> None:
        self.p = p


def at_step(hook: ProgressiveDropout, step: int, **parts) -> None:
    model = SimpleNamespace(**({"head": None, "temporal": None} | parts))
    runner = SimpleNamespace(model=model, iter=step, max_iters=100)
    hook.before_train_iter(runner, 0)


def test_dropout_reaches_the_head_and_the_temporal_part():
    head, temporal = Part(), Part()
    hook = ProgressiveDropout(start_step=10, probability=0.2)
    for step, expected in ((0, 0.0), (9, 0.0), (10, 0.2), (99, 0.2)):
        at_step(hook, step, head=head, temporal=temporal)
        assert (head.p, temporal.p) == (expected, expected)


def test_fixed_dropout_is_there_from_the_first_step():
    hook = ProgressiveDropout(start_step=0, probability=0.2)
    assert {hook.at(step, 50) for step in range(50)} == {0.2}


def test_cosine_dropout_rises_smoothly_from_its_start_to_the_last_step():
    hook = ProgressiveDropout(start_step=10, probability=0.2, ramp="cosine")
    values = torch.tensor([hook.at(step, 111) for step in range(111)])
    assert (values[:11] == 0).all()
    assert values[60] == pytest.approx(0.1)
    assert values[110] == pytest.approx(0.2)
    assert (values.diff() >= 0).all()
    assert values.diff().max() < 0.2 * 1.6 / 100


def test_a_head_without_dropout_is_refused_only_where_dropout_is_asked_for():
    head = nn.Linear(2, 2)
    at_step(ProgressiveDropout(start_step=0, probability=0.0), 0, head=head)
    with pytest.raises(ValueError, match="Linear has no set_dropout"):
        at_step(ProgressiveDropout(start_step=50, probability=0.1), 0, head=head)


@pytest.mark.parametrize(
    "arguments",
    [
        {"start_step": 0, "probability": 1.0},
        {"start_step": -1, "probability": 0.1},
        {"start_step": 0, "probability": 0.1, "ramp": "linear"},
    ],
)
def test_impossible_dropout_is_refused(arguments):
    with pytest.raises(ValueError, match=r"custom_hooks\.dropout"):
        ProgressiveDropout(**arguments)
