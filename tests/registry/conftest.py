"""Real but tiny parts under names of their own, taken out again after each test."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from registry.catalog import SLOTS
from zoo.contracts import (
    CameraPose,
    CameraReading,
    CropView,
    HandMesh,
    HandQuery,
    HandTarget,
    Prediction,
)


class PoolingBackbone(nn.Module):
    """One token a quarter of the picture, and none before them."""

    token_grid = (2, 2)
    num_prefix_tokens = 1
    tiny: ClassVar[dict[str, Any]] = {"token_dim": 4, "image_size": (16, 16)}

    def __init__(self, *, token_dim: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.token_dim, self.image_size = token_dim, image_size
        self.project = nn.Linear(3, token_dim)

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(images, 2).flatten(2).mT
        return self.project(torch.cat((pooled.mean(1, keepdim=True), pooled), dim=1))


class ScalingNeck(nn.Module):
    """Tokens times one learnt number each."""

    def __init__(self, *, token_dim: int, num_tokens: int, scale: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((num_tokens, token_dim), scale))

    def forward(self, tokens: Tensor, view: CropView) -> Tensor:
        return tokens * self.gain


class PlainCamera(nn.Module):
    """A wrist position read straight from the token."""

    provides = frozenset({"depth"})
    num_values = 3

    def __init__(self, *, query_dim: int, crop_width: int) -> None:
        super().__init__()
        self.crop_width = crop_width
        self.linear = nn.Linear(query_dim, 3)
        self.register_buffer("initial", torch.zeros(3))

    def forward(self, token: Tensor, estimate: Tensor | None, view: CropView) -> CameraReading:
        values = self.linear(token)
        return CameraReading(values, CameraPose(values, "wrist", view.intrinsics))


class FlatHead(nn.Module):
    """An open hand wherever the camera read-out puts it."""

    def __init__(
        self,
        *,
        token_dim: int,
        camera: PlainCamera,
        dim: int = 6,
        steps: int = 1,
        init: Literal["mean", "zero"] = "mean",
    ) -> None:
        super().__init__()
        self.query_dim, self.camera, self.provides = dim, camera, camera.provides
        self.steps, self.linear = steps, nn.Linear(token_dim, dim)

    def query(self, tokens: Tensor, view: CropView) -> HandQuery:
        return HandQuery(self.linear(tokens.mean(1)))

    def read(self, query: HandQuery, view: CropView) -> Prediction:
        batch = len(query.token)
        rotmats = torch.eye(3).expand(batch, 16, 3, 3)
        reading = self.camera(query.token, None, view)
        return Prediction(rotmats, torch.zeros(batch, 10), reading.pose)


class HeadWithoutRead(nn.Module):
    """A head somebody forgot to finish."""

    provides = frozenset()
    query_dim = 3

    def query(self, tokens: Tensor, view: CropView) -> HandQuery:
        return HandQuery(tokens[:, 0])


class DepthLoss(nn.Module):
    """A loss that reads what only some heads tell."""

    needs = frozenset({"depth"})

    def __init__(self, *, weight: float, crop_width: int | None, unit: str = "m") -> None:
        super().__init__()
        self.weight, self.crop_width = weight, crop_width

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        return prediction.camera.position[:, 2].mean()


class MaskLoss(DepthLoss):
    needs = frozenset({"mask"})


class SquareCrop:
    """Only remembers its size."""

    def __init__(self, *, size: tuple[int, int], expand: float) -> None:
        self.size, self.expand = size, expand


PARTS: dict[str, dict[str, type]] = {
    "backbone": {"pooling": PoolingBackbone},
    "neck": {"scaling": ScalingNeck},
    "head": {"flat": FlatHead, "unfinished": HeadWithoutRead},
    "camera": {"plain": PlainCamera},
    "loss": {"depth": DepthLoss, "mask": MaskLoss},
    "crop": {"square": SquareCrop},
}


@pytest.fixture(autouse=True)
def clean_slots() -> Iterator[None]:
    """Every slot as it was before the test."""
    kept = {slot: copy.copy(vars(slot)) for slot in SLOTS.values()}
    for slot, state in kept.items():
        vars(slot).update({k: v.copy() if isinstance(v, dict) else v for k, v in state.items()})
    yield
    for slot, state in kept.items():
        vars(slot).update(state)


@pytest.fixture
def parts(clean_slots: None) -> dict[str, dict[str, type]]:
    """The tiny parts, registered."""
    for slot, named in PARTS.items():
        for name, part in named.items():
            SLOTS[slot].register(name)(part)
    return PARTS


@pytest.fixture
def config(parts: dict[str, dict[str, type]]) -> dict[str, Any]:
    """A config that builds."""
    return {
        "model": {
            "hand": {"asset": "clayhand"},
            "backbone": {"type": "pooling", "token_dim": 8, "image_size": (32, 32)},
            "neck": {"type": "scaling"},
            "head": {"type": "flat", "camera": {"type": "plain"}},
            "losses": {"depth": {"type": "depth", "weight": 0.5}},
        },
        "augmentation": {"crop": {"type": "square", "size": (32, 32), "expand": 2.0}},
    }
