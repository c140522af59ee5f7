"""Stage 2 from the command's side: Stage 1 found or trained, frozen, cached, judged beside it."""

from __future__ import annotations

import io
import json
import shutil

import pytest
import torch
from rich.console import Console

from registry.whole import build_model, load
from zoo.app.clips import stage_one
from zoo.app.clips.token_cache import StaleCache, TokenCache, build_cache, cache_key
from zoo.app.training import checkpoints
from zoo.app.training.assemble import Shards
from zoo.app.training.train import TrainRequest, train
from zoo.data.shards import resolve_shards
from zoo.data.synthetic.write import write_dataset
from zoo.weights.account import WrongCheckpoint

STEPS = 4


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Twelve films of four frames to train on, four to judge on."""
    folder = tmp_path_factory.mktemp("films")
    write_dataset(
        folder,
        count=64,
        image_size=64,
        seed=3,
        split=(0.75, 0.25),
        sequences=1.0,
        clip_frames=4,
    )
    return folder


@pytest.fixture
def changes(tiny_changes):
    small = ("model.temporal.num_heads=2", "model.temporal.head_dim=8")
    return (*tiny_changes, *small, "data.clip.frames=3", "data.clip.run=4")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))


def run(films, changes, folder, *, steps=STEPS, resume=False):
    said = io.StringIO()
    request = TrainRequest(
        "csvit2_stage2",
        size="tiny",
        data=str(films),
        steps=steps,
        work_dir=folder,
        resume=resume,
        changes=changes,
    )
    done = train(request, Console(file=said, width=200))
    return done, said.getvalue()


def weights(folder):
    return checkpoints.load(checkpoints.latest(folder)[0])["state_dict"]


@pytest.fixture
def stage_one_run(films, tiny_changes, tmp_path):
    """A finished Stage 1 in its own folder."""
    request = TrainRequest(
        "csvit2",
        size="tiny",
        data=str(films),
        steps=2,
        work_dir=tmp_path / "stage1",
        changes=tiny_changes,
    )
    return train(request, Console(file=io.StringIO())).work_dir


def test_an_earlier_stage_one_is_found_kept_as_it_is_and_judged_beside(
    films, changes, tmp_path, stage_one_run
):
    done, said = run(films, changes, tmp_path / "stage2")
    assert done.finished
    assert f"Stage 1: {stage_one_run}" in said
    assert "Both stages on the same last frames" in said
    before, after = weights(stage_one_run), weights(done.work_dir)
    for name, value in before.items():
        if name.startswith(stage_one.PARTS):
            assert torch.equal(after[name], value), name
    record = json.loads((done.work_dir / "run.json").read_text())
    assert record["stage1"]["metrics"]["num_hands"] == record["metrics"]["num_hands"] == 8


def test_without_a_stage_one_it_is_trained_first_and_that_is_said(films, changes, tmp_path):
    brief = ("train_cfg.max_iters=2", "train_cfg.val_interval=2")
    # A Stage 1 takes only changes of the parts both share, so its budget is shortened here.
    short = pytest.MonkeyPatch()
    real = stage_one.replace
    short.setattr(stage_one, "replace", lambda request, **new: real(request, **{**new, "steps": 2}))
    done, said = run(films, (*changes, *brief), tmp_path / "stage2", steps=2)
    short.undo()
    assert "no finished run of csvit2 at size tiny is here; training it first" in said
    assert (tmp_path / "stage2-stage1" / "run.json").is_file()
    assert done.finished


def test_a_stage_one_of_another_model_is_refused_with_an_account(
    films, changes, tmp_path, stage_one_run
):
    other = (*changes, f"stage1.checkpoint={stage_one_run}", "model.head.dim=48")
    with pytest.raises(WrongCheckpoint, match=r"head.*incomplete"):
        run(films, other, tmp_path / "stage2")


def test_cached_tokens_are_those_the_model_says_of_each_frame(films, changes, tmp_path):
    config = load("csvit2_stage2", changes=(*changes, "data.token_cache={'copies': 0}"))
    model = build_model(config).eval()
    shards = Shards(resolve_shards(films / "train"), resolve_shards(films / "val"))
    loader = stage_one.cached_loader(config, model, shards, Console(file=io.StringIO()))
    batch = next(iter(loader))
    assert batch.clips.tokens.shape[:2] == batch.clips.times.shape == (4, 3)
    assert (batch.clips.times[:, -1] == 0).all()
    assert (batch.clips.times.diff(dim=1) > 0).all()
    key = cache_key(config, model, shards.train, 0)
    cache = build_cache(tmp_path, model, shards.train, key, Console(file=io.StringIO()))
    frames = stage_one_frames(config, model, shards)
    assert len(cache) == len(frames) == 48
    for row, (token, joints) in enumerate(frames):
        torch.testing.assert_close(
            torch.from_numpy(cache.arrays["tokens"][row].copy()), token, atol=1e-4, rtol=1e-4
        )
        assert torch.equal(torch.from_numpy(cache.arrays["label_joints"][row].copy()), joints)


@torch.no_grad()
def stage_one_frames(config, model, shards):
    from zoo.data.streams import EvalStream

    found = []
    for batch in EvalStream(shards.train, batch_size=8):
        data = model.data_preprocessor(batch, False)
        tokens = model.queries(data["inputs"]).token
        found += list(zip(tokens, data["data_samples"].joints, strict=True))
    return found


def test_a_cache_of_other_weights_or_data_is_another_cache_and_a_stale_one_is_refused(
    films, changes, tmp_path
):
    config = load("csvit2_stage2", changes=changes)
    model = build_model(config)
    train_data, val_data = resolve_shards(films / "train"), resolve_shards(films / "val")
    key = cache_key(config, model, val_data, 0)
    assert cache_key(config, model, train_data, 0)["data"] != key["data"]
    with torch.no_grad():
        next(model.backbone.parameters()).add_(1e-3)
    moved = cache_key(config, model, val_data, 0)
    assert [name for name in key if key[name] != moved[name]] == ["weights"]
    cache = build_cache(tmp_path, model, val_data, moved, Console(file=io.StringIO()))
    with pytest.raises(StaleCache, match="other weights"):
        TokenCache(cache.folder, key)


def test_training_from_the_cache_resumes_to_the_bit(films, changes, tmp_path, stage_one_run):
    # Dropout and every draw included: interrupted after two of four steps, each of which is saved.
    changes = (
        *changes,
        "data.token_cache={'copies': 0}",
        "default_hooks.checkpoint.interval=2",
        "custom_hooks.dropout.start_step=1",
    )
    whole, _ = run(films, changes, tmp_path / "whole")
    shutil.copytree(whole.work_dir, tmp_path / "cut")
    for step in (3, 4):
        (tmp_path / "cut" / f"iter_{step}.pth").unlink()
    assert checkpoints.latest(tmp_path / "cut")[1] == 2
    cut, _ = run(films, changes, tmp_path / "cut", resume=True)
    first, second = weights(whole.work_dir), weights(cut.work_dir)
    assert all(torch.equal(first[name], second[name]) for name in first)
