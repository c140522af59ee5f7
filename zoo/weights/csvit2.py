"""CS-ViT2's checkpoints (Accelerate folders, safetensors) <-> a state dict of ours, key by key."""

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
from zoo.mano.topology import PARENTS
from zoo.weights.account import Account, compare
from zoo.weights.checkpoint_file import UnreadableCheckpoint, read, state_of
from zoo.weights.csvit2_config import config_of
from zoo.weights.csvit2_layout import Layout

# Published prefix -> ours; the first that fits counts.
RENAMED = {
    "backbone.backbone.": "backbone.vit.",
    "persp_info_embedder.": "neck.",
    "handec.deccam.weight": "head.camera.linear.weight",
    "handec.deccam.bias": "head.camera.linear.bias",
    "handec.deccam.": "head.camera.",
    "handec.scale_tril": "head.statistics.scale_tril",
    "handec.output_mean": "head.statistics.output_mean",
    "handec.": "head.",
}
# What transformers called these layers when the checkpoints were written -> now.
_LAYERS = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}
_REQUIRED, _PARTS = ("backbone", "persp_info_embedder", "handec"), ("backbone", "neck", "head")
_NO_WEIGHTS = ("img_", "J_regressor_mano", "rmano_layer.", "loss_fn.", "persp_info_embedder.grid_")
_FILES = ("model.safetensors", "pytorch_model.bin")  # what Accelerate leaves in a folder
# What a grid counts shows in how far it reaches: 2000 mm, 22 hand lengths or 2 m as published.
_MM, _M = 100.0, 5.0
_JITTER = 1e-6  # on the diagonal of the recorded covariance
_ADVICE = (
    "A CS-ViT2 checkpoint holds all of backbone (DINOv2), persp_info_embedder (cross-attention) "
    "and handec. Take a checkpoint-N or best_model folder of the original trainer."
)


@dataclass(frozen=True)
class Csvit2Weights:
    """A published checkpoint in our terms."""

    state_dict: dict[str, Tensor]  # fills a model of the config that `write` leaves
    hand: HandAsset | None  # the MANO arrays of the file, under MANO's licence
    joint_regressor: Tensor | None  # (21, V) of the file
    layout: Layout
    norm_by_hand: bool  # whether the heat maps count hand lengths
    account: Account

    def describe(self) -> str:
        """The sizes that were read from the weights."""
        size = self.layout
        unit = "hand lengths" if self.norm_by_hand else "metres"
        camera = f"heat maps of {size.bins} bins in {unit}"
        return (
            f"backbone of {size.depth} blocks, {size.dim} wide, on crops of {size.image_size[0]} "
            f"px; head of {size.head_depth} layers, {size.head_dim} wide, {size.representation}, "
            f"{camera if size.camera == 'heatmap' else 'a linear camera'}"
        )


def load(file: str | Path, *, pickled_config: bool = False) -> Csvit2Weights:
    """The weights of a checkpoint, every key accounted for.

    file: an Accelerate checkpoint folder, or a .safetensors or .bin file.
    pickled_config: see `zoo.weights.checkpoint_file.read`.
    Errors: UnreadableCheckpoint, WrongCheckpoint with one report of all that is missing or wrong.
    """
    state: dict[str, Tensor] = {}
    for part in checkpoint_files(Path(file).expanduser()):
        state |= state_of(read(part, pickled_config=pickled_config))
    return from_published(state, source=str(file))


def from_content(content: Mapping[str, Any], *, source: str) -> Csvit2Weights:
    """The weights in what `zoo.weights.checkpoint_file.read` gave; errors as `from_published`."""
    return from_published(state_of(dict(content)), source=source)


def checkpoint_files(path: Path) -> list[Path]:
    """The files with weights of an Accelerate folder, or the file itself.

    Raises UnreadableCheckpoint for a folder without any.
    """
    if not path.is_dir():
        return [path]
    whole = [path / name for name in _FILES if (path / name).is_file()]
    found = whole[:1] or sorted(path.glob("model-*-of-*.safetensors"))
    if not found:
        raise UnreadableCheckpoint(
            f"{path}: no weights in this folder; an Accelerate checkpoint holds {_FILES[0]} (found "
            f"{', '.join(sorted(p.name for p in path.iterdir())[:5]) or 'nothing'})."
        )
    return found


def from_published(state: Mapping[str, Tensor], *, source: str = "CS-ViT2") -> Csvit2Weights:
    """A published state dict in our terms.

    Errors: WrongCheckpoint with one report of all that is missing or wrong.
    """
    layout = Layout.of(state)
    wanted = layout.shapes()
    account = compare(source, _weights_of(state), wanted, required=_REQUIRED)
    account.require(_ADVICE)
    ours = {our_name(key): state[key].float() for key in wanted}
    norm_by_hand = _in_metres(ours)
    return Csvit2Weights(
        state_dict={key: value for key, value in ours.items() if key is not None},
        hand=hand_of(state) if "rmano_layer.v_template" in state else None,
        joint_regressor=state.get("J_regressor_mano"),
        layout=layout,
        norm_by_hand=norm_by_hand,
        account=account,
    )


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict under the published names, in the published order; no hand in it.

    A grid of metres is published in mm, one of hand lengths as it is.
    Errors: WrongCheckpoint where the model is no CS-ViT2.
    """
    theirs = {name: value for key, value in state.items() if (name := published_name(key))}
    centers = [key for key in theirs if key.endswith("_centers")]
    if centers and max(theirs[key].abs().max().item() for key in centers) <= _M:
        theirs |= {key: theirs[key] * 1000 for key in centers}
    wanted = Layout.of(theirs).shapes()
    account = compare("this model", theirs, wanted, required=_REQUIRED)
    account.require("Only a model with CS-ViT2's backbone, neck, head and camera has its names.")
    return {key: theirs[key].contiguous() for key in wanted}


def save_published(file: str | Path, state: Mapping[str, Tensor], hand: HandAsset) -> None:
    """Writes weights and hand as the original reads them: safetensors by that name, else a pickle.

    Arguments as `to_published`.
    """
    content = to_published(state) | arrays_of(hand)
    if Path(file).suffix == ".safetensors":
        save_file(content, file)
    else:
        torch.save(content, file)


def fill(model: nn.Module, weights: Csvit2Weights) -> Account:
    """Loads the weights into a model and says what became of each; hands and losses stay.

    Errors: WrongCheckpoint where the model's backbone, neck or head is of another size or kind.
    """
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items() if published_name(k)}
    account = compare(weights.account.source, weights.state_dict, wanted, required=_PARTS)
    account.require("The model has to be built from the config that belongs to the weights.")
    model.load_state_dict({key: weights.state_dict[key] for key in wanted}, strict=False)
    return account


def write(weights: Csvit2Weights, folder: Path, *, name: str) -> list[Path]:
    """Writes weights, hand, joint regressor, statistics and config; returns the files.

    name: of the original file, for the config's first line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "model.safetensors", folder / "config.py"]
    save_file(weights.state_dict, paths[0], metadata={"format": "pt", "model": "csvit2"})
    beside: dict[str, str] = {}  # "./" is beside the config, wherever both are moved
    if weights.hand is not None:
        files.save(weights.hand, folder / "mano.npz")
        beside["asset"] = "./mano.npz"
    if weights.joint_regressor is not None:
        np.save(folder / "joint_regressor.npy", weights.joint_regressor.numpy())
        beside["joint_regressor"] = "./joint_regressor.npy"
    if weights.layout.statistics:
        np.savez(folder / "statistics.npz", **statistics_of(weights.state_dict))
        beside["statistics"] = "./statistics.npz"
    grid = grid_of(weights.state_dict) if weights.layout.camera == "heatmap" else {}
    text = config_of(
        weights.layout, name=name, grid=grid, norm_by_hand=weights.norm_by_hand, beside=beside
    )
    paths[1].write_text(text)
    return [*paths, *(folder / file for file in beside.values())]


def statistics_of(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The mean and covariance behind the de-normalising buffers of our state dict."""
    root = state["head.statistics.scale_tril"].double()
    covariance = root.mT @ root - _JITTER * torch.eye(len(root), dtype=root.dtype)
    return {"mean": state["head.statistics.output_mean"].numpy(), "cov": covariance.numpy()}


def grid_of(state: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    """The ends of the heat maps' axes, as the camera's arguments x_range, y_range and z_range."""
    axes = {axis: state[f"head.camera.{axis}_centers"] for axis in "xyz"}
    return {f"{axis}_range": (c[0].item(), c[-1].item()) for axis, c in axes.items()}


def our_name(key: str) -> str | None:
    """The name of a published weight in our state dict; None for what is no weight of ours."""
    name = _renamed(key, RENAMED)
    return name and _replaced(name, _LAYERS)


def published_name(key: str) -> str | None:
    """The published name of a weight of ours; None where there is none."""
    if key.startswith("head.hand."):
        return None
    name = _renamed(key, {ours: theirs for theirs, ours in RENAMED.items()})
    return name and _replaced(name, {now: then for then, now in _LAYERS.items()})


def hand_of(state: Mapping[str, Tensor]) -> HandAsset:
    """The hand model inside a published state dict; it stays under MANO's licence."""
    names = ("shapedirs", "v_template", "J_regressor", "posedirs", "lbs_weights", "hand_mean")
    arrays = {name: state[f"rmano_layer.{name}"].double().cpu().numpy() for name in names}
    return HandAsset(
        name="mano",
        v_template=arrays["v_template"],
        faces=state["rmano_layer.faces_tensor"].cpu().numpy().astype(np.int64),
        weights=arrays["lbs_weights"],
        posedirs=arrays["posedirs"].T.reshape(NUM_VERTICES, 3, -1),
        shapedirs=arrays["shapedirs"],
        joint_regressor=arrays["J_regressor"],
        parents=np.array(PARENTS),
        hands_mean=arrays["hand_mean"],
        hands_components=np.zeros((45, 45)),  # the file has none; nothing of ours poses by them
    )


def arrays_of(hand: HandAsset) -> dict[str, Tensor]:
    """The buffers under `rmano_layer.` that stand for a hand in a published state dict."""
    numbers = {
        "shapedirs": hand.shapedirs,
        "v_template": hand.v_template,
        "J_regressor": hand.joint_regressor,
        "posedirs": hand.posedirs.reshape(-1, hand.posedirs.shape[-1]).T,
        "lbs_weights": hand.weights,
        "hand_mean": hand.hands_mean,
        "pose_mean": np.concatenate((np.zeros(3), hand.hands_mean)),
    }
    arrays = {key: np.array(value, np.float32, order="C") for key, value in numbers.items()}
    arrays["faces_tensor"] = np.array(hand.faces, np.int64)
    return {f"rmano_layer.{key}": torch.from_numpy(value) for key, value in arrays.items()}


def _in_metres(state: dict[str, Tensor]) -> bool:
    """Turns a grid of millimetres into metres; True where it counts hand lengths instead."""
    names = [f"head.camera.{axis}_centers" for axis in "xyz"]
    if not all(name in state for name in names):
        return False
    if max(state[name].abs().max().item() for name in names) <= _MM:
        return True
    for name in names:
        state[name] = state[name] / 1000
    return False


def _weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is left without hands, losses and constants, and without a Stage 2 never trained."""
    used = {key: value for key, value in state.items() if not key.startswith(_NO_WEIGHTS)}
    last = [value for key, value in used.items() if key.startswith("temporal_refiner.zero_linear")]
    if not any(bool(value.any()) for value in last if not value.is_meta):
        used = {k: v for k, v in used.items() if not k.startswith("temporal_refiner.")}
    return used


def _renamed(key: str, prefixes: Mapping[str, str]) -> str | None:
    for before in sorted(prefixes, key=len, reverse=True):
        if key.startswith(before):
            return prefixes[before] + key[len(before) :]
    return None


def _replaced(key: str, layers: Mapping[str, str]) -> str:
    if not key.startswith(("backbone.", "backbone.backbone.")):
        return key
    for before, after in layers.items():
        key = key.replace(before, after)
    return key
