"""Runs go on where they were, several at once, and a kill at any moment changes no number."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.ladder.runs import Run, Trainer, last_words, train_all, write_config
from registry.config import load
from registry.difference import apply, difference, same

FAKE = Path(__file__).parent / "fake_train.py"
STEPS, RUNS = 60, 3

LADDER = """
import sys
from pathlib import Path
from benchmarks.ladder.runs import Run, train_all
folder, fake, steps, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
runs = [Run(f"{i}", Path("none.py"), i, folder / f"{i}") for i in range(count)]
command = lambda run, resume: [
    sys.executable, "-S", fake, str(run.folder), steps, str(run.seed), str(int(resume))
]
sys.exit(len(train_all(runs, command, jobs=2, threads=1, every=0.02)))
"""


def fake(run: Run, resume: bool) -> list[str]:
    words = [str(run.folder), str(STEPS), str(run.seed), str(int(resume))]
    return [sys.executable, "-S", str(FAKE), *words]


def runs_in(folder: Path) -> list[Run]:
    return [Run(f"{i}", Path("none.py"), i, folder / f"{i}") for i in range(RUNS)]


def results(folder: Path) -> list[dict]:
    return [json.loads((folder / f"{i}" / "run.json").read_text()) for i in range(RUNS)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An uninterrupted ladder."""
    folder = tmp_path_factory.mktemp("whole")
    assert train_all(runs_in(folder), fake, jobs=2, threads=1, every=0.02) == []
    return folder


def test_killed_five_times_at_random_it_loses_nothing_and_changes_no_number(whole, tmp_path):
    rng = random.Random(0)
    words = [sys.executable, "-c", LADDER, str(tmp_path), str(FAKE), str(STEPS), str(RUNS)]
    begun = 0
    for _ in range(5):
        ladder = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": os.getcwd()})
        limit = time.monotonic() + 60
        while time.monotonic() < limit and ladder.poll() is None:
            now = len(list(tmp_path.glob("*/started-*")))
            if now > begun:  # the kill falls somewhere into a training
                break
            time.sleep(0.01)
        begun = now
        time.sleep(rng.uniform(0, 0.3))
        ladder.send_signal(signal.SIGKILL)
        ladder.wait()
    assert train_all(runs_in(tmp_path), fake, jobs=2, threads=1, every=0.02) == []
    assert results(tmp_path) == results(whole)
    assert begun > 2, "no training was ever interrupted"


def test_a_ladder_that_dies_has_its_trainings_save_the_step_they_are_at(tmp_path):
    words = [sys.executable, "-c", LADDER, str(tmp_path), str(FAKE), "100000", "1"]
    ladder = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": os.getcwd()})
    wait_for(lambda: any(tmp_path.glob("0/iter_*0.pth")))
    ladder.send_signal(signal.SIGKILL)
    ladder.wait()
    wait_for(lambda: any(f.stem[-1] != "0" for f in tmp_path.glob("0/iter_*.pth")))


def wait_for(happened) -> None:
    limit = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_what_is_finished_is_not_trained_again(whole):
    before = sorted(whole.glob("*/started-*"))
    told = []
    said = train_all(runs_in(whole), fake, jobs=1, threads=1, told=lambda *a: told.append(a))
    assert said == []
    assert told == []
    assert sorted(whole.glob("*/started-*")) == before


def test_a_training_that_is_killed_goes_on_by_itself(whole, tmp_path):
    def dies_once(run: Run, resume: bool) -> list[str]:
        if resume:
            return fake(run, resume)
        return ["sh", "-c", f"mkdir -p {run.folder}; echo {run.seed} > {run.folder}/iter_0.pth;"
                            "truncate -s -1 " + f"{run.folder}/iter_0.pth; kill -9 $$"]  # fmt: skip

    told = []
    one = runs_in(tmp_path)[:1]
    failed = train_all(one, dies_once, jobs=1, threads=1, told=lambda r, s: told.append(s))
    assert failed == []
    assert told == ["starts", "killed by signal 9; goes on", "goes on", "finished"]
    assert json.loads((tmp_path / "0" / "run.json").read_text()) == results(whole)[0]


def test_a_training_that_fails_is_told_and_the_others_go_on(tmp_path):
    def refuses(run: Run, resume: bool) -> list[str]:
        words = "import sys; print('the first line'); sys.exit('error: no such file')"
        return [sys.executable, "-S", "-c", words] if run.seed == 1 else fake(run, resume)

    runs = runs_in(tmp_path)
    failed = train_all(runs, refuses, jobs=2, threads=1, every=0.02)
    assert failed == [runs[1]]
    assert [run.finished for run in runs] == [True, False, True]
    assert last_words(runs[1]) in ("error: no such file", "the first line")


def test_a_written_config_reads_back_to_exactly_the_same_values(tmp_path):
    """Whatever differs between two shipped configs, taken away values and tuples included."""
    start, goal = load("csvit2_ief3", size="tiny"), load("hamer", size="tiny")
    changes = difference(start, goal)
    for count in (0, len(changes) // 2, len(changes)):
        config = apply(start, changes[:count])
        found = load(write_config(tmp_path / f"{count}.py", config, "A rung."))
        assert same(found, config)


def test_the_command_says_everything_a_run_needs(tmp_path):
    run = Run("01-neck", tmp_path / "01.py", 2, tmp_path / "01-seed2")
    words = Trainer(steps=40, data="shards", plugins=[Path("mine.py")])(run, True)
    line = " ".join(words)
    assert f"train {tmp_path}/01.py --size full --seed 2" in line
    assert "--steps 40 --data shards --plugin mine.py --resume" in line
    assert "--resume" not in Trainer()(run, False)
    kept = Trainer(steps=40, changes=["train_cfg.val_interval=9"])(run, False)
    assert kept[-2:] == ["--set", "train_cfg.val_interval=9"], "--steps would change it"
