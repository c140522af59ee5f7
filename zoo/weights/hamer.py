"""HaMeR's published checkpoint <-> a state dict of ours, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from zoo.contracts import NUM_VERTICES, HandAsset
from zoo.mano import files
from zoo.mano.topology import OPENPOSE_FROM_MANO, PARENTS, TIP_VERTICES
from zoo.weights.account import Account, compare
from zoo.weights.checkpoint_file import plain, read, state_of
from zoo.weights.hamer_layout import MANO_SHAPES, Layout

# Published prefix -> ours; the first that fits counts.
RENAMED = {
    "backbone.": "backbone.",
    "mano_head.deccam.": "head.camera.linear.",
    "mano_head.": "head.",
    "discriminator.": "losses.adversarial.discriminator.",
}
_REQUIRED, _PARTS = ("backbone", "mano_head"), ("backbone", "head")
_LIGHTNING = "2.0.3"  # the version that wrote the released file
_ADVICE = (
    "A HaMeR checkpoint holds all of backbone and mano_head. Take hamer.ckpt of the released "
    "archive (2.7 GB), or the last.ckpt of a run of the original trainer."
)


@dataclass(frozen=True)
class HamerWeights:
    """A published checkpoint in our terms."""

    state_dict: dict[str, Tensor]  # fills a model of configs/hamer.py of this layout
    hand: HandAsset | None  # the MANO arrays of the file, under MANO's licence
    layout: Layout
    steps: int  # of the head, IEF_ITERS of the file's own config; 1 as released
    account: Account

    def describe(self) -> str:
        """The sizes that were read from the weights."""
        size, query = self.layout, "zero" if self.layout.query_width == 1 else "mean parameters"
        return (
            f"backbone of {size.depth} blocks, {size.dim} wide, on crops of "
            f"{size.image_size[0]} px; head of {size.head_depth} layers, {size.head_dim} wide, "
            f"query {query}, steps {self.steps}"
        )


def load(file: str | Path, *, pickled_config: bool = False) -> HamerWeights:
    """The weights of a published HaMeR checkpoint, every key accounted for.

    pickled_config: see `zoo.weights.checkpoint_file.read`.
    Errors: UnreadableCheckpoint, WrongCheckpoint with one report of all that is missing or wrong.
    """
    return from_content(read(file, pickled_config=pickled_config), source=str(file))


def from_content(content: Mapping[str, Any], *, source: str) -> HamerWeights:
    """The weights in what `zoo.weights.checkpoint_file.read` gave; errors as `from_published`."""
    return from_published(state_of(content), source=source, steps=_steps(content))


def from_published(
    state: Mapping[str, Tensor], *, source: str = "HaMeR", steps: int = 1
) -> HamerWeights:
    """A published state dict in our terms.

    Errors: WrongCheckpoint with one report of all that is missing or wrong.
    """
    layout = Layout.of(state)
    wanted = layout.shapes()
    account = compare(source, state, wanted, required=_REQUIRED)
    account.require(_ADVICE)
    ours = {our_name(key): state[key] for key in wanted if key in state}
    return HamerWeights(
        state_dict={key: value.float() for key, value in ours.items() if key is not None},
        hand=hand_of(state) if "mano.v_template" in state else None,
        layout=layout,
        steps=steps,
        account=account,
    )


def to_published(state: Mapping[str, Tensor], hand: HandAsset) -> dict[str, Tensor]:
    """Our state dict under the published names, in the published order, with the hand in it.

    A discriminator is part of it where the model has one; what HaMeR has no name for (the count of
    augmentations drawn) is left out.
    Errors: WrongCheckpoint where the model is no HaMeR.
    """
    theirs = {name: value for key, value in state.items() if (name := published_name(key))}
    theirs |= {f"mano.{key}": value for key, value in arrays_of(hand).items()}
    theirs["initialized"] = torch.tensor(True)
    wanted = Layout.of(theirs).shapes()
    account = compare("this model", theirs, wanted, required=_REQUIRED)
    account.require("Only a model with HaMeR's backbone, head and camera has its names.")
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


def fill(model: nn.Module, weights: HamerWeights) -> None:
    """Loads the weights into a model of `configs/hamer.py`; what HaMeR lacks stays as it is.

    Errors: WrongCheckpoint where the model's backbone or head is of another size or kind.
    """
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items() if published_name(k)}
    account = compare(weights.account.source, weights.state_dict, wanted, required=_PARTS)
    account.require("The model has to be built from the config that belongs to the weights.")
    state = {key: value for key, value in weights.state_dict.items() if key in wanted}
    model.load_state_dict(state, strict=False)


def write(weights: HamerWeights, folder: Path, *, name: str) -> list[Path]:
    """Writes the weights as safetensors, their hand as npz and their config; returns the files.

    name: of the original file, for the config's first line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths, hand_file = [folder / "model.safetensors", folder / "config.py"], None
    save_file(weights.state_dict, paths[0], metadata={"format": "pt", "model": "hamer"})
    if weights.hand is not None:
        paths.append(folder / "mano.npz")
        hand_file = "./mano.npz"  # beside the config, wherever both are moved
        files.save(weights.hand, paths[-1])
    paths[1].write_text(config_of(weights, name=name, hand_file=hand_file))
    return paths


def our_name(key: str) -> str | None:
    """The name of a published weight in our state dict; None for what is no weight of ours."""
    return _renamed(key, RENAMED)


def published_name(key: str) -> str | None:
    """The published name of a weight of ours; None where there is none."""
    return _renamed(key, {ours: theirs for theirs, ours in RENAMED.items()})


def hand_of(state: Mapping[str, Tensor]) -> HandAsset:
    """The hand model inside a published state dict; it stays under MANO's licence.

    The file keeps 6 of the 45 pose components; the others are zero here. Nothing of ours poses a
    hand by them.
    """
    arrays = {key: state[f"mano.{key}"].cpu().numpy() for key in MANO_SHAPES}
    components = np.zeros((45, 45))
    components[:6] = arrays["hand_components"]
    return HandAsset(
        name="mano",
        v_template=arrays["v_template"].astype(np.float64),
        faces=arrays["faces_tensor"].astype(np.int64),
        weights=arrays["lbs_weights"].astype(np.float64),
        posedirs=arrays["posedirs"].T.reshape(NUM_VERTICES, 3, -1).astype(np.float64),
        shapedirs=arrays["shapedirs"].astype(np.float64),
        joint_regressor=arrays["J_regressor"].astype(np.float64),
        parents=np.array(PARENTS),  # files say -1 or a wrapped 4294967295 for "none"
        hands_mean=arrays["hand_mean"].astype(np.float64),
        hands_components=components,
    )


def arrays_of(hand: HandAsset) -> dict[str, Tensor]:
    """The buffers under `mano.` that stand for a hand in a published state dict."""
    numbers = {
        "shapedirs": hand.shapedirs,
        "v_template": hand.v_template,
        "J_regressor": hand.joint_regressor,
        "posedirs": hand.posedirs.reshape(-1, hand.posedirs.shape[-1]).T,
        "lbs_weights": hand.weights,
        "hand_components": hand.hands_components[:6],
        "hand_mean": hand.hands_mean,
        "pose_mean": np.concatenate((np.zeros(3), hand.hands_mean)),
    }
    indices = {
        "faces_tensor": hand.faces,
        "parents": hand.parents,
        "extra_joints_idxs": TIP_VERTICES,
        "joint_map": OPENPOSE_FROM_MANO,
        "vertex_joint_selector.extra_joints_idxs": TIP_VERTICES,
    }
    arrays = {key: np.array(value, np.float32, order="C") for key, value in numbers.items()}
    arrays |= {key: np.array(value, np.int64) for key, value in indices.items()}
    return {key: torch.from_numpy(arrays[key]) for key in MANO_SHAPES}


def config_of(weights: HamerWeights, *, name: str, hand_file: str | None = None) -> str:
    """The text of a config file that builds the model these weights fill.

    hand_file: where the hand of the checkpoint was written; None uses clayhand.
    """
    layout = weights.layout
    backbone = {
        "pretrained": None,
        "dim": layout.dim,
        "depth": layout.depth,
        "num_heads": layout.num_heads,
        "mlp_ratio": layout.mlp_dim // layout.dim,
        "image_size": layout.image_size,
    }
    head = {
        "dim": layout.head_dim,
        "depth": layout.head_depth,
        "num_heads": layout.head_num_heads,
        "mlp_dim": layout.head_mlp_dim,
        "steps": weights.steps,
        "query": "zero" if layout.query_width == 1 else "estimate",
    }
    lines = [
        f'"""HaMeR with the published weights of {name}."""',
        "",
        "from mmengine.config import read_base",
        "",
        "with read_base():",
        "    from configs.hamer import *",
        "",
        f"model.backbone.update({_keywords(backbone)})",
        f"model.head.update({_keywords(head)})",
        f"augmentation.crop.update(size={layout.image_size})",
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


def _steps(content: Mapping[str, Any]) -> int:
    """IEF_ITERS of the config a Lightning file may carry; it is absent from the released one."""
    found: Any = plain(content.get("hyper_parameters", {}))
    for key in ("cfg", "MODEL", "MANO_HEAD", "IEF_ITERS"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 1
