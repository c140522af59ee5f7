"""A discriminator is trained beside the model, and resumes with it to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from registry.config import load
from zoo.app.training import checkpoints
from zoo.app.training.adversarial import AdversarialSteps
from zoo.app.training.assemble import Shards, build_model, build_runner

CHANGES = (
    "model.backbone.image_size=(64, 64)",
    "augmentation.crop.size=(64, 64)",
    "model.backbone.dim=48",
    "model.backbone.depth=1",
    "model.backbone.num_heads=2",
    "model.head.dim=32",
    "model.head.depth=1",
    "model.head.num_heads=2",
    "model.head.head_dim=16",
    "model.head.mlp_dim=64",
    "model.losses.adversarial.lr=0.001",
    "data.train.batch_size=4",
    "data.train.shuffle=16",
    "data.val.batch_size=8",
    "train_cfg.max_iters=4",
    "train_cfg.val_interval=4",
    "param_scheduler.warmup=0",
    "param_scheduler.cycles=0",
    "default_hooks.checkpoint.interval=2",
)


def train(hands: Path, work_dir: Path, *, resume: bool = False):
    config = load("hamer", CHANGES, size="tiny")
    shards = Shards(*(sorted(map(str, (hands / s).glob("*.tar"))) for s in ("train", "val")))
    model = build_model(config)
    before = {name: value.clone() for name, value in model.losses.state_dict().items()}
    resume_from = (work_dir / "iter_2.pth", 2) if resume else None
    runner = build_runner(
        config,
        model,
        shards,
        work_dir=work_dir,
        hooks=[],
        resume_from=resume_from,
    )
    runner.train()
    return before, runner


@pytest.fixture(scope="module")
def finished(hands, tmp_path_factory):
    """An uninterrupted run of four steps."""
    work_dir = tmp_path_factory.mktemp("adversarial") / "whole"
    return work_dir, *train(hands, work_dir)


def test_the_discriminator_takes_a_step_after_every_step_of_the_model(finished):
    _, before, runner = finished
    after = runner.model.losses.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(before)
    assert after["adversarial.draws"] == 4
    told = runner.message_hub.get_scalar("train/adversarial_discriminator")
    assert len(told.data[0]) == 4
    terms = runner.message_hub.get_scalar("train/loss_adversarial")
    assert terms.current() > 0


def test_a_resumed_run_has_the_discriminator_of_an_uninterrupted_one(finished, hands, tmp_path):
    whole, *_ = finished
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "iter_2.pth").write_bytes((whole / "iter_2.pth").read_bytes())
    train(hands, cut, resume=True)
    one, other = (checkpoints.load(folder / "iter_4.pth") for folder in (whole, cut))
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name]), name
    states = (c["discriminator_optimizers"]["adversarial"]["state"] for c in (one, other))
    for mine, theirs in zip(*(state.values() for state in states), strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_a_model_without_a_discriminator_is_left_alone(hands, tmp_path):
    extra = ["model.losses.adversarial=None"]
    changes = [c for c in CHANGES if "adversarial" not in c]
    config = load("hamer", [*changes, *extra], size="tiny")
    model = build_model(config)
    hook = AdversarialSteps()
    runner = type("Runner", (), {"model": model})()
    hook.before_train(runner)
    checkpoint: dict = {}
    hook.before_save_checkpoint(runner, checkpoint)
    assert hook.optimizers == checkpoint == {}
