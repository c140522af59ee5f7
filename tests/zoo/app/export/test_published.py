"""`zoo weights`: a published checkpoint becomes ours, comes back, and runs nothing."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from registry.config import load
from zoo.app.evaluation.evaluate import load_weights
from zoo.app.export.published import convert, inspect
from zoo.app.machine.sizing import size_of_run
from zoo.app.training.assemble import build_model
from zoo.mano import procedural
from zoo.weights.account import WrongCheckpoint
from zoo.weights.checkpoint_file import UnreadableCheckpoint
from zoo.weights.families import UnknownFamily, of_ours, of_published
from zoo.weights.hamer import to_published

SMALL = (
    "model.backbone.pretrained=None",
    "model.backbone.image_size=(64, 64)",
    "augmentation.crop.size=(64, 64)",
    "model.backbone.dim=64",
    "model.backbone.depth=2",
    "model.backbone.num_heads=1",
    "model.backbone.mlp_ratio=2",
    "model.head.dim=32",
    "model.head.depth=1",
    "model.head.num_heads=1",
    "model.head.mlp_dim=48",
)


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """The weights of a small HaMeR under the published names."""
    return to_published(build_model(load("hamer", SMALL)).state_dict(), procedural.load())


@pytest.fixture
def file(published, tmp_path) -> Path:
    """A Lightning checkpoint as the original trainer leaves one."""
    torch.save({"epoch": 3, "global_step": 7, "state_dict": published}, tmp_path / "hamer.ckpt")
    return tmp_path / "hamer.ckpt"


def run(command, path, **changes):
    """The result of a command and what it printed."""
    said = io.StringIO()
    defaults = {"pickled_config": False}
    if command is convert:
        defaults |= {"out": None, "to": None, "family": None, "hand": None, "overwrite": False}
    else:
        defaults |= {"json_file": None}
    console = Console(file=said, width=200)
    return command(path, **(defaults | changes), console=console), said.getvalue()


def test_a_converted_folder_builds_and_fills_a_model_by_itself(file, published, tmp_path):
    written, said = run(convert, file)
    folder = tmp_path / "hamer-zoo"
    assert {path.name for path in written} == {"model.safetensors", "config.py", "mano.npz"}
    assert "mano_head" in said
    assert "MANO's licence" in said
    for checkpoint in (folder, folder / "model.safetensors"):
        size = size_of_run(str(folder / "config.py"), checkpoint, "auto")
        model = build_model(load(folder / "config.py", size=size))
        load_weights(model, checkpoint)
        weights = model.state_dict()
        for key, value in load_file(folder / "model.safetensors").items():
            assert torch.equal(weights[key], value), key
    assert model.hand.name == "mano"
    rest = torch.tensor(procedural.load().v_template).float()
    torch.testing.assert_close(model.hand.skinning.v_template.float(), rest)


def test_what_was_converted_comes_back_bit_for_bit(file, published, tmp_path):
    run(convert, file)
    (back,), _ = run(convert, tmp_path / "hamer-zoo", to="hamer", out=tmp_path / "back.ckpt")
    state = torch.load(back, weights_only=True)["state_dict"]
    assert list(state) == list(published)
    for key, value in published.items():
        assert torch.equal(state[key], value), key


def test_weights_without_a_discriminator_can_be_measured_and_drawn(published, tmp_path):
    kept = {k: v for k, v in published.items() if not k.startswith(("discriminator", "mano."))}
    torch.save({"state_dict": kept}, tmp_path / "bare.ckpt")
    run(convert, tmp_path / "bare.ckpt")
    folder = tmp_path / "bare-zoo"
    assert not (folder / "mano.npz").exists()
    model = build_model(load(folder / "config.py"))
    assert load_weights(model, folder) == 0
    assert model.hand.name == "clayhand"


def test_inspecting_tells_family_sizes_and_every_module(file, tmp_path):
    told, said = run(inspect, file, json_file=tmp_path / "account.json")
    assert told["family"] == "hamer"
    assert told["complete"]
    assert told["hand"]
    assert "2 blocks, 64 wide" in said
    assert "epoch, global_step" in said
    written = json.loads((tmp_path / "account.json").read_text())
    assert written["modules"]["mano_head"]["matched"] == written["modules"]["mano_head"]["total"]


@pytest.mark.parametrize("broken", ["missing", "shape", "nan"])
def test_a_broken_checkpoint_is_one_report(published, broken, tmp_path):
    key = "mano_head.decpose.weight"
    state = dict(published)
    state[key] = {"shape": state[key][:5], "nan": state[key] * torch.nan}.get(broken, state[key])
    if broken == "missing":
        del state[key]
    torch.save({"state_dict": state}, tmp_path / "x.ckpt")
    with pytest.raises(WrongCheckpoint, match=rf"mano_head [\s\S]*{key}"):
        run(convert, tmp_path / "x.ckpt")
    assert not (tmp_path / "x-zoo").exists()
    told, said = run(inspect, tmp_path / "x.ckpt")
    assert told["complete"] is False
    assert key in said


def test_a_cut_off_checkpoint_is_one_sentence(file):
    file.write_bytes(file.read_bytes()[:5000])
    for command in (convert, inspect):
        with pytest.raises(UnreadableCheckpoint, match="cut short after 5000 bytes"):
            run(command, file)


class Payload:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (os.mkdir, (self.place,))


@pytest.mark.parametrize("pickled_config", [True, False])
@pytest.mark.parametrize("command", [convert, inspect])
def test_a_hostile_checkpoint_is_refused_by_name(published, command, pickled_config, tmp_path):
    content = {"state_dict": published, "hyper_parameters": Payload(str(tmp_path / "ran"))}
    torch.save(content, tmp_path / "evil.ckpt")
    with pytest.raises(UnreadableCheckpoint, match=r"asks for \S*mkdir.*nothing was run"):
        run(command, tmp_path / "evil.ckpt", pickled_config=pickled_config)
    assert not (tmp_path / "ran").exists()


def test_nothing_is_overwritten_without_being_asked_for(file):
    run(convert, file)
    with pytest.raises(ValueError, match="--overwrite"):
        run(convert, file)
    run(convert, file, overwrite=True)


def test_weights_of_nobody_known_say_what_to_do(tmp_path):
    torch.save({"state_dict": {"layer.weight": torch.ones(2)}}, tmp_path / "x.ckpt")
    with pytest.raises(UnknownFamily, match=r"\(layer\).*--family"):
        run(convert, tmp_path / "x.ckpt")
    told, said = run(inspect, tmp_path / "x.ckpt")
    assert told["family"] is None
    assert "Of no family" in said
    with pytest.raises(UnknownFamily, match="'hamster'; known are hamer"):
        run(convert, tmp_path / "x.ckpt", family="hamster")


def test_each_side_is_told_by_its_names(file, published, tmp_path):
    run(convert, file)
    ours = load_file(tmp_path / "hamer-zoo" / "model.safetensors")
    assert of_published(published).name == of_ours(ours).name == "hamer"
    assert of_published(ours) is None
    with pytest.raises(ValueError, match="already is a published"):
        run(convert, file, to="hamer")
