"""Weights that follow from their names, as the recorded runs had them: nothing large is stored."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from registry.build import build_model_parts
from registry.config import load
from zoo.contracts import CropView, HandAsset
from zoo.mano.files import save
from zoo.model import HandMeshModel
from zoo.weights import hamer as converter
from zoo.weights.hamer_layout import Layout

ORACLES = Path(__file__).parents[1] / "oracles"
# Read-outs were recorded at a tenth of the usual scale, so that outputs stay of order one.
READOUTS = {"decpose", "decshape", "deccam"}
PAIRS = np.uint64(0x0000FFFF0000FFFF)
CHUNK = 1 << 16  # stays in a core's cache


def normal(name: str, shape: tuple[int, ...], std: float = 1.0, mean: float = 0.0) -> torch.Tensor:
    """Reproducible numbers of a name: the sum of a random word's four 16-bit parts, scaled."""
    key = np.frombuffer(hashlib.sha256(f"public:{name}".encode()).digest()[:16], dtype="<u8")
    bits, numbers = np.random.Philox(counter=0, key=key), np.empty(math.prod(shape), np.float32)
    scale = std / math.sqrt((2.0**32 - 1) / 3)
    for start in range(0, len(numbers), CHUNK):
        words = np.atleast_1d(bits.random_raw(min(CHUNK, len(numbers) - start)))
        pairs = (words & PAIRS) + ((words >> np.uint64(16)) & PAIRS)  # two sums in one word
        total = (pairs & np.uint64(0xFFFFFFFF)) + (pairs >> np.uint64(32))
        numbers[start : start + CHUNK] = (total.astype(np.int64) - 131070) * scale + mean
    return torch.from_numpy(numbers.reshape(shape))


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weight that belongs to a name of the original state dict."""
    if key.endswith("bias") or "pos_embed" in key:
        return normal(key, shape, 0.02)
    if len(shape) == 1:  # gains of normalisation layers
        return normal(key, shape, 0.1, 1.0)
    gain = 0.1 if READOUTS & set(key.split(".")) else 1.0
    return normal(key, shape, gain / math.sqrt(math.prod(shape[1:])))


def fill(
    module: nn.Module,
    prefix: str,
    *,
    original: Callable[[str], str] = lambda key: key,
    given: Mapping[str, torch.Tensor] | None = None,
    gains: Mapping[str, float] | None = None,
) -> nn.Module:
    """The module in evaluation mode, every weight by rule unless it is given.

    original: our name -> the name in the original state dict, without `prefix`.
    gains: part of an original name -> factor on the weights that hold it.
    """
    state = {}
    for key, value in module.state_dict().items():
        if key in (given or {}):
            state[key] = given[key].reshape(value.shape)
            continue
        name = prefix + original(key)
        state[key] = weight(name, tuple(value.shape))
        for part, gain in (gains or {}).items():
            if part in name:
                state[key] = state[key] * gain
    module.load_state_dict(state)
    return module.eval()


@pytest.fixture(scope="session")
def by_rule() -> SimpleNamespace:
    """`normal(name, shape)`, `weight(key, shape)` and `fill(module, prefix)`."""
    return SimpleNamespace(normal=normal, weight=weight, fill=fill)


class HamerCase:
    """HaMeR as configs/hamer.py builds it, at small depth, its weights by rule."""

    def __init__(self, folder: Path) -> None:
        recorded = np.load(ORACLES / "hamer_hand.npz")
        fields = {f.name for f in dataclasses.fields(HandAsset)} & set(recorded.files)
        arrays = {name: recorded[name] for name in fields}
        arrays["hands_components"] = np.pad(arrays["hands_components"], ((0, 39), (0, 0)))
        self.hand = HandAsset(name="recorded", **arrays)
        self.mean_params = {k: recorded[f"mean_params.{k}"] for k in ("pose", "shape", "cam")}
        self.folder, self._weights = folder, {}
        save(self.hand, folder / "hand.npz")

    def published(self, depth: int) -> dict[str, torch.Tensor]:
        """The recorded model's state dict under its own names."""
        start = {"init_hand_pose": "pose", "init_betas": "shape", "init_cam": "cam"}
        state = {f"mano.{key}": value for key, value in converter.arrays_of(self.hand).items()}
        for key, shape in Layout(depth=depth).shapes().items():
            leaf = key.rsplit(".", 1)[-1]
            if leaf in start:
                state[key] = torch.from_numpy(self.mean_params[start[leaf]])[None]
            elif key != "initialized" and not key.startswith("mano."):
                if key not in self._weights:
                    self._weights[key] = weight(key, shape)
                state[key] = self._weights[key]
        return state

    def model(self, depth: int) -> HandMeshModel:
        """The whole model in evaluation mode and fp32."""
        changes = {
            "model.hand.asset": self.folder / "hand.npz",
            "model.backbone.pretrained": None,
            "model.backbone.depth": depth,
            "model.precision": "fp32",
        }
        parts = build_model_parts(load("hamer", [f"{k}={v}" for k, v in changes.items()]))
        names = ("hand", "backbone", "neck", "head", "temporal", "losses")
        built = {name: getattr(parts, name) for name in names}
        model = HandMeshModel(**built, precision="fp32")
        converter.fill(model, converter.from_published(self.published(depth)))
        return model.eval()

    def view(self, normalised: torch.Tensor, model: HandMeshModel) -> CropView:
        """What the network sees where the original was given normalised pictures."""
        batch = len(normalised)
        return CropView(
            images=normalised * model.backbone.std + model.backbone.mean,
            intrinsics=torch.eye(3).expand(batch, 3, 3),
            hand_box=torch.zeros(batch, 4),
            frame_from_crop=torch.eye(3).expand(batch, 3, 3),
            is_left=torch.zeros(batch, dtype=torch.bool),
        )


@pytest.fixture(scope="session")
def hamer(tmp_path_factory) -> HamerCase:
    """`hamer.model(depth)` and what it is given."""
    return HamerCase(tmp_path_factory.mktemp("hamer"))


@pytest.fixture(scope="session")
def csvit2_losses() -> Callable[..., object]:
    """`csvit2_losses(file, detach_wrist=False)`: recorded losses of CS-ViT2, see tests/support."""
    support = _support("csvit2_losses")
    return lambda file, **hand: support.Recorded(file, support.recorded_hand(**hand))


@pytest.fixture(scope="session")
def csvit2_hand(tmp_path_factory) -> dict[str, str]:
    """The `--set` lines of the recordings' hand and of its joints, read from the surface."""
    folder = tmp_path_factory.mktemp("csvit2_hand")
    asset, regressor = _support("csvit2_losses").recorded_asset()
    save(asset, folder / "hand.npz")
    np.save(folder / "regressor.npy", regressor)
    files = {"asset": "hand.npz", "joint_regressor": "regressor.npy"}
    return {f"model.hand.{name}": str(folder / file) for name, file in files.items()}


@pytest.fixture(scope="session")
def csvit2_network() -> ModuleType:
    """Recorded networks of CS-ViT2, `model_of(version, ...)` and `view()`, see tests/support."""
    return _support("csvit2_network")


@pytest.fixture(scope="session")
def utnet() -> ModuleType:
    """What was recorded from UTNet, and `Network(by_rule, ...)` as released, see tests/support."""
    return _support("utnet")


def _support(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "support" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_support", path)
    support = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = support  # its dataclasses look themselves up there
    spec.loader.exec_module(support)
    return support
