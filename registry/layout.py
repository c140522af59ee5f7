"""Where in a config each slot's parts stand, and which keys a config may hold besides them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry.catalog import SLOTS
from registry.difference import split_path
from registry.slot import Slot

# Top-level names a config file may use: ours, then mmengine's.
TOP_LEVEL = (
    "model",
    "data",
    "augmentation",
    "evaluation",
    "sizes",
    "train_cfg",
    "optim_wrapper",
    "param_scheduler",
    "default_hooks",
    "custom_hooks",
    "randomness",
    "visualizer",
    "stage1",
)

# One part a path, and named dicts of parts.
SINGLE_PARTS = {
    "model.backbone": "backbone",
    "model.neck": "neck",
    "model.neck.then": "neck",
    "model.head": "head",
    "model.head.camera": "camera",
    "model.temporal": "temporal",
    "augmentation.crop": "crop",
}
NAMED_PARTS = {
    "model.losses": "loss",
    "augmentation.view": "view_augmentation",
    "augmentation.pixels": "pixel_augmentation",
    "evaluation.metrics": "metric",
    "data.train.sources": "dataset",
    "data.val.sources": "dataset",
}
FREE_NAMES = ("custom_hooks",)  # takes any new name, as the named dicts of parts do
REQUIRED_PARTS = ("model.backbone", "model.head")

# Keys of the sections that are no part themselves: what the roof reads, so that no key is idle.
SECTION_KEYS: dict[str, tuple[str, ...]] = {
    "model": (
        "hand",
        "backbone",
        "neck",
        "head",
        "temporal",
        "losses",
        "precision",
        "supervise_earlier",
        "detach_betas",
        "supervise_global",
        "frozen",
    ),
    "model.hand": ("asset", "tips", "joint_regressor", "detach_wrist", "missing"),
    "augmentation": ("crop", "view", "pixels"),
    "evaluation": ("metrics",),
    "stage1": ("config", "checkpoint"),
    "data": ("train", "val", "num_workers", "synthetic", "clip", "token_cache"),
    "data.token_cache": ("copies", "seed"),
    "data.clip": ("frames", "stride", "windows", "run", "history"),
    "data.train": ("shards", "sources", "batch_size", "shuffle", "shrink"),
    "data.val": ("shards", "sources", "batch_size"),
    "train_cfg": ("max_iters", "val_interval", "val_begin"),
    "optim_wrapper": (
        "optimizer",
        "paramwise_cfg",
        "clip_grad",
        "accumulative_counts",
        "constructor",
    ),
    "param_scheduler": ("warmup", "cycles"),
    "default_hooks": ("checkpoint", "logger"),
    "randomness": ("seed",),
    "visualizer": ("backends",),
    "data.synthetic": (
        "count",
        "val_count",
        "image_size",
        "seed",
        "sequences",
        "clip_frames",
        "depth",
    ),
}

# What a part may be told by its neighbours when the config does not say it.
MODEL_FACTS = (
    "token_dim",
    "num_tokens",
    "token_grid",
    "num_prefix_tokens",
    "num_levels",
    "image_size",
    "query_dim",
    "crop_size",
    "crop_width",
    "hand",
)
FACTS: dict[str, tuple[str, ...]] = {
    "backbone": ("image_size", "crop_size"),
    "neck": MODEL_FACTS,
    "head": MODEL_FACTS,
    "camera": (*MODEL_FACTS, "dim"),
    "temporal": MODEL_FACTS,
    "loss": MODEL_FACTS,
    "crop": ("size",),
    "metric": ("crop_size", "crop_width"),
    "dataset": ("crop_expand",),
}


@dataclass(frozen=True)
class Place:
    """One part of a config: where it stands, which slot it fills, what is written there."""

    path: str
    slot: Slot
    spec: Any


def parts(config: Mapping[str, Any]) -> Iterator[Place]:
    """Every part a config names, switched-off ones (None) left out."""
    for path, slot in SINGLE_PARTS.items():
        spec = at(config, path)
        if spec is not None:
            yield Place(path, SLOTS[slot], spec)
    for path, slot in NAMED_PARTS.items():
        named = at(config, path)
        for name, spec in named.items() if isinstance(named, Mapping) else ():
            if spec is not None:
                yield Place(f"{path}.{name}", SLOTS[slot], spec)


def at(config: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """The value at a dotted path, or the default where the path leads nowhere."""
    value: Any = config
    for key in split_path(path):
        if not isinstance(value, Mapping) or key not in value:
            return default
        value = value[key]
    return value


def slot_of(path: str) -> str:
    """The slot a config path belongs to ("camera"), or its top-level name ("optim_wrapper")."""
    keys = split_path(path)
    for end in range(len(keys), 0, -1):
        prefix = ".".join(keys[:end])
        if prefix in SINGLE_PARTS:
            return SINGLE_PARTS[prefix]
        if prefix in NAMED_PARTS:
            return NAMED_PARTS[prefix]
    return keys[0]
