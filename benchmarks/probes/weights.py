"""Laws of weights: what was to be loaded is there, and whatever learns is known to be a weight."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject, component
from registry.layout import at
from zoo.contracts import Finding

COMPLETE = 0.99  # share of a module's weights that a checkpoint has to bring
UNTRAINED = 0.9  # share of norms that are exactly one and zero in a network never trained
WILD = 1e3
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d, nn.BatchNorm1d)


class Loaded:
    """A checkpoint fills every module, and changes it.

    Causes: key prefixes ("module."), a part's checkpoint, non-strict loading (P-42), weights saved
    before they were trained.
    """

    id: ClassVar[str] = "weights.loaded"
    family: ClassVar[str] = "weights"
    law: ClassVar[str] = "A checkpoint brings every weight of the model, and loading changes it."
    see: ClassVar[str] = "docs/probes.md#weights-loaded"

    def __call__(self, subject: Subject) -> ProbeResult:
        if subject.checkpoint is None:
            raise Unrunnable("no checkpoint was given")
        content = torch.load(subject.checkpoint, map_location="cpu", weights_only=True)
        found = content.get("state_dict", content)
        model = {
            key: value
            for key, value in subject.model.state_dict().items()
            if not key.startswith("data_preprocessor.")
        }
        modules = _matched(model, found)
        evidence: dict[str, Any] = {
            "matched": {name: f"{good} of {total}" for name, (good, total) in modules.items()}
        }
        findings = list(self._missing(modules, model, found))
        findings += self._as_new(subject, model, evidence)
        return ProbeResult(tuple(findings), evidence)

    def _missing(
        self,
        modules: Mapping[str, tuple[int, int]],
        model: Mapping[str, Tensor],
        found: Mapping[str, Tensor],
    ) -> Iterator[Finding]:
        foreign = [key for key in found if key not in model]
        for name, (good, total) in modules.items():
            if good < COMPLETE * total:
                yield Finding(
                    id=f"{self.id}/missing",
                    severity="error",
                    path=f"model.{name}",
                    message=f"The checkpoint brings {good} of {total} weights of {name}; the "
                    f"others are as they were initialised. It holds {len(foreign)} weights this "
                    f"model has no place for{f', such as {foreign[0]}' if foreign else ''}.",
                    evidence={"matched": good, "wanted": total, "priority": 0},
                )

    def _as_new(
        self, subject: Subject, model: Mapping[str, Tensor], evidence: dict[str, Any]
    ) -> Iterator[Finding]:
        if subject.config is None and subject.make_model is None:
            return
        fresh = subject.fresh_model().state_dict()
        changed: dict[str, list[bool]] = defaultdict(list)
        for key, value in subject.model.named_parameters():
            if value.requires_grad:
                changed[key.split(".")[0]].append(not torch.equal(value, fresh[key]))
        evidence["changed"] = {name: sum(them) for name, them in changed.items()}
        for name, them in changed.items():
            if not any(them):
                yield Finding(
                    id=f"{self.id}/as-new",
                    severity="error",
                    path=f"model.{name}",
                    message=f"With the checkpoint all {len(them)} trainable weights of {name} are "
                    "as a new model has them: nothing was loaded, or nothing was learned.",
                    evidence={"weights": len(them), "changed": 0, "priority": 0},
                )


class Pretrained:
    """A backbone that is to be pretrained, or is frozen, has been trained.

    A network that was trained has no norm that is exactly one and zero. Causes: a download that
    fails in silence (UTNet R6, HaMeR issue 24), a frozen backbone that was never loaded.
    """

    id: ClassVar[str] = "weights.pretrained"
    family: ClassVar[str] = "weights"
    law: ClassVar[str] = "A backbone that is called pretrained, or frozen, is not a random one."
    see: ClassVar[str] = "docs/probes.md#weights-pretrained"

    def __call__(self, subject: Subject) -> ProbeResult:
        backbone = getattr(subject.model, "backbone", None)
        if backbone is None:
            raise Unrunnable("the model has no backbone")
        asked = at(subject.config or {}, "model.backbone.pretrained")
        parameters = list(backbone.parameters())
        frozen = bool(parameters) and not any(p.requires_grad for p in parameters)
        if not asked and not frozen:
            raise Unrunnable("the config asks for no pretrained weights, and nothing is frozen")
        if not asked and "backbone" in (at(subject.config or {}, "model.frozen") or ()):
            raise Unrunnable(
                "the backbone is frozen as an earlier run left it; give its checkpoint"
            )
        norms, fresh = norms_of(backbone)
        report = getattr(backbone, "load_report", None)
        fraction = None if report is None else float(report.fraction)
        numbers = {"asked": str(asked), "frozen": frozen, "norms": norms}
        numbers |= {"norms never trained": fresh}
        numbers |= {"loaded": "not told" if fraction is None else fraction}
        untrained = norms > 0 and fresh >= UNTRAINED * norms
        unloaded = norms == 0 and not fraction
        if subject.checkpoint is not None or not (untrained or unloaded):
            return ProbeResult((), numbers)
        why = (
            f"all {fresh} of its {norms} normalisation layers are exactly as initialised"
            if untrained
            else "nothing says that a weight was loaded"
        )
        called = f"asked for as {asked!r}" if asked else "frozen"
        finding = Finding(
            id=f"{self.id}/random",
            severity="error",
            path="model.backbone",
            message=f"The backbone is {called}, but it is random: {why}.",
            evidence={**numbers, "priority": 0},
            fix=() if asked else ("model.backbone.frozen=False",),
        )
        return ProbeResult((finding,), numbers)


class Known:
    """Everything that could learn is a registered weight.

    Causes: layers in a Python list or dict. Fix: nn.ModuleList, nn.ModuleDict,
    nn.ParameterList.
    """

    id: ClassVar[str] = "weights.registered"
    family: ClassVar[str] = "weights"
    law: ClassVar[str] = "Every layer of the model is in its state dict and before its optimiser."
    see: ClassVar[str] = "docs/probes.md#weights-registered"

    def __call__(self, subject: Subject) -> ProbeResult:
        known = {id(p) for p in subject.model.parameters()}
        known |= {id(m) for m in subject.model.modules()}
        findings = []
        lost = list(_unregistered(subject.model, known))
        for place, count in lost:
            findings.append(
                Finding(
                    id=f"{self.id}/hidden",
                    severity="error",
                    path=component(place),
                    message=f"{place} holds {count} weights in a plain list or dict: no optimiser "
                    "trains them and no checkpoint keeps them. Use nn.ModuleList or "
                    "nn.ParameterList.",
                    evidence={"weights": count, "place": place, "priority": 0},
                )
            )
        return ProbeResult(tuple(findings), {"hidden": len(lost)})


class Sound:
    """Weights are finite numbers of a sane size.

    Causes: a step on a gradient that was not finite (P-01), a learning rate far too high.
    """

    id: ClassVar[str] = "weights.finite"
    family: ClassVar[str] = "weights"
    law: ClassVar[str] = "Every weight is finite and below a thousand."
    see: ClassVar[str] = "docs/probes.md#weights-finite"

    def __call__(self, subject: Subject) -> ProbeResult:
        worst: dict[str, float] = defaultdict(float)
        broken: Counter[str] = Counter()
        for name, parameter in subject.model.named_parameters():
            root = component(name)
            broken[root] += int((~parameter.isfinite()).sum())
            if parameter.numel():
                worst[root] = max(worst[root], float(parameter.detach().abs().nan_to_num().amax()))
        findings = []
        for root, largest in worst.items():
            if broken[root] or largest > WILD:
                what = f"{broken[root]} numbers that are not finite" if broken[root] else ""
                what = what or f"a weight of {largest:.3g}"
                findings.append(
                    Finding(
                        id=f"{self.id}/{'nan' if broken[root] else 'wild'}",
                        severity="error" if broken[root] else "warning",
                        path=root,
                        message=f"{root} has {what}.",
                        evidence={"not_finite": broken[root], "largest": largest, "priority": 0},
                    )
                )
        return ProbeResult(tuple(findings), {"largest": dict(worst)})


def norms_of(module: nn.Module) -> tuple[int, int]:
    """How many normalisation layers there are, and how many are exactly as initialised."""
    norms = [m for m in module.modules() if isinstance(m, _NORMS) and m.weight is not None]
    fresh = sum(bool((m.weight == 1).all()) and not bool(m.bias.any()) for m in norms)
    return len(norms), fresh


def _matched(
    model: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> dict[str, tuple[int, int]]:
    """By module: how many of its weights a file brings in the right shape, and how many it has."""
    total, good = Counter(), Counter()
    for key, value in model.items():
        name = key.split(".")[0]
        total[name] += 1
        good[name] += key in found and found[key].shape == value.shape
    return {name: (good[name], total[name]) for name in total}


def _unregistered(model: nn.Module, known: set[int]) -> Iterator[tuple[str, int]]:
    """Modules and parameters that stand in plain attributes, lists or dicts, and where."""
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in ("_modules", "_parameters", "_buffers"):
                continue
            items = value.values() if isinstance(value, dict) else value
            items = list(items) if isinstance(items, list | tuple | type({}.values())) else [items]
            count = sum(_weights(item, known) for item in items)
            if count:
                yield f"{path}.{name}".lstrip("."), count


def _weights(item: Any, known: set[int]) -> int:
    if isinstance(item, nn.Parameter):
        return item.numel() * (id(item) not in known)
    if isinstance(item, nn.Module) and id(item) not in known:
        return sum(p.numel() for p in item.parameters() if id(p) not in known and p.requires_grad)
    return 0
