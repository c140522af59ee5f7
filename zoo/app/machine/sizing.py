"""What `--size auto` chooses, and why, in one line said before anything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from registry.config import load
from registry.layout import at
from zoo.app.training.checkpoints import CONVERTED

SIZES = ("auto", "tiny", "small", "full")
_DECIDING = ("model.backbone=", "model.backbone.type=", "model.backbone.pretrained=", "data.train")


@dataclass(frozen=True)
class ChosenSize:
    """A size of the config, and the reason for it."""

    name: str
    reason: str


def choose_size(name: str, changes: Sequence[str], asked: str, data: str | None) -> ChosenSize:
    """The size to train a config at.

    auto takes full where a CUDA device, the pretrained weights and shards are there, else tiny.
    changes: what `--set` takes. Only those that say where weights and data come from are looked at
        here: another may set what exists at one size alone.
    """
    if asked != "auto":
        return ChosenSize(asked, "as asked")
    config = load(name, [change for change in changes if change.startswith(_DECIDING)])
    missing = []
    if not torch.cuda.is_available():
        missing.append("no CUDA device")
    pretrained = at(config, "model.backbone.pretrained")
    if pretrained is not None and not weights_at_hand(pretrained):
        missing.append(f"no weights of {pretrained} here")
    configured = at(config, "data.train.shards") or at(config, "data.train.sources")
    if data is None and not configured:
        missing.append("no shards (--data)")
    if missing:
        return ChosenSize("tiny", "auto: " + ", ".join(missing))
    return ChosenSize("full", "auto: a CUDA device, the pretrained weights and shards are here")


def weights_at_hand(pretrained: str) -> bool:
    """Whether pretrained weights can be loaded without a download."""
    if Path(pretrained).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(pretrained, name), str) for name in names)


def size_of_run(config_name: str, checkpoint: Path, asked: str) -> str:
    """The size a checkpoint was trained at: asked for, else what its run.json or folder says.

    Converted weights are as large as the config that was written beside them says.
    Raises ValueError where nothing says it.
    """
    if asked != "auto":
        return asked
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    record = folder / "run.json"
    if record.is_file():
        return json.loads(record.read_text())["size"]
    if checkpoint.suffix == ".safetensors" or (folder / CONVERTED).is_file():
        return "full"
    named = [size for size in SIZES[1:] if re.search(rf"-{size}(-\d+)?$", folder.resolve().name)]
    if not checkpoint.exists():
        raise ValueError(
            f"{checkpoint}: no such file or folder; name a checkpoint, or the folder of a run."
        )
    if not named:
        raise ValueError(
            f"{checkpoint}: nothing beside it says at which size {config_name} was trained; add "
            f"--size tiny, small or full."
        )
    return named[0]
