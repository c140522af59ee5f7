"""What earlier frames are worth: the same last frames for all lengths, both stages, one page."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from registry.whole import build_model, load
from zoo.app.clips.judged_films import COMES, STAYS, judged_films, occluders
from zoo.app.clips.lengths import Plan, _changes_of, finished, run
from zoo.app.clips.page import page
from zoo.app.training.results import write_json
from zoo.data.shards import resolve_shards
from zoo.data.synthetic.write import write_dataset

SMALL = ("model.temporal.num_heads=2", "model.temporal.head_dim=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four films of six frames, two to train on."""
    made = tmp_path_factory.mktemp("films")
    write_dataset(
        made, count=24, image_size=64, seed=3, split=(0.5, 0.5), sequences=1.0, clip_frames=6
    )
    return made


@pytest.fixture(scope="module")
def config(tiny_changes, folder):
    shards = (f"data.train.shards={folder}/train", f"data.val.shards={folder}/val")
    return load("csvit2_stage2", changes=(*tiny_changes, *SMALL, *shards), size="tiny")


@pytest.fixture
def films(config, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    model = build_model(config).eval()
    shards = resolve_shards(folder / "val")
    return model, judged_films(config, model, shards, 3, Console(file=io.StringIO()))


def test_every_length_is_judged_on_the_same_last_frames_and_sees_as_many(films):
    _, judged = films
    assert len(judged) == 2 * (6 - 3 + 1)
    batches = [judged.clips(length, np.zeros(len(judged), bool)) for length in (1, 3)]
    assert torch.equal(batches[0].label.joints, batches[1].label.joints)
    assert torch.equal(batches[0].clips.tokens, batches[1].clips.tokens[:, -1:])
    assert batches[1].clips.tokens.shape[:2] == (len(judged), 3)


def test_only_the_last_frame_tells_visible_from_occluded(films):
    _, judged = films
    shown, unseen = (judged.clips(3, np.full(len(judged), hide)) for hide in (False, True))
    assert torch.equal(shown.clips.tokens[:, :-1], unseen.clips.tokens[:, :-1])
    assert (shown.clips.tokens[:, -1] != unseen.clips.tokens[:, -1]).any(-1).all()
    # Earlier frames are hidden where the film is, and open elsewhere.
    rows = judged.open.clip_ends(3)[:, None] + np.arange(-2, 0)
    wanted = np.where(
        judged.covered[rows][..., None],
        judged.hidden.arrays["tokens"][rows],
        judged.open.arrays["tokens"][rows],
    )
    np.testing.assert_array_equal(shown.clips.tokens[:, :-1], wanted)


def test_an_untrained_stage_two_errs_exactly_as_its_stage_one_and_another_does_not(films):
    model, judged = films
    same = judged.judge(model, 3)
    assert set(same) == {"visible", "occluded", "acceleration"}
    for found in same.values():
        assert found["stage1"] == found["stage2"]
        assert len(found["stage1"]) == 2  # one mean a film
    torch.nn.init.normal_(model.temporal.zero_linear.weight, std=0.3)
    other = judged.judge(model, 3)
    for name, found in other.items():
        assert found["stage1"] == same[name]["stage1"]
        assert found["stage1"] != found["stage2"]


def test_occluders_come_stay_and_are_there_as_often_in_first_frames():
    film = np.repeat(np.arange(4000), 6)
    covered = occluders(film, np.random.default_rng(0)).reshape(4000, 6)
    often = COMES / (1 + COMES - STAYS)
    np.testing.assert_allclose(covered.mean(0), often, atol=0.03)
    before, after = covered[:, :-1], covered[:, 1:]
    assert after[before].mean() == pytest.approx(STAYS, abs=0.03)
    assert after[~before].mean() == pytest.approx(COMES, abs=0.03)


def test_the_model_is_that_of_the_run_it_stands_on(config, tmp_path):
    earlier = load("csvit2_ief3", changes=("model.head.dim=48", "model.losses.joints.weight=7.0"))
    write_json(tmp_path / "run.json", {"config": earlier})
    found = load("csvit2_stage2", changes=_changes_of(tmp_path), size="tiny")
    for name in ("backbone", "neck", "head", "losses"):
        assert json.dumps(found["model"][name]) == json.dumps(earlier["model"][name]), name
    assert tuple(found["augmentation"]["crop"]["size"]) == earlier["augmentation"]["crop"]["size"]


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no finished run"):
        _changes_of(tmp_path)


def test_lengths_are_trained_once_and_written_down(
    config, folder, tiny_changes, monkeypatch, tmp_path
):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    stage1 = tmp_path / "stage1"
    first = load("csvit2", changes=tiny_changes, size="tiny")
    record = {"config": first, "config_name": "csvit2", "size": "tiny", "steps": 5}
    stage1.mkdir()
    write_json(stage1 / "run.json", {**record, "metrics": {"root_mpjpe_mm": 60.0}})
    torch.save({"state_dict": build_model(first).state_dict()}, stage1 / "iter_5.pth")
    shards = (f"data.train.shards={folder}/train", f"data.val.shards={folder}/val")
    plan = Plan(
        stage1=stage1,
        lengths=(1, 3),
        seeds=2,
        steps=2,
        copies=1,
        out=tmp_path / "out",
        changes=(*SMALL, *shards, "data.train.batch_size=4"),
    )
    said = Console(file=io.StringIO())
    run(plan, said)
    results = finished(plan)
    assert [len(results[length]) for length in (1, 3)] == [2, 2]
    # A run that learns on tokens must not move Stage 1, and its own answer must have moved.
    judged = results[3][0]["judged"]["occluded"]
    assert judged["stage1"] == results[1][1]["judged"]["occluded"]["stage1"]
    assert judged["stage1"] != judged["stage2"]
    before = sorted(file.stat().st_mtime_ns for file in plan.out.glob("*/*"))
    run(dataclasses.replace(plan), said)  # finished runs are not trained again
    assert sorted(file.stat().st_mtime_ns for file in plan.out.glob("*/*")) == before
    record["metrics"] = {"root_mpjpe_mm": 60.0}
    text = page(results, record, 2)
    assert "Not finished" not in text
    assert "fewer than 2 seeds of T = 3." in page({**results, 3: results[3][1:]}, record, 2)
    assert "the same 8 last frames of 2 other films" in text
    assert text.count("| 3 | 2 |") == 3
