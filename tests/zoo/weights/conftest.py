from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from registry.build import build_model_parts
from registry.config import load
from zoo.mano import procedural
from zoo.model import HandMeshModel
from zoo.weights.hamer import to_published

SMALL = {
    "model.backbone.pretrained": None,
    "model.backbone.image_size": (64, 64),
    "augmentation.crop.size": (64, 64),
    "model.backbone.dim": 64,
    "model.backbone.depth": 2,
    "model.backbone.num_heads": 1,
    "model.backbone.mlp_ratio": 2,
    "model.head.dim": 32,
    "model.head.depth": 1,
    "model.head.num_heads": 1,
    "model.head.mlp_dim": 48,
}


def build(**changes) -> HandMeshModel:
    """A small HaMeR; changes with __ for dots."""
    said = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    parts = build_model_parts(load("hamer", [f"{key}={value}" for key, value in said.items()]))
    names = ("hand", "backbone", "neck", "head", "temporal", "losses")
    built = {name: getattr(parts, name) for name in names}
    return HandMeshModel(**built, precision="fp32").eval()


@pytest.fixture(scope="session")
def small_hamer():
    """Builds a small HaMeR with other weights every time."""
    return build


@pytest.fixture(scope="session")
def published() -> dict[str, torch.Tensor]:
    """The weights of a small HaMeR under the published names."""
    torch.manual_seed(0)
    return to_published(build().state_dict(), procedural.load())


@pytest.fixture
def config_object(monkeypatch):
    """Makes objects of a library's class that can be pickled now and not be imported later."""

    def make(path: str, base: type = dict):
        module_name, _, name = path.rpartition(".")
        kind = type(name, (base,), {"__module__": module_name})
        parts = module_name.split(".")
        for end in range(1, len(parts) + 1):
            module = ModuleType(".".join(parts[:end]))
            monkeypatch.setitem(sys.modules, module.__name__, module)
        setattr(module, name, kind)
        return kind

    return make
