"""Does the recipe say what its author believes, and does each of its numbers act?"""

from __future__ import annotations

import inspect
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
        config = recipe(subject)
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
        config = recipe(subject)
        return ProbeResult((*self._model(config), *self._choice(config), *self._data(config)))

    def _model(self, config: Mapping[str, Any]) -> Iterator[Finding]:
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
        width = (at(config, "augmentation.crop.size") or (0, 0))[1]
        for name, term in (at(config, "model.losses") or {}).items():
            said = term.get("crop_width") if isinstance(term, Mapping) else None
            if said and width and said != width:
                yield self._warning(
                    f"model.losses.{name}.crop_width",
                    f"model.losses.{name} divides by {said} px, but the crop is {width} px wide.",
                    (f"model.losses.{name}.crop_width={width}",),
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


def recipe(subject: Subject) -> Mapping[str, Any]:
    """The subject's config; raises Unrunnable where it has none."""
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
