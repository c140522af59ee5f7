"""From a finished run to files of hands in pictures."""

from __future__ import annotations

import io
import json

import cv2
import numpy as np
import pytest
import trimesh
from rich.console import Console

from zoo.app.evaluation.predict import PredictRequest, predict_hands
from zoo.app.training.train import TrainRequest, train


@pytest.fixture(scope="module")
def run_folder(hands, tiny_changes, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("predicting") / "run"
    changes = (
        *tiny_changes,
        "train_cfg.max_iters=1",
        "train_cfg.val_interval=1",
        "param_scheduler.warmup=0",
    )
    request = TrainRequest(
        config="csvit2_ief3", size="tiny", data=str(hands), work_dir=work_dir, changes=changes
    )
    train(request, Console(file=io.StringIO()))
    return work_dir


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "hand.jpg"
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    return path


def ask(run_folder, tiny_changes, images, out, **more) -> tuple[int, str]:
    shown = io.StringIO()
    request = PredictRequest(
        "csvit2_ief3", run_folder, tuple(images), out=out, changes=tiny_changes, **more
    )
    return predict_hands(request, Console(file=shown, width=300)), shown.getvalue()


def test_every_hand_gets_an_overlay_a_mesh_twice_and_a_record(
    run_folder, tiny_changes, picture, tmp_path
):
    out = tmp_path / "out"
    boxes = ("20,20,80,80", "90,30,150,100")
    count, _ = ask(run_folder, tiny_changes, [picture], out, boxes=boxes, sides=("left", "right"))
    assert count == 2
    for side, name in (("left", "hand_hand0"), ("right", "hand_hand1")):
        for ending in ("png", "obj", "glb", "json"):
            assert (out / f"{name}.{ending}").stat().st_size > 1000
        record = json.loads((out / f"{name}.json").read_text())
        assert record["side"] == side
        assert trimesh.load(out / f"{name}.obj", process=False).vertices.shape == (778, 3)


def test_a_damaged_picture_is_left_out_and_said(run_folder, tiny_changes, picture, tmp_path):
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(picture.read_bytes()[:500])
    count, shown = ask(run_folder, tiny_changes, [cut, picture], tmp_path / "out")
    assert count == 1
    assert "left out" in shown
    assert "cut.jpg" in shown


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"boxes": ("500,500,600,600",)}, "outside"),
        ({"boxes": ("1,2,3",)}, "4 are needed"),
        ({"sides": ("up",)}, "'left' or 'right'"),
        ({"boxes": ("1,2,30,40",), "sides": ("left", "right")}, "--side"),
        ({"focal": -3.0, "boxes": ("1,2,30,40",)}, "focal"),
    ],
)
def test_what_cannot_be_meant_is_refused(run_folder, tiny_changes, picture, tmp_path, wrong, says):
    with pytest.raises(ValueError, match=says):
        ask(run_folder, tiny_changes, [picture], tmp_path / "out", **wrong)


def test_nothing_is_overwritten_unasked(run_folder, tiny_changes, picture, tmp_path):
    ask(run_folder, tiny_changes, [picture], tmp_path)
    with pytest.raises(ValueError, match="there already"):
        ask(run_folder, tiny_changes, [picture], tmp_path)
    assert ask(run_folder, tiny_changes, [picture], tmp_path, overwrite=True)[0] == 1
