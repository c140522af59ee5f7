"""Reads published ViTPose weights, strictly, and says per module what they filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo.backbones.load_report import LoadReport, PretrainedWeightsMissing

_PREFIX = "backbone."  # of a whole ViTPose body model


def load_weights(
    backbone: nn.Module, file: str, report: Callable[[LoadReport], None] | None = None
) -> LoadReport:
    """Fills every weight of the backbone from a file, and accounts for it.

    report: called with the account, to print or log it.
    Raises PretrainedWeightsMissing for a file that is not there or cannot be read, ValueError with
    the counts of every module for one that is not this backbone's.
    """
    found = _read(Path(file).expanduser())
    if any(key.startswith(_PREFIX) for key in found):
        found = {k.removeprefix(_PREFIX): v for k, v in found.items() if k.startswith(_PREFIX)}
    wanted = backbone.state_dict()
    missing = tuple(
        key for key, value in wanted.items() if key not in found or found[key].shape != value.shape
    )
    account = LoadReport(
        source=file,
        matched=len(wanted) - len(missing),
        total=len(wanted),
        missing=missing,
        unexpected=tuple(sorted(found.keys() - wanted.keys())),
    )
    if missing:
        raise ValueError(_misfit(account, wanted, found))
    backbone.load_state_dict({key: found[key] for key in wanted})
    if report is not None:
        report(account)
    return account


def _read(file: Path) -> Mapping[str, Tensor]:
    if not file.is_file():
        raise PretrainedWeightsMissing(
            f"No ViTPose weights at {file}: HaMeR's training data brings vitpose_backbone.pth, and "
            "the body models of ViTPose hold the same; set model.backbone.pretrained to the file, "
            "or pretrained=None for a random start."
        )
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different class for every way a file can be wrong
        reason = str(error).strip().split("\n")[0][:160]
        raise PretrainedWeightsMissing(
            f"{file} ({file.stat().st_size} bytes) is cut short or no file of weights that loads "
            f"safely ({reason}); copy it again, or set pretrained=None for a random start."
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    return {key: value for key, value in state.items() if isinstance(value, Tensor)}


def _misfit(account: LoadReport, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Which modules a file fills, what it lacks, and what it probably is."""
    total = Counter(key.split(".")[0] for key in wanted)
    lost = Counter(key.split(".")[0] for key in account.missing)
    modules = ", ".join(f"{name} {total[name] - lost[name]} of {total[name]}" for name in total)
    examples = "; ".join(
        f"{key} is {tuple(found[key].shape)} and not {tuple(wanted[key].shape)}"
        if key in found
        else f"{key} is absent"
        for key in account.missing[:3]
    )
    return (
        f"{account.source!r} fills only {account.matched} of ViTPose's {account.total} weights "
        f"({modules}): {examples}{_guess(found)}. Choose weights of this size, or set the "
        "backbone's dim, depth and image_size to theirs."
    )


def _guess(found: Mapping[str, Tensor]) -> str:
    if any(".experts." in key for key in found):
        return "; this is a whole-body ViTPose+ file, whose layers are mixtures of experts"
    if "cls_token" in found and "last_norm.weight" not in found:
        return "; this is a classification or MAE model, not ViTPose"
    if "pos_embed" in found:
        return f"; its width is {found['pos_embed'].shape[-1]}"
    return ""
