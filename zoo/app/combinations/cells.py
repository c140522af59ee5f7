"""What each slot has to offer, and the smallest config that puts one choice of each together."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.catalog import SLOTS
from registry.config import SHIPPED, available, load
from registry.layout import FACTS, at
from registry.signature import constructor

CROP = 64  # px, every cell's crop
NONE = "none"
TRIPLE = ("head", "camera", "losses")

# Arguments of any part that make it smaller than its own `tiny`, by their names.
_SMALL: dict[str, Any] = {
    "image_size": (CROP, CROP),
    "dim": 32,
    "depth": 1,
    "num_heads": 2,
    "head_dim": 16,
    "mlp_dim": 64,
    "hidden_dim": 16,
    "num_samples": 4,
    "stem": "linear",
}
_SMALL_TRANSFORMER = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
# What a part cannot be built without, where no shipped config says it.
_EXAMPLES: dict[str, Any] = {"weight": 0.01, "sigma": 0.02, "representation": "rot6d_columns"}

# Losses any head and camera can be trained with; a single loss under trial is added to them.
GROUND: dict[str, dict[str, Any]] = {
    "ground_rotations": {"type": "rotations", "weight": 0.1},
    "ground_betas": {"type": "betas", "weight": 0.1},
    "ground_keypoints": {"type": "reprojection", "crop_width": float(CROP), "weight": 0.01},
}


@dataclass(frozen=True)
class Value:
    """One choice for a factor: what it is called, and what it puts into the config."""

    label: str
    spec: Any


Factors = dict[str, dict[str, Value]]


def factors() -> Factors:
    """Every slot's shipped parts, and each distinct way in which a shipped config sets one.

    Ablations are left out: each changes one value of a config that is here.
    """
    roots = [name for name, file in available().items() if file.parent == SHIPPED.resolve()]
    configs = {name: load(name, size="tiny") for name in roots}
    found = {
        "backbone": _with_levels(_single("backbone", "model.backbone", configs)),
        "neck": _single("neck", "model.neck", configs, optional=True),
        "head": _single("head", "model.head", configs, leave_out=("camera",)),
        "camera": _single("camera", "model.head.camera", configs),
        "temporal": _single("temporal", "model.temporal", configs, optional=True),
        "losses": _named("loss", "model.losses", configs, ground=GROUND),
        "view": _named("view_augmentation", "augmentation.view", configs),
        "pixels": _named("pixel_augmentation", "augmentation.pixels", configs),
        "crop": _single("crop", "augmentation.crop", configs, leave_out=("size",)),
        "schedule": _schedules(configs),
        "detach_betas": {"yes": Value("yes", True), "no": Value("no", False)},
    }
    return {name: values for name, values in found.items() if values}


def cell_config(all_factors: Factors, row: Mapping[str, str]) -> dict[str, Any]:
    """The config of one choice for every factor."""
    spec = {name: copy.deepcopy(all_factors[name][label].spec) for name, label in row.items()}
    head = {**spec["head"], "camera": spec["camera"]}
    losses = spec["losses"]
    if GROUND.keys() <= losses.keys():
        losses = {**ground_for(spec["camera"]), **losses}
    backbone = spec["backbone"]
    size = backbone.get("image_size", (CROP, CROP))
    size = (size, size) if isinstance(size, int) else tuple(size)
    return {
        "model": {
            "hand": {"asset": "clayhand"},
            "backbone": backbone,
            "neck": spec["neck"],
            "head": head,
            "temporal": spec.get("temporal"),
            "losses": losses,
            "detach_betas": spec["detach_betas"],
            "precision": "bf16",
        },
        "augmentation": {
            "crop": {**spec["crop"], "size": size},
            "view": spec["view"],
            "pixels": spec["pixels"],
        },
        **spec["schedule"],
        "randomness": {"seed": 0},
    }


def _with_levels(backbones: dict[str, Value]) -> dict[str, Value]:
    """The backbones; one that hands over several layers' tokens is among them."""
    if any(value.spec.get("levels") for value in backbones.values()):
        return backbones
    for label, value in backbones.items():
        built = constructor(SLOTS["backbone"], value.spec["type"])
        if built and "levels" in built.arguments and isinstance(value.spec.get("config"), Mapping):
            spec = {**value.spec, "levels": (0, 1)}  # the embeddings and the only layer
            return {**backbones, f"{label}, two levels": Value(f"{label}, two levels", spec)}
    return backbones


def ground_for(camera: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Losses that teach any head with this camera everything."""
    companion = getattr(SLOTS["camera"].get(camera["type"]), "companion_loss", None)
    return {**GROUND, **({"ground_camera": dict(companion)} if companion else {})}


def _single(
    slot: str,
    path: str,
    configs: Mapping[str, Any],
    *,
    optional: bool = False,
    leave_out: tuple[str, ...] = (),
) -> dict[str, Value]:
    """A slot of which a model has one part: those of configs, then those no config names."""
    specs: dict[str, dict[str, Any]] = {}
    for name, config in configs.items():
        spec = at(config, path)
        if spec is not None:
            specs[name] = {k: v for k, v in spec.items() if k not in leave_out}
    values = _distinct({name: small(slot, spec) for name, spec in specs.items()})
    used = {value.spec["type"] for value in values.values()}
    for name in _shipped(slot):
        if name not in used:
            values[name] = Value(name, small(slot, {"type": name}))
    return {**({NONE: Value(NONE, None)} if optional and values else {}), **values}


def _named(
    slot: str, path: str, configs: Mapping[str, Any], ground: Mapping[str, Any] | None = None
) -> dict[str, Value]:
    """A slot of which a model has several: every part alone, and each config's own set."""
    sets: dict[str, dict[str, Any]] = {}
    examples: dict[str, dict[str, Any]] = {}
    for name, config in configs.items():
        parts = at(config, path) or {}
        sets[name] = {key: small(slot, spec) for key, spec in parts.items()}
        for spec in sets[name].values():
            examples.setdefault(spec["type"], spec)
    values: dict[str, Value] = {} if ground else {NONE: Value(NONE, {})}
    for name in _shipped(slot):
        spec = examples.get(name) or small(slot, {"type": name})
        values[name] = Value(name, {**(ground or {}), f"tried_{name}": spec})
    for name, parts in sets.items():
        label = f"all of {name}"
        if parts and _text(parts) not in {_text(value.spec) for value in values.values()}:
            values[label] = Value(label, parts)
    return values


def _schedules(configs: Mapping[str, Any]) -> dict[str, Value]:
    keys = ("optim_wrapper", "param_scheduler")
    recipes = {name: {key: config[key] for key in keys} for name, config in configs.items()}
    distinct: dict[str, Value] = {}
    for name, recipe in recipes.items():
        if _text(recipe) not in {_text(value.spec) for value in distinct.values()}:
            distinct[name] = Value(name, recipe)
    return distinct


def small(slot: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A part's config, complete, and as small as its arguments allow."""
    built = constructor(SLOTS[slot], spec["type"])
    if built is None:
        return dict(spec)
    result = {**built.tiny, **spec}
    for name, argument in built.arguments.items():
        if name in _SMALL and not (name == "dim" and name in FACTS.get(slot, ())):
            result[name] = _SMALL[name]
        elif argument.required and name not in result and name in _EXAMPLES:
            result[name] = _EXAMPLES[name]
    if isinstance(inner := result.get("config"), Mapping):  # of a published architecture
        smaller = {key: value for key, value in _SMALL_TRANSFORMER.items() if key in inner}
        if result.get("levels"):  # layers that are asked for have to be there
            smaller.pop("num_hidden_layers", None)
        result["config"] = {**inner, **smaller}
    return result


def _distinct(specs: Mapping[str, dict[str, Any]]) -> dict[str, Value]:
    """One value for every distinct spec, called by its type, and by its config where two share."""
    by_text: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, spec in specs.items():
        by_text.setdefault(_text(spec), (name, spec))
    kinds = [spec["type"] for _, spec in by_text.values()]
    values = {}
    for name, spec in by_text.values():
        kind = spec["type"]
        label = kind if kinds.count(kind) == 1 else f"{kind} ({name})"
        values[label] = Value(label, spec)
    return values


def _shipped(slot: str) -> list[str]:
    return [name for name in SLOTS[slot].names() if SLOTS[slot].origin(name) == "shipped"]


def _text(spec: Any) -> str:
    return json.dumps(spec, sort_keys=True, default=str)
