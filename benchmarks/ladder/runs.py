"""Trains the configs of a ladder, several at once, and loses nothing when it is killed."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pprint
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry import config as configs
from registry.difference import same

Command = Callable[["Run", bool], list[str]]
Told = Callable[["Run", str], None]
TRIES = 3  # of a run that a signal killed; an error of its own is not tried again
_DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Run:
    """One training of one config with one seed, and where it is."""

    name: str  # "02-neck"
    config_file: Path
    seed: int
    folder: Path

    @property
    def finished(self) -> bool:
        """A run writes run.json last and whole, so that its presence is the end of it."""
        return (self.folder / "run.json").is_file()

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")


@dataclass
class _Going:
    run: Run
    process: subprocess.Popen
    place: int
    tries: int


@dataclass(frozen=True)
class Trainer:
    """How a run becomes a command: `zoo train` on the written config."""

    steps: int | None = None
    data: str | None = None
    val_data: str | None = None
    plugins: Sequence[Path] = ()
    changes: Sequence[str] = ()  # said once more, for `--steps` to leave as they are

    def __call__(self, run: Run, resume: bool) -> list[str]:
        options = {"--steps": self.steps, "--data": self.data, "--val-data": self.val_data}
        given = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
        loaded = [str(word) for plugin in self.plugins for word in ("--plugin", plugin)]
        said = [word for change in self.changes for word in ("--set", change)]
        return [
            *(sys.executable, "-m", "zoo.app.cli", "train", str(run.config_file)),
            *("--size", "full", "--seed", str(run.seed), "--work-dir", str(run.folder)),
            *given,
            *loaded,
            *said,
            *(("--resume",) if resume else ()),
        ]


def write_config(path: Path, config: Mapping[str, Any], says: str) -> Path:
    """A resolved config as a file that `zoo train` reads back to exactly the same values.

    A list of `--set` could not say everything: it cannot take a value away.
    """
    sections = (f"{name} = {pprint.pformat(value, width=96, sort_dicts=False)}\n"
                for name, value in config.items())  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'"""{says}"""\n\n' + "".join(sections), encoding="utf-8")
    if not same(configs.load(path), dict(config)):
        raise AssertionError(f"{path} does not read back as the config it was written from.")
    return path


def train_all(
    runs: Iterable[Run],
    command: Command,
    *,
    jobs: int,
    threads: int,
    devices: Sequence[str] = (),
    told: Told = lambda run, what: None,
    every: float = 0.2,
) -> list[Run]:
    """Trains what is not finished; returns the runs that failed.

    jobs: trainings at once. threads: CPU threads of each; a later start must use the same, for
    sums in another order round differently. devices: CUDA devices, given out in turn. Killed at
    any moment and started again, it goes on where each run's last checkpoint is: when this
    process dies its children are told to stop, and save at the step they are at.
    """
    waiting = [run for run in runs if not run.finished]
    going: list[_Going] = []
    failed: list[Run] = []
    tries: dict[Run, int] = {}
    try:
        while waiting or going:
            while waiting and len(going) < jobs:
                run = waiting.pop(0)
                place = min(set(range(jobs)) - {g.place for g in going})
                tries[run] = tries.get(run, 0) + 1
                started = _start(run, command, place, threads, devices, told)
                if started is not None:
                    going.append(_Going(run, started, place, tries[run]))
            time.sleep(every if going else 0)
            for one in [g for g in going if g.process.poll() is not None]:
                going.remove(one)
                if one.run.finished:
                    told(one.run, "finished")
                elif one.process.returncode < 0 and one.tries < TRIES:
                    told(one.run, f"killed by signal {-one.process.returncode}; goes on")
                    waiting.insert(0, one.run)
                else:
                    told(one.run, f"failed: {last_words(one.run)}")
                    failed.append(one.run)
    finally:
        _stop(going)
    return failed


def last_words(run: Run) -> str:
    """The last line a run said."""
    if not run.log.is_file():
        return "it said nothing"
    lines = [line.strip() for line in run.log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")


def _start(
    run: Run,
    command: Command,
    place: int,
    threads: int,
    devices: Sequence[str],
    told: Told,
) -> subprocess.Popen | None:
    """The process of a run; None where an orphan of an earlier ladder finished it meanwhile."""
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(run.folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held by the child too, even when this process dies
        if run.finished:
            return None
        resume = any(run.folder.glob("iter_*.pth"))
        if not resume:
            shutil.rmtree(run.folder, ignore_errors=True)  # began, and never saved anything
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
        told(run, "goes on" if resume else "starts")
        with run.log.open("ab") as log:
            return subprocess.Popen(
                command(run, resume),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=(lock,),
                preexec_fn=_end_with_parent,
                start_new_session=True,  # what kills the ladder's group lets this one save
            )
    finally:
        os.close(lock)


def _end_with_parent() -> None:
    """Asks Linux to send the child SIGTERM, on which it saves, when the ladder dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)


def _stop(going: Sequence[_Going]) -> None:
    for one in going:
        one.process.terminate()
    for one in going:
        one.process.wait()


@dataclass
class Journal:
    """What happened to the runs, for whoever reads the ladder's folder later."""

    path: Path
    lines: list[str] = field(default_factory=list)

    def __call__(self, run: Run, what: str) -> None:
        self.lines.append(f"{run.name} seed {run.seed}: {what}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self.lines[-1] + "\n")
