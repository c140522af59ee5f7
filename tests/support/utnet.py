"""What was recorded from UTNet, and its weights by rule under our parts' names."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from zoo.backbones.utnet import UTNetViT
from zoo.contracts import CropView, HandAsset
from zoo.heads.cameras.utnet import UTNetCamera
from zoo.heads.graph_refiner import GraphRefiner
from zoo.mano.layer import ManoLayer

ORACLES = Path(__file__).parents[1] / "oracles"
ARRAYS = {**np.load(ORACLES / "utnet.npz"), **np.load(ORACLES / "utnet_rgbd.npz")}
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
READOUTS = {"dec_pose", "dec_shape", "dec_cam"}
NATIVE = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 8, 12, 20, 16, 4]
# Where labels of the original stand among our 21: wrist, index, middle, pinky, ring, thumb, tips.


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(ARRAYS[name])


def all_recorded(prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): recorded(name) for name in ARRAYS if name.startswith(prefix)}


def close(found: torch.Tensor, name: str) -> None:
    torch.testing.assert_close(found, recorded(name), **CLOSE)


def weight(by_rule: SimpleNamespace, key: str, shape: tuple[int, ...]) -> torch.Tensor:
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if leaf == "running_mean":
        return by_rule.normal(key, shape, 0.1)
    if leaf == "weight" and READOUTS & set(key.split(".")):
        return by_rule.normal(key, shape, 0.1 / math.sqrt(shape[1]))
    return by_rule.weight(key, shape)


def filled(
    by_rule: SimpleNamespace, module: nn.Module, original: Callable[[str], str] = lambda key: key
) -> nn.Module:
    """The module in evaluation mode, its weights by rule and the average hand as it is."""
    state = module.state_dict()
    for key, value in state.items():
        if not key.rsplit(".", 1)[-1].startswith("init_"):
            state[key] = weight(by_rule, original(key), tuple(value.shape))
    module.load_state_dict(state)
    return module.eval()


def embedding_name(key: str) -> str:
    """The name in the original of a weight of our backbone."""
    key = key.replace("patch_embed.proj", "rgb_embed.patch_embed.proj")
    key = key.replace("patch_norm.", "rgb_embed.patch_embed.norm.")
    key = key.replace("depth_embed.", "depth_embed.patch_embed.")
    if key == "pos_embed":
        return "rgb_embed.pos_embed.pos_embed"
    return "depth_embed.placeholder.placeholder" if key == "placeholder" else key


def readout_name(key: str) -> str:
    for ours in ("pose", "shape", "cam"):
        key = key.replace(f"dec{ours}.", f"dec_{ours}.")
    return key


def backbone_name(key: str) -> str:
    room = "vit_backbone" if key.startswith(("blocks", "last_norm")) else "modality_fusion"
    return f"{room}.{embedding_name(key)}"


def head_name(key: str) -> str:
    for ours, theirs in (("coarse.", "vit_backbone."), ("upsampler.", "deconv_upsampler.")):
        if key.startswith(ours):
            return theirs + readout_name(key.removeprefix(ours))
    return f"gcn_refinement.{layer_name(key)}"


def layer_name(key: str) -> str:
    for index in range(3):
        key = key.replace(f"layers.{index}.", f"layers.{index}.linear.")
    return key


def mean_file(folder: Path) -> Path:
    """The average hand as the original reads it."""
    path = folder / "mean.npz"
    np.savez(path, pose=ARRAYS["mean_pose_6d"], shape=ARRAYS["mean_shape"])
    return path


def recorded_hand() -> ManoLayer:
    arrays = dict(np.load(ORACLES / "csvit2_hand.npz"))
    arrays.pop("regressor21")
    arrays["hands_components"] = np.eye(45)
    return ManoLayer(asset=HandAsset(name="recorded", **arrays), tips="manopth")


def view_of(images: torch.Tensor) -> CropView:
    batch = len(images)
    return CropView(
        images=images,
        intrinsics=torch.eye(3).expand(batch, 3, 3),
        hand_box=torch.zeros(batch, 4),
        frame_from_crop=torch.eye(3).expand(batch, 3, 3),
        is_left=torch.zeros(batch, dtype=torch.bool),
    )


def picture(name: str) -> torch.Tensor:
    """A recorded run's input: blobs on a lattice of 16 px plus grain, (3, 256, 256) in [0, 1]."""

    def words(of: str, count: int) -> np.ndarray:
        key = np.frombuffer(hashlib.sha256(f"public:{of}".encode()).digest()[:16], dtype="<u8")
        return np.atleast_1d(
            np.random.Philox(counter=0, key=key.astype(np.uint64)).random_raw(count)
        )

    lattice = (words(name, 17 * 17 * 3) >> np.uint64(56)).astype(np.int64).reshape(17, 17, 3)
    at = np.arange(256)
    down, across = (at % 16)[:, None, None], (at % 16)[None, :, None]
    rows = lattice[at // 16] * (16 - down) + lattice[at // 16 + 1] * down
    smooth = (rows[:, at // 16] * (16 - across) + rows[:, at // 16 + 1] * across) >> 8
    grain = (words(f"{name}/grain", smooth.size) >> np.uint64(60)).astype(np.int64)
    pixels = (smooth * 15 // 16 + grain.reshape(smooth.shape)).astype(np.uint8)
    return torch.from_numpy(pixels).float().permute(2, 0, 1) / 255


class Network:
    """The whole network as it was released, its average hand seen by a camera of `initial`."""

    def __init__(
        self,
        by_rule: SimpleNamespace,
        *,
        modality: str,
        initial: list[float],
        mean_params: Path,
        representation: str,
    ) -> None:
        start = {"mean_params": mean_params, "representation": representation}
        sizes = {"dim": 64, "depth": 2, "num_heads": 4, "initial_camera": initial}
        self.backbone = UTNetViT(grid="as_released", modality=modality, **start, **sizes)
        filled(by_rule, self.backbone, backbone_name)
        both = {"projection": "as_released", "width": "as_released"}
        self.hand = recorded_hand()
        self.head = GraphRefiner(
            token_dim=64,
            token_grid=self.backbone.token_grid,
            num_prefix_tokens=18,
            image_size=(256, 256),
            camera=UTNetCamera(dim=256, initial=initial, **both),
            hand=self.hand,
            channels=32,
            sampling="as_released",
            rotations="as_released",
            **start,
        )
        filled(by_rule, self.head, head_name)
