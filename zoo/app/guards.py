"""Watches a training run by the laws of `zoo diagnose`, and keeps the batches that broke one."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from rich.console import Console

from benchmarks.guards import Alarm, Guards, Step
from benchmarks.run_laws import rate_factor
from zoo.app.training.hooks import TrainingDiverged
from zoo.contracts import Frame, FrameBatch, HandTarget

FOLDER = "bad_batches"


@HOOKS.register_module()
class RunGuards(Hook):
    """Says at once what a run does wrong, and writes the batch it happened on.

    A loss or gradient that is not finite is survived (the update is left out) and its batch kept;
    parameters that are not finite end the run. `zoo diagnose RUN --data BATCH` looks at a batch.

    parameters_every: steps between two looks at all parameters.
    keep: batches written at most.
    """

    def __init__(self, *, parameters_every: int = 50, keep: int = 3) -> None:
        if parameters_every < 1 or keep < 0:
            raise ValueError(
                f"custom_hooks.guards: parameters_every is {parameters_every} and keep {keep}; "
                f"they are at least 1 and 0."
            )
        self.parameters_every, self.keep = parameters_every, keep
        self.alarms: list[Alarm] = []
        self._kept = 0
        self._wait = self._ended = 0.0

    def before_train(self, runner) -> None:
        self._guards = Guards(
            runner.model.parameters(),
            parameters_every=self.parameters_every,
            skipped_updates=_skipped(runner),
        )
        self._ended = time.perf_counter()

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        self._wait = time.perf_counter() - self._ended

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        now = time.perf_counter()
        rate, expected = _rates(runner)
        step = Step(
            number=runner.iter + 1,
            terms={name: v for name, v in (outputs or {}).items() if name.startswith("loss")},
            skipped_updates=_skipped(runner),
            rate=rate,
            expected_rate=expected,
            seconds=now - self._ended,
            wait_seconds=self._wait,
        )
        self._ended = now
        for alarm in self._guards.after(step):
            self._raise(alarm, runner, data_batch)

    def before_val_epoch(self, runner) -> None:
        self._ended -= time.perf_counter()  # validation is neither a step nor waiting

    def after_val_epoch(self, runner, metrics=None) -> None:
        self._ended += time.perf_counter()

    def _raise(self, alarm: Alarm, runner, batch: Any) -> None:
        self.alarms.append(alarm)
        text = alarm.message
        if alarm.blames_batch and self._kept < self.keep:
            self._kept += 1
            file = Path(runner.work_dir) / FOLDER / f"step_{runner.iter + 1}_rank{get_rank()}.pth"
            try:
                write_batch(file, batch, alarm.message)
                text += f"; its batch is {file}"
            except OSError as error:  # a full disk must not end a run that can go on
                text += f"; its batch could not be written to {file} ({error.strerror})"
        runner.logger.warning(text)
        if alarm.fatal:
            raise TrainingDiverged(
                f"{text}. Go on from the checkpoint before it with --resume and a lower "
                f"optim_wrapper.optimizer.lr, or ask `zoo diagnose {runner.work_dir}`."
            )
        if self._kept <= self.keep and get_rank() == 0:
            Console().print(f"[yellow]guard:[/] {text}", highlight=False)


def write_batch(file: Path, batch: Any, reason: str) -> None:
    """The batch as plain tensors that load without executing anything.

    batch: a FrameBatch, or whatever else a loader of tensors yields.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    plain = dataclasses.asdict(batch) if dataclasses.is_dataclass(batch) else batch
    torch.save({"reason": reason, "batch": plain}, partial)
    os.replace(partial, file)


def read_batch(file: str | Path) -> FrameBatch:
    """A batch `write_batch` wrote; raises ValueError for another file."""
    try:
        frames = torch.load(file, weights_only=True)["batch"]["frames"]
        return FrameBatch(
            tuple(Frame(**{**frame, "label": HandTarget(**frame["label"])}) for frame in frames)
        )
    except Exception as error:  # torch raises a different class for every way a file can be wrong
        raise ValueError(
            f"{file} is no batch that training kept ({type(error).__name__}); they lie in the "
            f"folder {FOLDER} of a run."
        ) from error


def _skipped(runner) -> int:
    return getattr(runner.optim_wrapper, "skipped_steps", 0)


def _rates(runner) -> tuple[float | None, float | None]:
    """The learning rate of this step, and what the recipe says it is."""
    recipe, optimizer = runner.cfg.get("param_scheduler"), runner.cfg.get("optim_wrapper")
    rates = runner.optim_wrapper.get_lr()
    now = (rates.get("base_lr") or rates.get("lr") or [None])[0]
    if now is None or recipe is None or optimizer is None or isinstance(recipe, list):
        return None, None
    factor = rate_factor(recipe, runner.max_iters, runner.iter)
    return now, factor * optimizer["optimizer"]["lr"]
