"""Does the recipe say what its author believes, and does each of its numbers act?"""

from __future__ import annotations

import inspect
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject
from registry.check import problems
from registry.layout import at
from registry.slot import nearest
from zoo.contracts import Finding

RATES = {"AdamW": (1e-7, 1e-2), "Adam": (1e-7, 1e-2), "SGD": (1e-5, 10.0)}
LONG_WARMUP = 0.5  # of the budget
GROWING = ("pck", "auc", "f_score", "accuracy")  # metrics that are better when larger


class Keys:
    """Keys nobody reads, and names that match nothing.

    A misspelt key (heatmap_resulotion, P-09) leaves a default in place; a rule for learning rates
    whose name matches no parameter gives every parameter the same rate.
    """

    id: ClassVar[str] = "config.keys"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = "Every key of the recipe is read, and every name in it names something."
    see: ClassVar[str] = "docs/probes.md#config-keys"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Unknown keys, optimiser arguments, and rules without a parameter."""
        config = _config(subject)
        findings = [self._finding("unknown", _path_in(text), text) for text in problems(config)]
        findings += self._optimizer(config)
        names = [name for name, _ in subject.model.named_parameters()]
        for key in at(config, "optim_wrapper.paramwise_cfg.custom_keys") or {}:
            if not any(key in name for name in names):
                tops = sorted({name.split(".")[0] for name in names})
                findings.append(
                    self._finding(
                        "no-parameter",
                        f"optim_wrapper.paramwise_cfg.custom_keys.{key}",
                        f"No parameter has {key!r} in its name, so its rule does nothing."
                        f"{nearest(key, tops)}",
                    )
                )
        return ProbeResult(tuple(findings), {"keys": _count(config)})

    def _optimizer(self, config: Mapping[str, Any]) -> Iterator[Finding]:
        spec = at(config, "optim_wrapper.optimizer") or {}
        kind = getattr(torch.optim, str(spec.get("type", "AdamW")), None)
        if kind is None:
            return
        known = [*inspect.signature(kind).parameters, "type"]
        for key in spec:
            if key not in known:
                yield self._finding(
                    "optimizer",
                    f"optim_wrapper.optimizer.{key}",
                    f"{spec['type']} takes no {key!r}.{nearest(key, known)}",
                )

    def _finding(self, name: str, path: str, message: str) -> Finding:
        return Finding(f"{self.id}/{name}", "error", path, message)


class Schedule:
    """The learning rate over the whole budget, computed step by step.

    CS-ViT2's schedule ran as many times too fast as there were GPUs and rose again behind its end
    (P-12).
    """

    id: ClassVar[str] = "config.schedule"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = (
        "The rate warms up early in the budget, never rises again, stays where its optimiser "
        "learns; what counts steps happens within the budget."
    )
    see: ClassVar[str] = "docs/probes.md#config-schedule"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Rates and milestones that the budget never reaches, or passes twice."""
        config = _config(subject)
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
        for key, rule in (at(config, "optim_wrapper.paramwise_cfg.custom_keys") or {}).items():
            share = rule.get("lr_mult", 1.0)
            if share < 0 or share > 100:
                yield Finding(
                    f"{self.id}/rate",
                    "error",
                    f"optim_wrapper.paramwise_cfg.custom_keys.{key}.lr_mult",
                    f"A rate times {share:g} is no rate.",
                    {"lr_mult": share},
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


class Contradictions:
    """Settings that are each fine and cancel each other.

    CS-ViT2's history has several switches that another one made inert (P-29).
    """

    id: ClassVar[str] = "config.contradictions"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = "No setting is cancelled by another one."
    see: ClassVar[str] = "docs/probes.md#config-contradictions"

    def __call__(self, subject: Subject) -> ProbeResult:
        """Pairs of settings of which one does nothing."""
        config = _config(subject)
        return ProbeResult((*self._head(config), *self._choice(config), *self._data(config)))

    def _head(self, config: Mapping[str, Any]) -> Iterator[Finding]:
        steps = at(config, "model.head.steps", 1)
        if at(config, "model.supervise_earlier") and steps == 1:
            yield self._warning(
                "model.supervise_earlier",
                "Earlier steps are supervised, but the head takes one step (model.head.steps=1).",
            )
        if steps > 1 and at(config, "model.head.query") == "zero":
            yield self._warning(
                "model.head.query",
                f"The head takes {steps} steps, but its query never sees the estimate: every step "
                "makes the same correction.",
                ("model.head.query=estimate",),
            )
        limit = at(config, "optim_wrapper.clip_grad.max_norm")
        if limit is not None and limit <= 0:
            yield self._warning("optim_wrapper.clip_grad.max_norm", "Clipping to 0 stops training.")

    def _choice(self, config: Mapping[str, Any]) -> Iterator[Finding]:
        """The best checkpoint is chosen by a metric that is computed, in its own direction."""
        saving = at(config, "default_hooks.checkpoint") or {}
        metrics = {n: m for n, m in (at(config, "evaluation.metrics") or {}).items() if m}
        chosen, rule = saving.get("save_best"), saving.get("rule")
        names = [chosen] if isinstance(chosen, str) else list(chosen or ())
        rules = [rule] * len(names) if isinstance(rule, str) else list(rule or ())
        path = "default_hooks.checkpoint"
        for name in names:
            if metrics and not any(name.startswith(key) for key in metrics) and name != "auto":
                yield self._warning(
                    f"{path}.save_best",
                    f"The best checkpoint is chosen by {name}, which no metric of the recipe "
                    f"computes.{nearest(name, metrics)}",
                )
        for name, direction in zip(names, rules, strict=False):
            wanted = "greater" if name.startswith(GROWING) else "less"
            if direction != wanted:
                yield self._warning(
                    f"{path}.rule",
                    f"{name} is better when it is {wanted}, but the rule keeps the "
                    f"{'worst' if direction else 'unnamed'} ({direction!r}).",
                    (f"{path}.rule={wanted}",),
                )

    def _data(self, config: Mapping[str, Any]) -> Iterator[Finding]:
        train, val = at(config, "data.train.shards"), at(config, "data.val.shards")
        shared = set(_listed(train)) & set(_listed(val))
        if shared:
            yield Finding(
                f"{self.id}/leak",
                "error",
                "data.val.shards",
                f"Validation reads what training reads: {sorted(shared)[0]}.",
                {"shared": len(shared)},
            )

    def _warning(self, path: str, message: str, fix: tuple[str, ...] = ()) -> Finding:
        return Finding(f"{self.id}/{path.rpartition('.')[2]}", "warning", path, message, {}, fix)


def factor(step: float, steps: int, warmup: int, cycles: float) -> float:
    """What the rate is multiplied with: a linear warm-up, then (1 + cos(2 pi cycles p)) / 2."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(2 * math.pi * cycles * progress))


def _config(subject: Subject) -> Mapping[str, Any]:
    if subject.config is None:
        raise Unrunnable("a model of your own has no recipe to read")
    return subject.config


def _path_in(problem: str) -> str:
    """The config path a problem's sentence points at."""
    found = re.findall(r"\(([a-z_]\w*(?:\.\w+)+)\)", problem)
    if found:
        return found[-1]
    word = problem.split()[0]
    return word if "." in word or word in ("data", "model", "augmentation") else "config"


def _count(value: Any) -> int:
    return sum(map(_count, value.values())) if isinstance(value, Mapping) else 1


def _listed(shards: Any) -> list[str]:
    if shards is None:
        return []
    return [shards] if isinstance(shards, str) else [str(shard) for shard in shards]
