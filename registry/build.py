"""Turns a checked config into built parts, telling each what only its neighbours know."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from registry.catalog import SLOTS
from registry.check import part_problems, title
from registry.fit import (
    IncompatibleParts,
    check_camera_is_taught,
    check_crop_fits_backbone,
    check_hooks_fit_head,
    check_losses_fit_head,
    check_neck_keeps_width,
    check_query_width,
    neighbour_named,
)
from registry.layout import NAMED_PARTS, SINGLE_PARTS, Place, at
from registry.slot import Slot
from zoo.contracts import (
    Backbone,
    Head,
    LossTerm,
    Metric,
    Neck,
    PixelAugmentation,
    Temporal,
    ViewAugmentation,
)
from zoo.mano import files
from zoo.mano.layer import ManoLayer

__all__ = [
    "BadPart",
    "IncompatibleParts",
    "ModelParts",
    "PreprocessParts",
    "build_hand",
    "build_metrics",
    "build_model_parts",
    "build_part",
    "build_preprocess_parts",
    "query_width",
]

_QUERY_WIDTHS = ("query_dim", "dim")  # what heads call the width of the query they decode


class BadPart(ValueError):
    """A part that its config cannot build, or that does not keep its slot's contract."""


@dataclass(frozen=True)
class ModelParts:
    """What `zoo.model.HandMeshModel` is made of."""

    hand: ManoLayer
    backbone: Backbone
    head: Head
    neck: Neck | None = None
    temporal: Temporal | None = None
    losses: dict[str, LossTerm] = field(default_factory=dict)


@dataclass(frozen=True)
class PreprocessParts:
    """What `zoo.preprocess.Preprocess` is made of."""

    crop: Any
    view_augmentations: dict[str, ViewAugmentation]
    pixel_augmentations: dict[str, PixelAugmentation]


def build_model_parts(config: Mapping[str, Any]) -> ModelParts:
    """The parts of a config's model, fitted together.

    Raises BadPart for a part its config cannot build, IncompatibleParts for parts that do not fit.
    """
    crop_size = at(config, "augmentation.crop.size")
    facts: dict[str, Any] = {"hand": build_hand(config)}
    if crop_size is not None:
        facts |= {"crop_size": tuple(crop_size), "crop_width": crop_size[1]}
    backbone = _single(config, "model.backbone", {**facts, "image_size": crop_size})
    check_crop_fits_backbone(crop_size, backbone)
    facts |= _backbone_facts(backbone)
    neck = _neck(config, facts)
    check_neck_keeps_width(backbone, neck)
    width = query_width(config, backbone.token_dim)
    camera = _single(config, "model.head.camera", {**facts, "query_dim": width, "dim": width})
    head = _single(config, "model.head", facts, camera=camera)
    facts["query_dim"] = head.query_dim
    temporal = _single(config, "model.temporal", facts)
    check_query_width(config, width, head, temporal)
    losses = _supervised(config, _named(config, "model.losses", facts))
    check_losses_fit_head(head, losses, camera)
    check_camera_is_taught(camera, losses)
    check_hooks_fit_head(config, head, temporal)
    return ModelParts(facts["hand"], backbone, head, neck, temporal, losses)


def build_preprocess_parts(
    config: Mapping[str, Any], *, image_size: tuple[int, int] | None = None
) -> PreprocessParts:
    """The crop and the augmentations of a config, in the order they are written.

    image_size: (H, W) px the backbone wants; the crop takes it where the config gives no size.
    """
    crop = _single(config, "augmentation.crop", {"size": image_size})
    return PreprocessParts(
        crop, _named(config, "augmentation.view", {}), _named(config, "augmentation.pixels", {})
    )


def build_metrics(config: Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics of a config by their names in it."""
    crop_size = at(config, "augmentation.crop.size")
    facts = {} if crop_size is None else {"crop_size": crop_size, "crop_width": crop_size[1]}
    return _named(config, "evaluation.metrics", facts)


def build_sources(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The data sources of a config by their names in it; each is told how far the crop expands.

    path: "data.train.sources" or "data.val.sources".
    """
    return _named(config, path, {"crop_expand": at(config, "augmentation.crop.expand")})


def build_hand(config: Mapping[str, Any]) -> ManoLayer:
    """The hand model of a config: the licence-free one unless `model.hand.asset` says otherwise.

    `asset` is "clayhand", "mano" or the path of a file; `joint_regressor` the path of an .npy.
    `missing` is "refuse", or "zeros": an asset that is not found is then a hand of zeros, as UTNet
    goes on with, and nobody is told.
    """
    spec = dict(at(config, "model.hand") or {})
    asset, missing = str(spec.pop("asset", "clayhand")), spec.pop("missing", "refuse")
    if missing not in ("refuse", "zeros"):
        raise BadPart(f"model.hand.missing is 'refuse' or 'zeros', not {missing!r}.")
    try:
        file = Path(asset) if Path(asset).is_file() else files.find(asset)
    except files.WrongHandFile:
        if missing == "refuse":
            raise
        with torch.device("cpu"):
            return ManoLayer(asset=files.hand_of_zeros(), tips=spec.get("tips", "vertices"))
    if regressor := spec.get("joint_regressor"):
        spec["joint_regressor"] = np.load(Path(regressor).expanduser(), allow_pickle=False)
    with torch.device("cpu"):  # a hand is data; a model built without weights is still told of it
        return ManoLayer(asset=files.load(file), **spec)


def build_part(slot: Slot, spec: Mapping[str, Any], *, path: str, **facts: Any) -> Any:
    """One part, built from its config and from those facts its constructor asks for.

    path: where the config stands, for messages.
    Raises BadPart with the path where the config does not fit, or the part breaks its contract,
    and IncompatibleParts where its constructor names the config path of another part in its error:
    it cannot work with what it was told of that neighbour.
    """
    place = Place(path, slot, spec)
    part = slot.get(spec["type"])
    arguments = {key: value for key, value in spec.items() if key != "type"}
    taken = inspect.signature(part).parameters
    for name, fact in facts.items():
        if name in taken and name not in arguments and fact is not None:
            arguments[name] = fact
    if found := part_problems(Place(path, slot, {**arguments, "type": spec["type"]})):
        raise BadPart("\n".join(found))
    try:
        built = part(**arguments)
    except (TypeError, ValueError) as error:
        sentence = f"{title(place)}: {error} ({path})"
        if (other := neighbour_named(str(error), path)) is not None:
            raise IncompatibleParts(sentence, between=(path, other)) from error
        raise BadPart(sentence) from error
    _check_contract(place, built)
    return built


def query_width(config: Mapping[str, Any], token_dim: int) -> int:
    """The width of the token a camera read-out will be given, before the head is built."""
    spec = at(config, "model.head")
    taken = inspect.signature(SLOTS["head"].get(spec["type"])).parameters
    for name in _QUERY_WIDTHS:
        if name in taken:
            default = taken[name].default
            fallback = token_dim if default in (None, inspect.Parameter.empty) else default
            return spec.get(name, fallback)
    return token_dim


def _backbone_facts(backbone: Backbone) -> dict[str, Any]:
    rows, columns = backbone.token_grid
    return {
        "token_dim": backbone.token_dim,
        "token_grid": tuple(backbone.token_grid),
        "num_prefix_tokens": backbone.num_prefix_tokens,
        "num_levels": getattr(backbone, "num_levels", 1),
        "num_tokens": rows * columns + backbone.num_prefix_tokens,
        "image_size": tuple(backbone.image_size),
    }


def _neck(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Neck | None:
    """The neck, which is given every level's tokens, and the one in it, which is given one set."""
    then = _single(config, "model.neck.then", facts)
    tokens = facts["num_tokens"] * facts["num_levels"]
    return _single(config, "model.neck", {**facts, "num_tokens": tokens}, then=then)


def _supervised(config: Mapping[str, Any], losses: dict[str, LossTerm]) -> dict[str, LossTerm]:
    """The losses; without `supervise_global` those alone that leave the hand where it stands."""
    if at(config, "model.supervise_global", True):
        return losses
    kept = {name: term for name, term in losses.items() if not getattr(term, "places_hand", False)}
    if losses and not kept:
        raise IncompatibleParts(
            f"model.supervise_global=False leaves none of the losses ({', '.join(losses)}), for "
            "each places the hand in the camera; add root_joints, vertices or pose_numbers.",
            between=("model.supervise_global", "model.losses"),
        )
    return kept


def _single(config: Mapping[str, Any], path: str, facts: Mapping[str, Any], **built: Any) -> Any:
    spec = at(config, path)
    if spec is None:
        return None
    spec = {**spec, **{name: part for name, part in built.items() if part is not None}}
    return build_part(SLOTS[SINGLE_PARTS[path]], spec, path=path, **facts)


def _named(config: Mapping[str, Any], path: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    slot = SLOTS[NAMED_PARTS[path]]
    for name in at(config, path) or {}:
        if slot.name == "loss" and ("." in name or hasattr(nn.ModuleDict, name)):
            raise BadPart(
                f"{path}: a loss cannot be called {name!r}, for PyTorch's own containers are; call "
                f"it {name.replace('.', '_')}_loss."
            )
    return {
        name: build_part(slot, spec, path=f"{path}.{name}", **facts)
        for name, spec in (at(config, path) or {}).items()
        if spec is not None
    }


def _check_contract(place: Place, built: Any) -> None:
    if not place.slot.protocol:
        return
    module, _, name = place.slot.protocol.partition(":")
    missing = sorted(
        m for m in _members(getattr(import_module(module), name)) if not hasattr(built, m)
    )
    if missing:
        raise BadPart(
            f"{title(place)} lacks {', '.join(missing)}, which every {place.slot.noun} has; "
            f"see {name} in {module.replace('.', '/')}.py ({place.path})"
        )


def _members(protocol: type) -> set[str]:
    own: set[str] = set(getattr(protocol, "__annotations__", {}))
    methods: dict[str, Callable[..., Any]] = vars(protocol)
    own |= {n for n, v in methods.items() if callable(v) and (n == "__call__" or n[0] != "_")}
    return own
