"""The laws of a run, held to while it runs: what is checked after each step of any loop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.run_laws import RATE_OFF, WAIT

Kind = Literal["loss", "gradient", "parameters", "rate", "wait"]


@dataclass(frozen=True)
class Alarm:
    """A law broken at a step."""

    kind: Kind
    message: str

    @property
    def fatal(self) -> bool:
        """Nothing after it can be trusted."""
        return self.kind == "parameters"

    @property
    def blames_batch(self) -> bool:
        """The batch of this step belongs into the evidence."""
        return self.kind in ("loss", "gradient", "parameters")


@dataclass(frozen=True)
class Step:
    """What one training step left to look at."""

    number: int  # from 1
    terms: Mapping[str, Tensor | float]  # weighted loss terms
    skipped_updates: int  # so far, because a gradient was not finite
    rate: float | None = None
    expected_rate: float | None = None
    seconds: float = 0.0
    wait_seconds: float = 0.0


class Guards:
    """Finite loss, gradient and parameters; the rate on schedule; little waiting for data.

    parameters_every: steps between two looks at all parameters, which cost a pass over memory.
    wait_window: steps over which the share of waiting is taken; the first is a warm-up.
    skipped_updates: those of an earlier part of the run.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        parameters_every: int = 50,
        wait_window: int = 200,
        skipped_updates: int = 0,
    ) -> None:
        self.parameters = list(parameters)
        self.parameters_every, self.wait_window = parameters_every, wait_window
        self._skipped = skipped_updates
        self._seconds, self._waited, self._seen = 0.0, 0.0, 0
        self._said: set[Kind] = set()

    def after(self, step: Step) -> Iterator[Alarm]:
        """The laws this step broke; of rate and waiting only the first time."""
        if bad := [name for name, value in step.terms.items() if not _finite(value)]:
            yield Alarm("loss", f"step {step.number}: {', '.join(bad)} is not finite")
        elif step.skipped_updates > self._skipped:
            message = f"step {step.number}: a gradient was not finite, the update was left out"
            yield Alarm("gradient", message)
        self._skipped = step.skipped_updates
        if step.number % self.parameters_every == 0:
            yield from self._parameters(step)
            yield from self._once(self._rate(step))
        yield from self._once(self._wait(step))

    def _parameters(self, step: Step) -> Iterator[Alarm]:
        if not self.parameters or _finite(_norm(self.parameters)):
            return
        message = f"step {step.number}: the model's own parameters are not finite any more"
        yield Alarm("parameters", message)

    def _rate(self, step: Step) -> Iterator[Alarm]:
        if step.rate is None or not step.expected_rate:
            return
        if abs(step.rate - step.expected_rate) > RATE_OFF * step.expected_rate:
            message = f"step {step.number}: the learning rate is {step.rate:.3g}, the schedule "
            yield Alarm("rate", message + f"says {step.expected_rate:.3g}")

    def _wait(self, step: Step) -> Iterator[Alarm]:
        self._seen += 1
        if self._seen <= self.wait_window:
            return
        self._seconds += step.seconds
        self._waited += step.wait_seconds
        if self._seen == 2 * self.wait_window:
            share = self._waited / max(self._seconds, 1e-9)
            if share > WAIT:
                message = f"{share:.0%} of the time is spent waiting for data (data.num_workers)"
                yield Alarm("wait", message)

    def _once(self, alarms: Iterable[Alarm]) -> Iterator[Alarm]:
        for alarm in alarms:
            if alarm.kind not in self._said:
                self._said.add(alarm.kind)
                yield alarm


@torch.no_grad()
def _norm(parameters: list[nn.Parameter]) -> Tensor:
    return torch.nn.utils.get_total_norm(parameters)


def _finite(value: Tensor | float) -> bool:
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    return math.isfinite(value)
