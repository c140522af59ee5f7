"""Finds published weights, fast to say no without a network, and accounts for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from transformers import AutoConfig, PreTrainedModel

from zoo.backbones.load_report import LoadReport, PretrainedWeightsMissing

_WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_SECONDS_TO_ANSWER = 5.0


def find_pretrained(name: str) -> Path:
    """The folder that holds a model's config.json and weights, downloaded once if need be.

    name: a folder, or a Hugging Face name; the cache is looked into first, then the Hub is asked
        with a short timeout.

    Raises PretrainedWeightsMissing.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if _is_complete(folder):
            return folder
        raise PretrainedWeightsMissing(
            f"{folder} holds no pretrained model: it needs config.json and one of "
            f"{', '.join(_WEIGHT_FILES)}; write it with save_pretrained, or set pretrained=None "
            "for a random start."
        )
    cached = _cached(name)
    if cached is not None:
        return cached
    try:
        return _download(name)
    except Exception as error:  # the Hub's client raises a dozen kinds, a bad name among them
        raise PretrainedWeightsMissing(
            f"No weights of {name!r} here: no such folder, nothing in the Hugging Face cache "
            f"({huggingface_hub.constants.HF_HUB_CACHE}), and the Hub did not give them "
            f"({type(error).__name__}); run once with a connection or set pretrained to a folder "
            "that holds them, or set pretrained=None for a random start."
        ) from error


def load_pretrained(
    model_class: type[PreTrainedModel], name: str, overrides: Mapping[str, Any]
) -> tuple[PreTrainedModel, LoadReport]:
    """A model with every weight loaded, in fp32, and the account of it.

    overrides: fields of its configuration that change no weight.

    Raises ValueError when the file is of another architecture or leaves a weight unfilled.
    """
    folder = find_pretrained(name)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    wanted = model_class.config_class
    if not isinstance(config, wanted):
        raise ValueError(
            f"{name!r} holds a {config.model_type!r} model and {wanted.model_type!r} is needed; "
            "choose the backbone of that name, or other weights."
        )
    for field, value in overrides.items():
        if not hasattr(config, field):
            raise ValueError(f"{name!r} has no configuration field {field!r} to set.")
        setattr(config, field, value)
    model, info = model_class.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    report = _account(name, model, info)
    if report.missing:
        raise ValueError(
            f"{name!r} fills only {report.matched} of the backbone's {report.total} weights; "
            f"missing or of another shape: {', '.join(report.missing[:3])}... Choose weights of "
            "this architecture and leave its configuration's sizes alone."
        )
    return model, report


def _account(name: str, model: PreTrainedModel, info: Mapping[str, Any]) -> LoadReport:
    wrong_shape = {entry[0] for entry in info["mismatched_keys"]}
    missing = sorted(set(info["missing_keys"]) | wrong_shape)
    total = len(model.state_dict())
    return LoadReport(
        source=name,
        matched=total - len(missing),
        total=total,
        missing=tuple(missing),
        unexpected=tuple(sorted(info["unexpected_keys"])),
    )


def _is_complete(folder: Path) -> bool:
    has_weights = any((folder / file).is_file() for file in _WEIGHT_FILES)
    return has_weights and (folder / "config.json").is_file()


def _cached(name: str) -> Path | None:
    try:
        config = huggingface_hub.try_to_load_from_cache(name, "config.json")
    except ValueError:  # not a name the Hub allows, so it cannot be cached either
        return None
    folder = Path(config).parent if isinstance(config, str) else None
    return folder if folder is not None and _is_complete(folder) else None


def _download(name: str) -> Path:
    # One unretried question first: the download itself retries for minutes without a network.
    url = huggingface_hub.hf_hub_url(name, "config.json")
    huggingface_hub.get_hf_file_metadata(url, timeout=_SECONDS_TO_ANSWER)
    wanted = ["config.json", "model.safetensors*", "model-*.safetensors"]
    folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted))
    if not _is_complete(folder):
        wanted = ["pytorch_model.bin"]
        folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted))
    return folder
