from __future__ import annotations

import io

import pytest
from rich.console import Console

from zoo.app.clip_lengths import Plan, page, run
from zoo.app.train import TrainRequest, train
from zoo.data.synthetic.write import write_dataset


@pytest.mark.slow
def test_lengths_are_trained_judged_on_the_same_frames_and_written_down(
    tmp_path, tiny_changes, monkeypatch
):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    films = tmp_path / "films"
    write_dataset(
        films, count=64, image_size=64, seed=3, split=(0.5, 0.5), sequences=1.0, clip_frames=8
    )
    said = Console(file=io.StringIO())
    data = {"data": str(films), "size": "tiny", "steps": 2, "changes": tiny_changes}
    stage1 = train(TrainRequest("csvit2", work_dir=tmp_path / "stage1", **data), said).work_dir
    changes = (*tiny_changes, f"data.train.shards={films}/train", f"data.val.shards={films}/val")
    plan = Plan(
        stage1=stage1, lengths=(1, 3), seeds=2, steps=2, out=tmp_path / "out", changes=changes
    )
    run(plan, said)
    text = page(plan)
    assert "| 1 | 2 |" in text
    assert "| 3 | 2 |" in text
    assert "the same 24 last frames" in text
    before = sorted(file.stat().st_mtime_ns for file in plan.out.glob("*/run.json"))
    run(plan, said)  # finished runs are not trained again
    assert sorted(file.stat().st_mtime_ns for file in plan.out.glob("*/run.json")) == before
