from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from registry.build import build_model_parts
from registry.config import load as load_config
from zoo.contracts import NUM_VERTICES
from zoo.mano import files, procedural
from zoo.weights.account import WrongCheckpoint
from zoo.weights.hamer import (
    arrays_of,
    fill,
    from_published,
    hand_of,
    load,
    our_name,
    published_name,
    save_published,
    to_published,
    write,
)
from zoo.weights.hamer_layout import Layout

ORACLES = Path(__file__).parents[2] / "oracles"


@pytest.fixture(scope="module")
def full():
    """configs/hamer.py at full size, without memory for its weights."""
    with torch.device("meta"):
        config = load_config("hamer", ["model.backbone.pretrained=None"])
        parts = build_model_parts(config)
    kept = {name: getattr(parts, name) for name in ("backbone", "head")}
    return torch.nn.ModuleDict({**kept, "losses": torch.nn.ModuleDict(parts.losses)})


def test_the_full_model_has_the_published_number_of_trainable_parameters(full):
    def count(module):
        return sum(p.numel() for p in module.parameters() if p.requires_grad)

    assert count(full["backbone"]) == 630_912_000
    assert count(full["head"]) == 39_497_837
    assert count(full) == 670_409_837
    main, judge = json.loads((ORACLES / "hamer_optimizers.json").read_text())
    assert len([p for p in full.parameters() if p.requires_grad]) == main[0]["n_params"]
    assert count(full) == main[0]["n_elements"]
    learner = list(full["losses"]["adversarial"].discriminator.parameters())
    assert len(learner) == judge[0]["n_params"]
    assert sum(p.numel() for p in learner) == judge[0]["n_elements"]


def test_both_optimisers_have_the_published_settings():
    (main,), (judge,) = json.loads((ORACLES / "hamer_optimizers.json").read_text())
    config = load_config("hamer")
    said = config["optim_wrapper"]["optimizer"]
    assert said["type"] == "AdamW"
    for key in ("lr", "weight_decay", "eps"):
        assert said[key] == main[key]
    assert list(said["betas"]) == main["betas"]
    prior = config["model"]["losses"]["adversarial"]
    assert {key: prior[key] for key in ("lr", "weight_decay")} == {
        key: judge[key] for key in ("lr", "weight_decay")
    }
    assert config["optim_wrapper"].get("clip_grad") is None


def test_exported_keys_shapes_and_types_are_the_recorded_ones(full):
    recorded = json.loads((ORACLES / "hamer_state_dict.json").read_text())
    exported = to_published(full.state_dict(), procedural.load())
    assert list(exported) == list(recorded)
    said = {
        key: [list(value.shape), str(value.dtype).removeprefix("torch.")]
        for key, value in exported.items()
    }
    assert said == recorded


def test_every_name_leads_there_and_back():
    shapes = Layout().shapes()
    ours = {key: our_name(key) for key in shapes}
    assert {key.split(".")[0] for key, name in ours.items() if name is None} == {
        "mano",
        "initialized",
    }
    assert all(published_name(name) == key for key, name in ours.items() if name is not None)
    assert len(set(ours.values()) - {None}) == 563 - 14
    assert published_name("data_preprocessor.draws") is None
    assert published_name("losses.adversarial.draws") is None


@pytest.mark.parametrize("form", ["file", "bare", "safetensors"])
def test_a_checkpoint_fills_a_model_and_comes_back_bit_for_bit(
    form, published, small_hamer, tmp_path
):
    file = tmp_path / "hamer.ckpt"
    if form == "file":
        save_published(file, small_hamer().state_dict(), procedural.load())
        torch.save({**torch.load(file), "state_dict": published}, file)
    else:
        torch.save(published, file)
    weights, model = load(file), small_hamer()
    if form == "safetensors":
        weights = from_published(published)
    fill(model, weights)
    again = to_published(model.state_dict(), weights.hand)
    assert list(again) == list(published)
    assert all(torch.equal(again[key], value) for key, value in published.items())
    assert [(m.name, m.matched == m.total) for m in weights.account.modules] == [
        ("initialized", True),
        ("backbone", True),
        ("mano_head", True),
        ("discriminator", True),
        ("mano", True),
    ]


def test_sizes_are_read_from_the_weights(published):
    layout = from_published(published).layout
    assert layout == Layout(
        dim=64,
        depth=2,
        mlp_dim=128,
        positions=13,
        head_dim=32,
        head_depth=1,
        head_inner=64,
        head_mlp_dim=48,
        query_width=1,
    )
    assert layout.image_size == (64, 64)
    assert Layout().image_size == (256, 256)
    assert (Layout().num_heads, Layout().head_num_heads) == (16, 8)


def test_a_written_folder_is_a_config_its_weights_and_their_hand(published, small_hamer, tmp_path):
    weights = from_published(published)
    paths = write(weights, tmp_path / "hamer", name="hamer.ckpt")
    assert [path.name for path in paths] == ["model.safetensors", "config.py", "mano.npz"]
    config = load_config(paths[1])
    parts = build_model_parts(config)
    assert config["augmentation"]["crop"]["size"] == (64, 64)
    stored = load_file(paths[0])
    model = torch.nn.ModuleDict({"backbone": parts.backbone, "head": parts.head})
    wanted = {key for key in stored if not key.startswith("losses.")}
    assert set(model.state_dict()) == wanted
    model.load_state_dict({key: stored[key] for key in wanted})
    np.testing.assert_allclose(
        parts.hand.skinning.v_template.numpy(), procedural.load().v_template, atol=1e-7
    )


def test_a_model_of_the_mean_query_keeps_its_kind_and_its_steps(small_hamer, tmp_path):
    changes = {"model__head__query": "estimate", "model__head__steps": 3}
    state = to_published(small_hamer(**changes).state_dict(), procedural.load())
    content = {
        "state_dict": state,
        "hyper_parameters": {"cfg": {"MODEL": {"MANO_HEAD": {"IEF_ITERS": 3}}}},
    }
    torch.save(content, tmp_path / "mean.ckpt")
    weights = load(tmp_path / "mean.ckpt")
    assert (weights.layout.query_width, weights.steps) == (109, 3)
    (_, config, *_) = write(weights, tmp_path / "mean", name="mean.ckpt")
    head = load_config(config)["model"]["head"]
    assert (head["query"], head["steps"]) == ("estimate", 3)


def test_discriminator_and_hand_may_be_absent(published):
    bare = {k: v for k, v in published.items() if k.startswith(("backbone.", "mano_head."))}
    weights = from_published(bare)
    assert weights.hand is None
    assert not any(key.startswith("losses.") for key in weights.state_dict)


def test_the_hand_in_a_checkpoint_is_the_hand_that_went_in(published, tmp_path):
    asset, hand = procedural.load(), hand_of(published)
    for field in ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights"):
        np.testing.assert_allclose(getattr(hand, field), getattr(asset, field), atol=1e-6)
    assert np.array_equal(hand.faces, asset.faces)
    files.save(hand, tmp_path / "mano.npz")
    assert files.load(tmp_path / "mano.npz").v_template.shape == (NUM_VERTICES, 3)


@pytest.mark.parametrize("root", [-1, 4294967295])
def test_the_root_may_have_any_spelling_of_no_parent(root, published):
    parents = published["mano.parents"].clone()
    parents[0] = root
    assert hand_of({**published, "mano.parents": parents}).parents[0] == -1


def test_the_buffers_of_a_hand_are_those_of_the_original():
    arrays = arrays_of(procedural.load())
    assert arrays["extra_joints_idxs"].tolist() == [744, 320, 443, 554, 671]
    assert arrays["pose_mean"][:3].tolist() == [0, 0, 0]
    assert torch.equal(arrays["pose_mean"][3:], arrays["hand_mean"])
    posedirs = procedural.load().posedirs
    assert float(arrays["posedirs"][7, 3 * 100 + 2]) == pytest.approx(posedirs[100, 2, 7])


def without(published, *prefixes):
    return {k: v for k, v in published.items() if not k.startswith(prefixes)}


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (
            lambda p: without(p, "mano_head."),
            ("mano_head          0 of ", "mano_head.init_hand_pose is missing"),
        ),
        (
            lambda p: without(p, "backbone.blocks.0."),
            ("backbone.blocks.0.norm1.weight is missing", "not used: backbone.blocks.1.norm1"),
        ),
        (
            lambda p: {**p, "mano_head.decpose.weight": torch.zeros(144, 32)},
            ("mano_head.decpose.weight has shape (144, 32), wanted (96, 32)",),
        ),
        (
            lambda p: {**p, "mano.v_template": torch.zeros(6890, 3)},
            ("mano.v_template has shape (6890, 3), wanted (778, 3)",),
        ),
        (
            lambda p: {**p, "backbone.last_norm.bias": torch.full((64,), torch.nan)},
            ("backbone.last_norm.bias holds numbers that are not finite",),
        ),
        (lambda p: {"model.weight": torch.zeros(2)}, ("backbone           0 of 389",)),
    ],
)
def test_a_checkpoint_of_something_else_is_one_readable_report(change, sentences, published):
    with pytest.raises(WrongCheckpoint) as raised:
        from_published(change(dict(published)), source="x.ckpt")
    said = str(raised.value)
    for sentence in sentences:
        assert sentence in said
    assert said.startswith("x.ckpt:\n")
    assert "Take hamer.ckpt of the released archive" in said
    assert len(said.splitlines()) < 20


def test_a_model_of_another_size_is_not_filled(published, small_hamer):
    other = small_hamer(model__backbone__depth=3)
    with pytest.raises(WrongCheckpoint, match=r"blocks\.2\.norm1\.weight is missing"):
        fill(other, from_published(published))


def test_a_model_of_another_kind_has_no_published_form(small_hamer):
    model = small_hamer(model__head__representation="rotvec")
    with pytest.raises(WrongCheckpoint, match="Only a model with HaMeR's backbone"):
        to_published(model.state_dict(), procedural.load())
