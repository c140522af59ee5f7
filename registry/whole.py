"""From a config's name to a whole model, for everyone who measures models and is not the roof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from registry import config as configs
from registry.build import build_model_parts, build_preprocess_parts
from registry.plugins import load_plugin
from zoo.model import HandMeshModel
from zoo.preprocess import Preprocess


def load(
    config: str | Path,
    *,
    size: str | None = "tiny",
    changes: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
) -> dict[str, Any]:
    """A config as a plain dict, resolved and checked, after the user's plug-ins have been run.

    config, size, changes: as `registry.config.load` takes them; "full" is the config as written.
    plugins: Python files that register parts, as `--plugin` takes them.
    """
    for plugin in plugins:
        load_plugin(plugin)
    return configs.load(config, changes, size=size)


def build_model(config: Mapping[str, Any]) -> HandMeshModel:
    """The model of a resolved config, with its preprocessing, as `randomness.seed` starts it.

    The same config and seed give the same weights: PyTorch's global generator, from which layers
    initialise themselves, is seeded here. Raises BadPart and IncompatibleParts of
    `registry.build`.
    """
    seed = config.get("randomness", {}).get("seed", 0)
    torch.manual_seed(seed)
    parts = build_model_parts(config)
    model = config["model"]
    return HandMeshModel(
        hand=parts.hand,
        backbone=parts.backbone,
        neck=parts.neck,
        head=parts.head,
        temporal=parts.temporal,
        losses=parts.losses,
        precision=model.get("precision", "bf16"),
        supervise_earlier=model.get("supervise_earlier", 0.0),
        detach_betas=model.get("detach_betas", False),
        frozen=model.get("frozen", ()),
        data_preprocessor=build_preprocess(config, image_size=parts.backbone.image_size, seed=seed),
    )


def build_preprocess(
    config: Mapping[str, Any], *, image_size: tuple[int, int], seed: int
) -> Preprocess:
    """The crop and the augmentations of a config for a network that wants crops of that size.

    image_size: (H, W) px. seed: of everything the augmentations draw.
    """
    parts = build_preprocess_parts(config, image_size=image_size)
    return Preprocess(
        crop=parts.crop,
        view_augmentations=parts.view_augmentations,
        pixel_augmentations=parts.pixel_augmentations,
        seed=seed,
    )
