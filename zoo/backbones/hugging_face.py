"""How backbones of transformers start: from a published name, from a folder, or from a size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from zoo.backbones.load_report import LoadReport
from zoo.backbones.pretrained import load_pretrained


@dataclass(frozen=True)
class Family:
    """One architecture of transformers, and the sizes it was published in."""

    name: str  # of the part, for messages
    model: type[PreTrainedModel]
    sizes: Mapping[str, Mapping[str, Any]]  # size -> fields of its configuration
    published: Mapping[str, str]  # Hugging Face name -> size
    published_fields: Mapping[str, Any]  # what published models have beyond their size


def start(
    family: Family,
    pretrained: str | None,
    config: str | Mapping[str, Any] | None,
    *,
    fields: Mapping[str, Any],
    always: Mapping[str, Any] | None = None,
    report: Callable[[LoadReport], None] | None = None,
) -> tuple[PreTrainedModel, LoadReport | None]:
    """The network and, with published weights, the account of them.

    config: without weights a size, a published name, or configuration fields; with weights fields
        that change none.
    fields: of a network from scratch, which `config` may overrule.
    always: fields that nothing overrules.
    report: called with the account.

    Raises PretrainedWeightsMissing and ValueError in one sentence.
    """
    if pretrained is None:
        return family.model(_from_scratch(family, config, fields, always or {})), None
    if isinstance(config, str):
        raise ValueError(
            f"{family.name} takes its size from {pretrained!r}; leave out config={config!r}, or "
            "set pretrained=None for a random start of that size."
        )
    overrides = {**(config or {}), **(always or {})}
    model, account = load_pretrained(family.model, pretrained, overrides)
    if report is not None:
        report(account)
    return model, account


def _from_scratch(
    family: Family,
    config: str | Mapping[str, Any] | None,
    fields: Mapping[str, Any],
    always: Mapping[str, Any],
) -> Any:
    if isinstance(config, str):
        if config in family.published:
            fields = {**fields, **family.published_fields}
        config = family.sizes.get(family.published.get(config, config))
    if config is None:
        raise ValueError(
            f"{family.name} with pretrained=None needs to know its size; give config as one of "
            f"{', '.join(family.sizes)}, as {list(family.published)[-1]} and so on, or as fields "
            "such as hidden_size and num_hidden_layers."
        )
    return family.model.config_class(**{**fields, **config, **always})


def keep_levels(
    name: str, network: PreTrainedModel, levels: Sequence[int] | None
) -> tuple[int, ...] | None:
    """The levels, after the network was cut behind the last of them.

    levels: hidden states to hand over, 0 the embeddings, as they are before the last norm (CS-ViT2,
        1.3); None takes the last layer's normalised tokens. Layers that nothing reads are taken
        away, for a weight without gradient breaks distributed training.

    Raises ValueError where the network has no such levels.
    """
    if levels is None:
        return None
    count = network.config.num_hidden_layers
    chosen = tuple(levels)
    if (
        not chosen
        or sorted(set(chosen)) != list(chosen)
        or not 0 <= chosen[0] <= chosen[-1] <= count
    ):
        raise ValueError(
            f"{name}'s levels are {chosen}; they are growing numbers from 0 (the embeddings) to "
            f"{count} (its last layer)."
        )
    layers = next(m for m in network.modules() if isinstance(m, nn.ModuleList) and len(m) == count)
    del layers[chosen[-1] :]
    for norm in ("layernorm", "norm"):
        if hasattr(network, norm):
            setattr(network, norm, nn.Identity())
    return chosen
