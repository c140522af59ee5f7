"""WiLoR's published checkpoint <-> a state dict of ours, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from zoo.contracts import HandAsset
from zoo.mano import files
from zoo.weights.account import Account, compare
from zoo.weights.checkpoint_file import read, state_of
from zoo.weights.hamer import arrays_of, hand_of
from zoo.weights.wilor_layout import WilorLayout

# Published prefix -> ours; the longest that fits counts.
RENAMED = {
    "backbone.": "backbone.",
    "backbone.decpose.": "head.coarse.decpose.",
    "backbone.decshape.": "head.coarse.decshape.",
    "backbone.deccam.": "head.coarse.deccam.",
    "refine_net.dec_cam.": "head.camera.linear.",
    "refine_net.": "head.",
    "discriminator.": "losses.adversarial.discriminator.",
}
_MEAN = "backbone.init_"  # the average hand, which our backbone and our head both hold
_MEAN_OF_HEAD = "head.coarse.init_"
_REQUIRED, _PARTS = ("backbone", "refine_net"), ("backbone", "head")
_LIGHTNING = "2.0.3"
_ADVICE = (
    "A WiLoR checkpoint holds all of backbone and refine_net. Take wilor_final.ckpt of the "
    "release (2.5 GB)."
)


@dataclass(frozen=True)
class WilorWeights:
    """A published checkpoint in our terms."""

    state_dict: dict[str, Tensor]  # fills a model of configs/wilor.py of this layout
    hand: HandAsset | None  # the MANO arrays of the file, under MANO's licence
    layout: WilorLayout
    account: Account

    def describe(self) -> str:
        """The sizes that were read from the weights."""
        vit = self.layout.vit
        return (
            f"backbone of {vit.depth} blocks, {vit.dim} wide, on crops of {vit.image_size[0]} px "
            f"with hand tokens; refinement on {self.layout.query_dim} channels, sampled as released"
        )


def load(file: str | Path, *, pickled_config: bool = False) -> WilorWeights:
    """The weights of a published WiLoR checkpoint, every key accounted for.

    pickled_config: see `zoo.weights.checkpoint_file.read`.
    Errors: UnreadableCheckpoint, WrongCheckpoint with one report of all that is missing or wrong.
    """
    return from_content(read(file, pickled_config=pickled_config), source=str(file))


def from_content(content: Mapping[str, Any], *, source: str) -> WilorWeights:
    """The weights in what `zoo.weights.checkpoint_file.read` gave; errors as `from_published`."""
    return from_published(state_of(content), source=source)


def from_published(state: Mapping[str, Tensor], *, source: str = "WiLoR") -> WilorWeights:
    """A published state dict in our terms.

    Errors: WrongCheckpoint with one report of all that is missing or wrong.
    """
    layout = WilorLayout.of(state)
    wanted = layout.shapes()
    account = compare(source, state, wanted, required=_REQUIRED)
    account.require(_ADVICE)
    ours = {name: state[key] for key in wanted if key in state for name in our_names(key)}
    return WilorWeights(
        state_dict={key: _single(value) for key, value in ours.items()},
        hand=hand_of(state) if "mano.v_template" in state else None,
        layout=layout,
        account=account,
    )


def to_published(state: Mapping[str, Tensor], hand: HandAsset) -> dict[str, Tensor]:
    """Our state dict under the published names, in the published order, with the hand in it.

    Errors: WrongCheckpoint where the model is no WiLoR.
    """
    theirs = {name: value for key, value in state.items() if (name := published_name(key))}
    theirs |= {f"mano.{key}": value for key, value in arrays_of(hand).items()}
    theirs["initialized"] = torch.tensor(True)
    wanted = WilorLayout.of(theirs).shapes()
    account = compare("this model", theirs, wanted, required=_REQUIRED)
    account.require("Only a model with WiLoR's backbone, head and camera has its names.")
    return {key: theirs[key] for key in wanted if key in theirs}


def save_published(file: str | Path, state: Mapping[str, Tensor], hand: HandAsset) -> None:
    """Writes a checkpoint that the original program opens; arguments as `to_published`."""
    content = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": _LIGHTNING,
        "state_dict": to_published(state, hand),
    }
    torch.save(content, Path(file))


def fill(model: nn.Module, weights: WilorWeights) -> None:
    """Loads the weights into a model of `configs/wilor.py`; what WiLoR lacks stays as it is.

    Errors: WrongCheckpoint where the model's backbone or head is of another size or kind.
    """
    names = (f"{part}." for part in (*_PARTS, "losses.adversarial.discriminator"))
    known = tuple(names)
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items() if k.startswith(known)}
    account = compare(weights.account.source, weights.state_dict, wanted, required=_PARTS)
    account.require("The model has to be built from the config that belongs to the weights.")
    state = {key: value for key, value in weights.state_dict.items() if key in wanted}
    model.load_state_dict(state, strict=False)


def write(weights: WilorWeights, folder: Path, *, name: str) -> list[Path]:
    """Writes the weights as safetensors, their hand as npz and their config; returns the files.

    name: of the original file, for the config's first line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths, hand_file = [folder / "model.safetensors", folder / "config.py"], None
    state = {key: value.clone().contiguous() for key, value in weights.state_dict.items()}
    save_file(state, paths[0], metadata={"format": "pt", "model": "wilor"})
    if weights.hand is not None:
        paths.append(folder / "mano.npz")
        hand_file = "./mano.npz"  # beside the config, wherever both are moved
        files.save(weights.hand, paths[-1])
    paths[1].write_text(config_of(weights, name=name, hand_file=hand_file))
    return paths


def our_names(key: str) -> tuple[str, ...]:
    """The names of a published weight in our state dict; none for what is no weight of ours."""
    name = _renamed(key, RENAMED)
    if name is None:
        return ()
    if key.startswith(_MEAN):
        return name, key.replace(_MEAN, _MEAN_OF_HEAD, 1)
    return (name,)


def published_name(key: str) -> str | None:
    """The published name of a weight of ours; None where there is none."""
    if key.startswith(_MEAN_OF_HEAD):
        return None
    return _renamed(key, {ours: theirs for theirs, ours in RENAMED.items()})


def config_of(weights: WilorWeights, *, name: str, hand_file: str | None = None) -> str:
    """The text of a config file that builds the model these weights fill.

    hand_file: where the hand of the checkpoint was written; None uses clayhand.
    """
    vit = weights.layout.vit
    backbone = {
        "pretrained": None,
        "dim": vit.dim,
        "depth": vit.depth,
        "num_heads": vit.num_heads,
        "mlp_ratio": vit.mlp_dim // vit.dim,
        "image_size": vit.image_size,
    }
    head = {"query_dim": weights.layout.query_dim, "sampling": "as_released"}
    lines = [
        f'"""WiLoR with the published weights of {name}."""',
        "",
        "from mmengine.config import read_base",
        "",
        "with read_base():",
        "    from configs.wilor import *",
        "",
        f"model.backbone.update({_keywords(backbone)})",
        f"model.head.update({_keywords(head)})",
        f"augmentation.crop.update(size={vit.image_size})",
    ]
    if hand_file is not None:
        lines.append(f"model.hand.update(asset={hand_file!r})")
    return "\n".join(lines) + "\n"


def _keywords(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in values.items())


def _renamed(key: str, prefixes: Mapping[str, str]) -> str | None:
    for before in sorted(prefixes, key=len, reverse=True):
        if key.startswith(before):
            return prefixes[before] + key[len(before) :]
    return None


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
