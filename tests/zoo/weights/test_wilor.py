"""WiLoR's names map onto ours one to one, and every key is accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from registry.build import build_model_parts
from registry.config import load as load_config
from zoo.mano import files, procedural
from zoo.model import HandMeshModel
from zoo.weights.account import WrongCheckpoint
from zoo.weights.families import of_ours, of_published
from zoo.weights.hamer_layout import Layout
from zoo.weights.wilor import fill, from_published, load, save_published, to_published, write
from zoo.weights.wilor_layout import WilorLayout

ORACLES = Path(__file__).parents[2] / "oracles"
SMALL = {
    "model.backbone.pretrained": None,
    "model.backbone.image_size": (64, 64),
    "augmentation.crop.size": (64, 64),
    "model.backbone.dim": 64,
    "model.backbone.depth": 2,
    "model.backbone.num_heads": 1,
    "model.backbone.mlp_ratio": 2,
    "model.head.query_dim": 28,
}


def build() -> HandMeshModel:
    changes = [f"{key}={value}" for key, value in SMALL.items()]
    parts = build_model_parts(load_config("wilor", changes))
    names = ("hand", "backbone", "neck", "head", "temporal", "losses")
    return HandMeshModel(**{n: getattr(parts, n) for n in names}, precision="fp32").eval()


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    return to_published(build().state_dict(), procedural.load())


def test_the_layout_is_the_published_one_key_by_key():
    wanted = json.loads((ORACLES / "wilor_state_dict.json").read_text())
    shapes = WilorLayout(Layout()).shapes()
    assert {key: list(shape) for key, shape in shapes.items()} == {
        key: shape for key, (shape, _) in wanted.items()
    }
    assert list(shapes) == list(wanted)


def test_the_full_model_has_the_published_number_of_weights():
    with torch.device("meta"):
        parts = build_model_parts(load_config("wilor", ["model.backbone.pretrained=None"]))

    def count(module):
        return sum(p.numel() for p in module.parameters())

    coarse = count(parts.head.coarse)
    # The 109 numbers of the average hand are buffers there and counted with the weights.
    assert count(parts.backbone) + coarse + 109 == 630_964_499 + 109
    assert count(parts.head) - coarse == 8_316_429


def test_weights_go_there_and_back(published, tmp_path):
    save_published(
        tmp_path / "wilor.ckpt", {k: v for k, v in build().state_dict().items()}, procedural.load()
    )
    model = build()
    fill(model, from_published(published))
    again = to_published(model.state_dict(), procedural.load())
    assert list(again) == list(published)
    for key, value in published.items():
        assert torch.equal(again[key], value), key


def test_what_is_written_builds_and_fills_a_model(published, tmp_path):
    torch.save({"state_dict": published}, tmp_path / "wilor_final.ckpt")
    weights = load(tmp_path / "wilor_final.ckpt")
    model_file, config_file, hand_file = write(weights, tmp_path / "zoo", name="wilor_final.ckpt")
    config = load_config(str(config_file))
    assert config["model"]["head"]["sampling"] == "as_released"
    parts = build_model_parts(config)
    names = ("hand", "backbone", "neck", "head", "temporal", "losses")
    model = HandMeshModel(**{n: getattr(parts, n) for n in names}, precision="fp32")
    found = model.load_state_dict(load_file(model_file), strict=False)
    assert not found.unexpected_keys
    assert all("adversarial" in key for key in found.missing_keys)
    assert files.load(hand_file).name == "mano"


def test_each_family_knows_its_own(published):
    assert of_published(published).name == "wilor"
    assert of_ours(build().state_dict()).name == "wilor"


def test_a_missing_weight_is_named(published):
    broken = {k: v for k, v in published.items() if k != "refine_net.dec_cam.weight"}
    with pytest.raises(WrongCheckpoint, match=r"refine_net.dec_cam.weight is missing"):
        from_published(broken)
