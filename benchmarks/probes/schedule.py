"""Does the learning rate do over the budget what its author believes?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.probes.config import recipe
from benchmarks.subject import Subject
from registry.layout import at
from zoo.contracts import Finding

RATES = {"AdamW": (1e-7, 1e-2), "Adam": (1e-7, 1e-2), "SGD": (1e-5, 10.0)}
LONG_WARMUP = 0.5  # of the budget
MOST_DECAY = 5.0  # rate x decay x steps; healthy recipes stay below 1
MOST_STALE = 0.1  # of the weights that are judged: what an average may keep of the start's


class Schedule:
    """The learning rate over the whole budget, computed step by step.

    CS-ViT2's schedule ran as many times too fast as there were GPUs and rose again behind its end
    (P-12).
    """

    id: ClassVar[str] = "config.schedule"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = (
        "The rate warms up early in the budget, never rises again, stays where its optimiser "
        "learns; what counts steps happens within the budget, and an average forgets the start."
    )
    see: ClassVar[str] = "docs/probes.md#config-schedule"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Rates and milestones that the budget never reaches, or passes twice."""
        config = recipe(subject)
        steps = at(config, "train_cfg.max_iters")
        if not steps:
            raise Unrunnable("the recipe has no budget (train_cfg.max_iters)")
        warmup = at(config, "param_scheduler.warmup") or 0
        cycles = at(config, "param_scheduler.cycles", 0.5)
        rate = at(config, "optim_wrapper.optimizer.lr") or 0.0
        curve = [rate * factor(i / 200 * steps, steps, warmup, cycles) for i in range(201)]
        findings = [
            *self._shape(curve, steps, warmup, cycles),
            *self._rate(config, rate),
            *self._milestones(config, steps),
            *self._averages(config, steps),
        ]
        return ProbeResult(tuple(findings), {"rate": curve, "steps": steps, "warmup": warmup})

    def _shape(
        self, curve: list[float], steps: int, warmup: int, cycles: float
    ) -> Iterator[Finding]:
        if warmup > LONG_WARMUP * steps:
            late = warmup >= steps
            yield Finding(
                f"{self.id}/warmup",
                "error" if late else "warning",
                "param_scheduler.warmup",
                f"The warm-up takes {warmup} of {steps} steps"
                + ("; the full rate is never reached." if late else "."),
                {"warmup": warmup, "steps": steps},
                (f"param_scheduler.warmup={max(1, steps // 20)}",),
            )
        after = curve[math.ceil(200 * warmup / steps) + 1 :]
        rise = max((b - a for a, b in itertools.pairwise(after)), default=0.0)
        if rise > 1e-3 * max(curve):
            yield Finding(
                f"{self.id}/rises",
                "error",
                "param_scheduler.cycles",
                f"After its warm-up the rate rises again: {cycles:g} cosine periods are more than "
                f"half a one.",
                {"cycles": cycles, "rise": rise},
                ("param_scheduler.cycles=0.5",),
            )

    def _rate(self, config: Mapping[str, Any], rate: float) -> Iterator[Finding]:
        low, high = RATES.get(str(at(config, "optim_wrapper.optimizer.type")), (0.0, math.inf))
        if not low <= rate <= high:
            yield Finding(
                f"{self.id}/rate",
                "error" if rate <= 0 else "warning",
                "optim_wrapper.optimizer.lr",
                f"A rate of {rate:g} is outside [{low:g}, {high:g}], where this optimiser learns.",
                {"lr": rate},
            )
        decay = at(config, "optim_wrapper.optimizer.weight_decay") or 0.0
        erased = rate * decay * (at(config, "train_cfg.max_iters") or 0)
        if erased > MOST_DECAY:
            yield Finding(
                f"{self.id}/decay",
                "warning",
                "optim_wrapper.optimizer.weight_decay",
                f"Decay alone shrinks every weight by exp(-{erased:.0f}) over the budget.",
                {"weight_decay": decay, "exponent": erased},
            )
        yield from self._rules(config, erased)

    def _rules(self, config: Mapping[str, Any], erased: float) -> Iterator[Finding]:
        """Rates and decays of single parts; `erased` is the exponent of what has no rule."""
        for key, rule in (at(config, "optim_wrapper.paramwise_cfg.custom_keys") or {}).items():
            path = f"optim_wrapper.paramwise_cfg.custom_keys.{key}"
            share = rule.get("lr_mult", 1.0)
            if share < 0 or share > 100:
                yield Finding(
                    f"{self.id}/rate",
                    "error",
                    f"{path}.lr_mult",
                    f"A rate times {share:g} is no rate.",
                    {"lr_mult": share},
                )
            exponent = erased * share * rule.get("decay_mult", 1.0)
            if exponent > MOST_DECAY >= erased:
                yield Finding(
                    f"{self.id}/decay",
                    "warning",
                    f"{path}.decay_mult" if "decay_mult" in rule else path,
                    f"Decay alone shrinks every weight of {key} by exp(-{exponent:.0f}) over the "
                    "budget.",
                    {"decay_mult": rule.get("decay_mult", 1.0), "exponent": exponent},
                )

    def _milestones(self, config: Mapping[str, Any], steps: int) -> Iterator[Finding]:
        told = {
            "train_cfg.val_interval": "no validation is run",
            "default_hooks.checkpoint.interval": "no checkpoint but the last is written",
        }
        for path, what in told.items():
            value = at(config, path)
            if value and value > steps:
                yield Finding(
                    f"{self.id}/never",
                    "warning",
                    path,
                    f"{path} is {value}, beyond the budget of {steps} steps: {what}.",
                    {"value": value, "steps": steps},
                    (f"{path}={max(1, steps // 4)}",),
                )
        for name, hook in (at(config, "custom_hooks") or {}).items():
            begins = hook.get("start_step", 0) if isinstance(hook, Mapping) else 0
            if begins >= steps and hook.get("probability"):
                yield Finding(
                    f"{self.id}/never",
                    "warning",
                    f"custom_hooks.{name}.start_step",
                    f"custom_hooks.{name} starts at step {begins}, after the last ({steps}).",
                    {"value": begins, "steps": steps},
                )

    def _averages(self, config: Mapping[str, Any], steps: int) -> Iterator[Finding]:
        """Averages of weights, which are what is judged, that never move or average nothing."""
        for name, hook in (at(config, "custom_hooks") or {}).items():
            if not isinstance(hook, Mapping) or not str(hook.get("type")).endswith("EMAHook"):
                continue
            if "EMA" in str(hook.get("ema_type", "")):
                continue  # another rule than the exponential one
            momentum, begins = hook.get("momentum", 0.0002), hook.get("begin_iter", 0)
            updates = max(0, steps - begins) // hook.get("interval", 1)
            stale = max(0.0, 1.0 - momentum) ** updates
            numbers = {"momentum": momentum, "updates": updates, "of_the_start": stale}
            path = f"custom_hooks.{name}"
            if stale > MOST_STALE:
                text = f"is judged although {stale:.0%} of it are the weights of the start"
                path = f"{path}.begin_iter" if begins >= steps else f"{path}.momentum"
                severity = "error" if stale > 0.5 else "warning"
                yield self._average(path, "stale", severity, text, numbers, 10 / steps)
            elif momentum > 0.5:
                text = f"keeps {1 - momentum:.2g} of what it was, so it averages next to nothing"
                path = f"{path}.momentum"
                yield self._average(path, "none", "warning", text, numbers, 1 - momentum)

    def _average(
        self, path: str, kind: str, severity: Any, text: str, numbers: dict[str, float], to: float
    ) -> Finding:
        message = (
            f"The average of the weights {text}: momentum is the share of the new weights in every "
            "update, and one that is not updated within the budget is never trained."
        )
        fix = (f"{path}={to:.2g}",) if path.endswith("momentum") and 0 < to < 0.5 else ()
        return Finding(f"{self.id}/average-{kind}", severity, path, message, numbers, fix)


def factor(step: float, steps: int, warmup: int, cycles: float) -> float:
    """What the rate is multiplied with: a linear warm-up, then (1 + cos(2 pi cycles p)) / 2."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(2 * math.pi * cycles * progress))
