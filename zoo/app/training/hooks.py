"""What a training run does between its steps: show, count, stop cleanly, refuse nonsense."""

from __future__ import annotations

import math
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from zoo.app.machine.launch import on_any
from zoo.contracts import FrameBatch


class TrainingDiverged(RuntimeError):
    """The loss stayed non-finite; going on would only waste time."""


@HOOKS.register_module()
class ProgressiveDropout(Hook):
    """Dropout that comes late: CS-ViT2's fixed dropout had cost it its first steps.

    It acts on the head and, where there is one, on the temporal part; a neck keeps its own.

    start_step: no dropout before it; 0 with ramp="step" is fixed dropout.
    probability: of the end.
    ramp: "step" jumps at start_step (CS-ViT2), "cosine" rises from there to the last step.
    """

    def __init__(
        self,
        *,
        start_step: int,
        probability: float,
        ramp: Literal["step", "cosine"] = "step",
    ) -> None:
        if not 0 <= probability < 1 or start_step < 0:
            raise ValueError(
                f"custom_hooks.dropout: probability is {probability} and start_step {start_step}; "
                "they lie in [0, 1) and from 0 up."
            )
        if ramp not in ("step", "cosine"):
            raise ValueError(
                f"custom_hooks.dropout.ramp is {ramp!r}; it can be 'step' or 'cosine'."
            )
        self.start_step, self.probability, self.ramp = start_step, probability, ramp

    def at(self, step: int, steps: int) -> float:
        """The probability of a step, counted from 0, in a run of `steps`."""
        if step < self.start_step:
            return 0.0
        if self.ramp == "step":
            return self.probability
        progress = (step - self.start_step) / max(steps - 1 - self.start_step, 1)
        return self.probability * (1 - math.cos(math.pi * min(progress, 1.0))) / 2

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        model = getattr(runner.model, "module", runner.model)
        p = self.at(runner.iter, runner.max_iters)
        scheduled = [part for part in (model.head, model.temporal) if hasattr(part, "set_dropout")]
        if self.probability and not scheduled:
            raise ValueError(
                f"custom_hooks.dropout: {type(model.head).__name__} has no set_dropout; add it, or "
                "say --set custom_hooks.dropout.probability=0"
            )
        for part in scheduled:
            part.set_dropout(p)
        MessageHub.get_current_instance().update_scalar("train/dropout", p)


@HOOKS.register_module()
class BestCheckpoints(CheckpointHook):
    """mmengine's saving of the last and the best states, which asks for its metrics beforehand.

    A metric that is not there would otherwise end the run at its first validation, hours later.
    """

    def before_train(self, runner) -> None:
        measured = [name for m in runner.val_evaluator.metrics for name in getattr(m, "names", ())]
        absent = [name for name in self.key_indicators or () if name not in measured]
        if absent:
            raise ValueError(
                f"default_hooks.checkpoint.save_best: {absent[0]} is not measured; "
                f"evaluation.metrics gives {', '.join(measured)}."
            )
        super().before_train(runner)


class SkippedSamples(Hook):
    """Counts the samples the stream had to leave out, by reason, for the summary and run.json."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def before_train_iter(self, runner, batch_idx: int, data_batch: FrameBatch = None) -> None:
        self.add(data_batch)

    def before_val_iter(self, runner, batch_idx: int, data_batch: FrameBatch = None) -> None:
        self.add(data_batch)

    def add(self, batch: FrameBatch) -> None:
        for sample in batch.skipped:
            self.reasons[sample.reason] += 1
            self.examples.setdefault(sample.reason, f"{sample.shard}: {sample.key}")

    def summary(self) -> dict[str, Any]:
        """JSON-ready: {reason: {count, example}}."""
        return {
            reason: {"count": count, "example": self.examples[reason]}
            for reason, count in self.reasons.most_common()
        }


class FiniteLoss(Hook):
    """Stops a run whose loss was non-finite for `patience` steps running.

    A single non-finite step is survived: CheckedOptimWrapper skips its update.
    """

    def __init__(self, *, patience: int = 20) -> None:
        self.patience, self.running = patience, 0

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.running = 0 if torch.isfinite(outputs["loss"]).all() else self.running + 1
        if self.running >= self.patience:
            bad = [k for k, v in outputs.items() if not torch.isfinite(torch.as_tensor(v)).all()]
            raise TrainingDiverged(
                f"step {runner.iter}: the loss was not finite for {self.patience} steps running "
                f"(terms: {', '.join(bad)}). Lower optim_wrapper.optimizer.lr, train with "
                f"--precision fp32, or look at the data with `zoo data check`."
            )


class CleanStop(Hook):
    """SIGINT and SIGTERM end the run after the current step, with a checkpoint.

    A second signal falls through to Python's own handling.
    """

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self.caught: int | None = None
        self.stopped = False  # this process, or another one of the run, was asked to end
        self._previous: dict[int, Any] = {}

    def before_train(self, runner) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._catch)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.stopped = on_any(self.caught is not None)  # all processes end at the same step
        if self.stopped and not runner.train_loop.stop_training:
            name = f"iter_{runner.iter + 1}.pth"
            runner.save_checkpoint(
                runner.work_dir,
                name,
                meta={"epoch": runner.epoch, "iter": runner.iter + 1},
                by_epoch=False,
                backend_args={"backend": "atomic"},
            )
            runner.train_loop.stop_training = True

    def after_train(self, runner) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame) -> None:
        self.caught = number
        signal.signal(number, self._previous[number])


def per_second(rate: float) -> str:
    """A speed in as many digits as it needs."""
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"


class _BarAndTerms(Progress):
    """A bar, and under it the loss terms, for which no terminal is wide enough beside it."""

    terms = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.terms, style="dim")


class LiveProgress(Hook):
    """A progress bar with loss terms, samples/s and time left; plain lines when piped."""

    priority = "LOW"

    def __init__(self, *, console: Console, plain_every: float = 20.0) -> None:
        self.console, self.plain_every = console, plain_every
        self.steps, self.samples, self.seconds = 0, 0, 0.0  # of this process, not before a resume
        self.wait_seconds = 0.0
        self.bar: Progress | None = None
        self._mark = self._last_plain = self._step_end = 0.0

    def before_train(self, runner) -> None:
        self.bar = _BarAndTerms(
            TextColumn("[bold]training[/]"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} samples/s"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(
            "train", total=runner.max_iters, completed=runner.iter, rate="0"
        )
        self.bar.start()
        self._mark = self._last_plain = self._step_end = time.perf_counter()

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        self.wait_seconds += time.perf_counter() - self._step_end

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: FrameBatch = None, outputs=None
    ) -> None:
        now = time.perf_counter()
        self.steps += 1
        self.samples += len(data_batch)
        self.seconds += now - self._mark
        self._mark = self._step_end = now
        rate = self.samples / max(self.seconds, 1e-9)
        terms = "  ".join(
            f"{name.removeprefix('loss_')} {value.item():.3g}"
            for name, value in outputs.items()
            if name.startswith("loss")
        )
        self.bar.terms = terms
        self.bar.update(self.task, completed=runner.iter + 1, rate=per_second(rate))
        if not self.console.is_terminal and now - self._last_plain > self.plain_every:
            self._last_plain = now
            left = (runner.max_iters - runner.iter - 1) * self.seconds / self.steps
            self.console.print(
                f"step {runner.iter + 1}/{runner.max_iters}  {per_second(rate)} samples/s  "
                f"{left / 60:.1f} min left  {terms}",
                highlight=False,
            )

    def before_val_epoch(self, runner) -> None:
        self.seconds += time.perf_counter() - self._mark

    def after_val_epoch(self, runner, metrics=None) -> None:
        self._mark = self._step_end = time.perf_counter()
        shown = "  ".join(f"{k} {v:.1f}" for k, v in (metrics or {}).items() if "/" not in k)
        self.console.print(f"[dim]validation at step {runner.iter}:[/] {shown}", highlight=False)

    def after_train(self, runner) -> None:
        self.close()

    def close(self) -> None:
        """Gives the terminal back, also after an error."""
        if self.bar is not None:
            self.bar.stop()

    @property
    def samples_per_second(self) -> float:
        return self.samples / max(self.seconds, 1e-9)
