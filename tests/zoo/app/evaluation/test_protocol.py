from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console

from zoo.app.evaluation.evaluate import Evaluation
from zoo.app.evaluation.protocol import answers_of, report_protocol

CONFIG = {"augmentation": {"crop": {"size": (256, 192), "expand": 2.0}}}


def evaluation(valid=1.0):
    rng = np.random.default_rng(0)
    records = []
    for _ in range(3):
        joints = rng.normal([0, 0, 0.6], 0.04, (21, 3)).astype(np.float32)
        said = {
            "joints": joints + 0.001,
            "vertices": rng.normal([0, 0, 0.6], 0.04, (778, 3)).astype(np.float32),
            "keypoints": np.zeros((21, 2), np.float32),
        }
        target = {
            "joints": joints,
            "joints_valid": np.full(21, valid, np.float32),
            "keypoints": np.zeros((21, 2), np.float32),
            "keypoints_valid": np.full(21, valid, np.float32),
        }
        records.append({"prediction": said, "target": target})
    keys = [("freihand", f"freihand/evaluation/{k:08d}/0_{k}") for k in range(3)]
    return Evaluation({}, {}, {}, records, keys, {}, [False] * 3)


def test_the_box_is_the_crop_less_its_margin():
    answers = answers_of(evaluation(), CONFIG)
    assert answers.box_side.tolist() == [128.0] * 3
    assert answers.label_vertices is None


def test_scores_are_printed_with_what_they_mean():
    console = Console(record=True, width=120)
    scores = report_protocol("dexycb", evaluation(), CONFIG, console)
    text = console.export_text()
    assert set(scores) >= {"absolute_mpjpe_mm", "root_relative_auc"}
    for said in ("Procrustes that may reflect", "manopth", "s0_test", "absolute_mpjpe_mm"):
        assert said in text


def test_a_submission_is_written_where_only_the_server_has_the_labels(tmp_path):
    console, path = Console(record=True, width=200), tmp_path / "pred.json"
    report_protocol("freihand", evaluation(), CONFIG, console, submission=path)
    assert "not scored here" in console.export_text()
    assert [len(part) for part in json.loads(path.read_text())] == [3, 3]
    with pytest.raises(ValueError, match="joints and a mesh"):
        report_protocol("freihand", evaluation(), CONFIG, console)
