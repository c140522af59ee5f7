"""A run leaves everything it promises, resumes to the bit, and survives what disks and data do."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from zoo.app.training import checkpoints
from zoo.app.training.checkpoints import CheckpointNotWritten
from zoo.app.training.train import TrainRequest, train

RESULTS = ("run.json", "predictions.npz", "predictions.png", "curves.png")


def ask(hands: Path, changes: tuple[str, ...], work_dir: Path, steps: int, **more) -> TrainRequest:
    every = f"default_hooks.checkpoint.interval={more.pop('every', steps)}"
    extra = more.pop("extra", ())
    return TrainRequest(
        config="csvit2_ief3",
        size="tiny",
        data=str(hands),
        steps=None,
        work_dir=work_dir,
        changes=(
            *changes,
            f"train_cfg.max_iters={steps}",
            f"train_cfg.val_interval={steps}",
            "param_scheduler.warmup=2",
            "custom_hooks.dropout.start_step=3",
            every,
            *extra,
        ),
        **more,
    )


def run(request: TrainRequest) -> str:
    """Trains and returns what the terminal showed."""
    shown = io.StringIO()
    train(request, Console(file=shown, width=200))
    return shown.getvalue()


@pytest.fixture(scope="module")
def finished(hands, tiny_changes, tmp_path_factory) -> tuple[Path, str]:
    """An uninterrupted run of 8 steps, and what it showed."""
    work_dir = tmp_path_factory.mktemp("runs") / "whole"
    return work_dir, run(ask(hands, tiny_changes, work_dir, steps=8, every=4))


def test_a_run_leaves_numbers_pictures_and_the_next_commands(finished):
    work_dir, shown = finished
    for name in RESULTS:
        assert (work_dir / name).stat().st_size > 500
    record = json.loads((work_dir / "run.json").read_text())
    assert record["schema"] == 1
    assert record["steps"] == 8
    for name in ("mpjpe_mm", "root_mpjpe_mm", "pa_mpjpe_mm", "mpvpe_mm", "rte_mm", "keypoint_px"):
        assert record["metrics"][name] > 0
        assert record["baseline"][name] > 0
        low, high = record["intervals"][name]
        assert low <= record["metrics"][name] <= high
    assert record["metrics"]["num_hands"] == 8
    assert record["data"]["samples"] == 40
    assert "zoo predict csvit2_ief3" in shown


def test_every_checkpoint_loads_without_executing_anything(finished):
    work_dir, _ = finished
    saved = sorted(work_dir.glob("*.pth"))
    assert len(saved) >= 3
    for path in saved:
        assert "state_dict" in torch.load(path, weights_only=True, map_location="cpu")


def test_an_interrupted_run_resumes_to_the_same_bits(hands, tiny_changes, finished, tmp_path):
    whole, _ = finished
    request = ask(hands, tiny_changes, tmp_path / "cut", steps=8, every=4)
    process = subprocess.Popen(
        [sys.executable, "-c", _TRAIN_FOREVER, repr(request)], stdout=subprocess.DEVNULL
    )
    first = tmp_path / "cut" / "iter_4.pth"
    limit = time.monotonic() + 240
    while not first.is_file() and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.is_file(), "the run was killed before its first checkpoint"
    resumed = ask(hands, tiny_changes, tmp_path / "cut", steps=8, every=4, resume=True)
    assert "Resuming at step 4" in run(resumed)
    one, other = (checkpoints.load(folder / "iter_8.pth") for folder in (whole, tmp_path / "cut"))
    assert set(one["state_dict"]) == set(other["state_dict"])
    for part in ("state_dict", "ema_state_dict"):
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), f"{part} {name}"
    for index, state in one["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, other["optimizer"]["state"][index][name])


# Stops for ever at step 6, in the middle between two checkpoints, so that the kill is certain.
_TRAIN_FOREVER = """
import sys, time
from pathlib import Path, PosixPath
from rich.console import Console
from zoo.app.training.hooks import LiveProgress
from zoo.app.training.train import TrainRequest, train
whole = LiveProgress.after_train_iter
def stop(self, runner, *args, **kwargs):
    whole(self, runner, *args, **kwargs)
    while runner.iter >= 6:
        time.sleep(1)
LiveProgress.after_train_iter = stop
train(eval(sys.argv[1]), Console())
"""


def test_a_second_run_never_overwrites_the_first(hands, tiny_changes, finished):
    work_dir, _ = finished
    with pytest.raises(ValueError, match="already holds a run"):
        run(ask(hands, tiny_changes, work_dir, steps=8))


def test_a_full_disk_stops_with_a_sentence_and_keeps_earlier_checkpoints(
    hands, tiny_changes, tmp_path
):
    request = ask(hands, tiny_changes, tmp_path / "full", steps=4, every=2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    write = checkpoints.AtomicBackend.put
    written = []

    def put(self, content, path):
        if written:  # the kernel refuses files beyond this size, as a full disk would
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2, before[1]))
        write(self, content, path)
        written.append(path)

    checkpoints.AtomicBackend.put = put
    try:
        with pytest.raises(CheckpointNotWritten, match="Earlier checkpoints are intact"):
            run(request)
    finally:
        checkpoints.AtomicBackend.put = write
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoints.load(tmp_path / "full" / "iter_2.pth")["meta"]["iter"] == 2
    assert not list((tmp_path / "full").glob(".*.partial"))
    assert not (tmp_path / "full" / "iter_4.pth").exists()


def test_bad_samples_are_left_out_counted_and_shown(hands, tiny_changes, tmp_path):
    broken = tmp_path / "broken"
    for split in ("train", "val"):
        (broken / split).mkdir(parents=True)
        for shard in (hands / split).glob("*.tar"):
            (broken / split / shard.name).write_bytes(_with_a_cut_picture(shard))
    shown = run(ask(broken, tiny_changes, tmp_path / "run", steps=8))
    skipped = json.loads((tmp_path / "run" / "run.json").read_text())["skipped"]
    assert sum(entry["count"] for entry in skipped["val"].values()) == 1
    assert "Left out" in shown


def _with_a_cut_picture(shard: Path) -> bytes:
    """The tar with the second half of its first picture overwritten by zeros."""
    import tarfile

    content = bytearray(shard.read_bytes())
    with tarfile.open(shard) as tar:
        member = next(m for m in tar if m.name.endswith(".jpg"))
    start = member.offset_data + member.size // 2
    content[start : member.offset_data + member.size] = bytes(member.size - member.size // 2)
    return bytes(content)


def test_a_signal_ends_the_run_with_a_checkpoint_to_go_on_from(hands, tiny_changes, tmp_path):
    request = ask(
        hands, tiny_changes, tmp_path / "stopped", steps=100000, extra=("data.val.batch_size=4",)
    )
    from zoo.app.training.hooks import LiveProgress

    whole = LiveProgress.after_train_iter

    def interrupt(self, runner, *args, **kwargs):
        whole(self, runner, *args, **kwargs)
        if runner.iter == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    LiveProgress.after_train_iter = interrupt
    try:
        shown = run(request)
    finally:
        LiveProgress.after_train_iter = whole
    assert "--resume" in shown
    assert checkpoints.latest(tmp_path / "stopped")[1] == 2
