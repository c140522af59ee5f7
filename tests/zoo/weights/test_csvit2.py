from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from registry.build import build_model_parts
from registry.config import load as load_config
from zoo.mano import procedural
from zoo.model import HandMeshModel
from zoo.weights.account import WrongCheckpoint
from zoo.weights.checkpoint_file import UnreadableCheckpoint
from zoo.weights.csvit2 import (
    arrays_of,
    fill,
    from_published,
    load,
    our_name,
    published_name,
    save_published,
    statistics_of,
    to_published,
    write,
)
from zoo.weights.families import named, of_ours, of_published

RECORDED = json.loads(
    (Path(__file__).parents[2] / "oracles" / "csvit2_state_dict.json").read_text()
)
VIT = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "patch_size": 14}
SMALL = {
    "model.backbone.pretrained": None,
    "model.backbone.image_size": (56, 56),
    "augmentation.crop.size": (56, 56),
    "model.backbone.config": VIT | {"image_size": 70},
    "model.neck.num_heads": 1,
    "model.head.dim": 64,
    "model.head.depth": 1,
    "model.head.num_heads": 1,
    "model.head.mlp_dim": 96,
}
LENGTHS, METRES = (("csvit2", True), ("csvit2_metres", False))


def build(config: str, *, seed: int = 0, **changes) -> HandMeshModel:
    torch.manual_seed(seed)
    said = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    parts = build_model_parts(load_config(config, [f"{k}={v}" for k, v in said.items()]))
    names = ("hand", "backbone", "neck", "head")
    return HandMeshModel(**{name: getattr(parts, name) for name in names}, precision="fp32")


def small(config: str, *, seed: int = 0) -> HandMeshModel:
    bins = {"model__head__camera__bins": (8, 9, 10)} if config != "csvit2_old" else {}
    return build(config, seed=seed, **bins)


def same(one: HandMeshModel, other: HandMeshModel) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[key], b[key]) for key in a if published_name(key))


@pytest.fixture(scope="module")
def february() -> dict[str, torch.Tensor]:
    """A small model's weights under the published names, with the buffers the originals hold."""
    state = to_published(small("csvit2").state_dict())
    state |= {"img_mean": torch.zeros(3), "loss_fn.x_centers": torch.zeros(8)}
    return state | {"temporal_refiner.zero_linear.weight": torch.zeros(64, 64)}


@pytest.mark.parametrize(("config", "norm_by_hand"), [LENGTHS, METRES, ("csvit2_old", False)])
@pytest.mark.parametrize("kind", ["folder", "pieces", "safetensors", "bin"])
def test_weights_go_out_and_come_back_the_same(config, norm_by_hand, kind, tmp_path):
    model = small(config)
    published = to_published(model.state_dict())
    place = tmp_path / "checkpoint-9000"
    place.mkdir()
    names = list(published)
    if kind == "pieces":
        for i, part in enumerate((names[::2], names[1::2]), 1):
            piece = {key: published[key].contiguous() for key in part}
            save_file(piece, place / f"model-0000{i}-of-00002.safetensors")
    elif kind == "bin":
        torch.save(published, place / "pytorch_model.bin")
    else:
        save_file(published, place / "model.safetensors")
    weights = load(place / "model.safetensors" if kind == "safetensors" else place)
    assert weights.norm_by_hand == norm_by_hand
    other = small(config, seed=1)
    assert not same(model, other)
    account = fill(other, weights)
    assert [module.name for module in account.modules] == ["backbone", "neck", "head"]
    assert all(module.matched == module.total > 0 for module in account.modules)
    if config == "csvit2_metres":  # centres go through millimetres
        for axis in "xyz":
            name = f"head.camera.{axis}_centers"
            ours = other.state_dict()[name]
            torch.testing.assert_close(ours, model.state_dict()[name], rtol=1e-6, atol=1e-7)
            model.state_dict()[name].copy_(ours)
    assert same(model, other)


def test_every_recorded_weight_has_a_name_of_ours_and_back():
    for version in RECORDED.values():
        for key in version:
            if key.startswith(("backbone.", "handec.")) or "embedder.net" in key:
                assert published_name(our_name(key)) == key
    assert our_name("rmano_layer.betas") is None
    assert our_name("img_mean") is None


def test_a_grid_of_millimetres_becomes_metres_and_one_of_hand_lengths_stays(february):
    lengths = from_published(february)
    assert lengths.norm_by_hand
    in_mm = {k: v * 87 if k.endswith("_centers") else v for k, v in february.items()}
    metres = from_published(in_mm)
    assert not metres.norm_by_hand
    for axis in "xyz":
        key, ours = f"handec.deccam.{axis}_centers", f"head.camera.{axis}_centers"
        assert torch.equal(lengths.state_dict[ours], february[key])
        torch.testing.assert_close(metres.state_dict[ours], february[key] * 0.087)


def test_a_file_of_something_else_is_refused_with_the_share_of_every_module():
    with pytest.raises(WrongCheckpoint) as raised:
        from_published({"encoder.weight": torch.zeros(3)}, source="other.safetensors")
    said = str(raised.value)
    for module in ("backbone", "persp_info_embedder", "handec"):
        (line,) = [line for line in said.splitlines() if line.strip().startswith(module + " ")]
        assert " 0 of " in line
        assert "incomplete" in line
    assert "not used: encoder.weight" in said
    assert "checkpoint-N" in said


def test_one_missing_weight_is_named(february):
    state = {k: v for k, v in february.items() if k != "handec.decpose.bias"}
    with pytest.raises(WrongCheckpoint, match=r"handec\.decpose\.bias is missing"):
        from_published(state)


def test_weights_of_another_size_do_not_fill_a_model(february):
    model = build("csvit2", model__head__camera__bins=(8, 9, 11))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WrongCheckpoint, match=r"decz\.weight has shape \(10, 64\), wanted \(11"):
        fill(model, from_published(february))
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())


def test_constants_and_an_untrained_second_stage_are_no_surprise_but_a_trained_one_is(february):
    assert from_published(february).account.unexpected == ()
    trained = february | {"temporal_refiner.zero_linear.weight": torch.ones(64, 64)}
    account = from_published(trained).account
    assert account.unexpected == ("temporal_refiner.zero_linear.weight",)


def test_an_empty_folder_says_what_it_should_hold(tmp_path):
    (tmp_path / "optimizer.bin").write_bytes(b"")
    with pytest.raises(UnreadableCheckpoint, match=r"model\.safetensors \(found optimizer\.bin\)"):
        load(tmp_path)


def with_hand(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict with a hand in it, as the original stores MANO's."""
    regressor = torch.eye(778)[:21]  # any rows that sum to one
    return state | arrays_of(procedural.load()) | {"J_regressor_mano": regressor}


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_published_file_holds_weights_and_hand(name, tmp_path):
    model, hand = small("csvit2"), procedural.load()
    save_published(tmp_path / name, model.state_dict(), hand)
    weights = load(tmp_path)
    other = small("csvit2", seed=1)
    fill(other, weights)
    assert same(model, other)
    for array in ("v_template", "posedirs", "shapedirs", "weights", "joint_regressor"):
        np.testing.assert_allclose(getattr(weights.hand, array), getattr(hand, array), atol=1e-6)
    assert "hand lengths" in weights.describe()


def test_the_command_line_finds_the_family_by_its_names(february):
    assert of_published(february).name == "csvit2"
    assert of_ours(small("csvit2").state_dict()).name == "csvit2"
    weights = named("csvit2").reader().from_content({"state_dict": february}, source="x")
    assert weights.account.problems == []


@pytest.mark.parametrize("config", ["csvit2", "csvit2_metres", "csvit2_old"])
def test_what_is_written_builds_a_model_that_the_weights_fill(config, tmp_path):
    state = to_published(small(config).state_dict())
    if config == "csvit2_old":
        root = torch.linalg.cholesky(torch.eye(61) * 4 + 0.5).mT.contiguous()
        state |= {"handec.scale_tril": root, "handec.output_mean": torch.arange(61.0)}
    weights = from_published(with_hand(state))
    paths = write(weights, tmp_path / "converted", name="checkpoint-9000")
    assert all(path.is_file() for path in paths)
    (tmp_path / "converted").rename(tmp_path / "moved")
    assert str(tmp_path) not in (tmp_path / "moved" / "config.py").read_text()
    parts = build_model_parts(load_config(tmp_path / "moved" / "config.py"))
    names = ("hand", "backbone", "neck", "head")
    model = HandMeshModel(**{name: getattr(parts, name) for name in names}, precision="fp32")
    fill(model, weights)
    filled = model.state_dict()
    for key, value in weights.state_dict.items():
        torch.testing.assert_close(filled[key], value, rtol=1e-6, atol=1e-6)
    assert model.hand.name == "mano"
    if config == "csvit2_old":
        covariance = statistics_of(weights.state_dict)["cov"]
        np.testing.assert_allclose(covariance, np.eye(61) * 4 + 0.5, atol=1e-4)
