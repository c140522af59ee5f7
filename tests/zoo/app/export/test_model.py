"""An exported file says what the model says, or is not there."""

from __future__ import annotations

import copy
import importlib.util
import io

import pytest
import torch
from rich.console import Console

from registry.config import load
from registry.whole import build_model
from zoo.app.evaluation.evaluate import load_weights
from zoo.app.export import model as exporting
from zoo.app.export.check import ExportDiffers, rendered_view
from zoo.app.export.graph import OUTPUTS, CannotExport, as_tensors, trace
from zoo.app.export.model import ExportRequest, export_model

HAMER = (
    "model.backbone.image_size=(64, 64)",
    "model.backbone.dim=32",
    "model.backbone.depth=1",
    "model.backbone.num_heads=2",
    "augmentation.crop.size=(64, 64)",
    "model.head.dim=32",
    "model.head.depth=1",
    "model.head.num_heads=2",
    "model.head.head_dim=16",
    "model.head.mlp_dim=64",
)


@pytest.fixture(scope="module")
def made(tiny_changes, tmp_path_factory):
    """Of each config a model with random weights, and the checkpoint that holds them."""
    found = {}
    for config, changes in (("csvit2_ief3", tiny_changes), ("hamer", HAMER)):
        model = build_model(load(config, changes, size="tiny")).eval()
        model.precision = "fp32"
        file = tmp_path_factory.mktemp(config) / "iter_1.pth"
        torch.save({"state_dict": model.state_dict()}, file)
        found[config] = (model, file, tuple(changes))
    return found


def ask(made, config, to, out, **more):
    _, file, changes = made[config]
    request = ExportRequest(config, file, to, out, size="tiny", changes=changes, **more)
    return export_model(request, Console(file=io.StringIO()))


@torch.no_grad()
def answer(model, view) -> dict[str, torch.Tensor]:
    prediction = model.predict_hand(view)
    mesh = model.hand.place(prediction)
    return {
        "rotmats": prediction.rotmats,
        "betas": prediction.betas,
        "vertices": mesh.vertices,
        "keypoints": mesh.keypoints,
    }


def agree(said, model, view) -> bool:
    right = answer(model, view)
    return all(
        torch.allclose(said[name], right[name], rtol=1e-4, atol=1e-4) for name in right
    ) and set(said) == set(OUTPUTS)


@pytest.mark.parametrize("config", ["csvit2_ief3", "hamer"])
def test_the_program_is_the_model_for_other_hands_and_other_numbers_of_them(made, config, tmp_path):
    found = ask(made, config, "torch-export", tmp_path / "hand.pt2")
    assert found.small
    assert [path.name for path in tmp_path.iterdir()] == ["hand.pt2"]
    model = made[config][0]
    view = rendered_view(model, seed=9)
    view = view.map(lambda tensor: torch.cat((tensor, tensor.flip(0))))
    said = torch.export.load(tmp_path / "hand.pt2").module()(**as_tensors(view))
    assert agree(said, model, view)


def test_onnx_runtime_says_what_the_model_says(made, tmp_path):
    config = "hamer"
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    assert ask(made, config, "onnx", tmp_path / "hand.onnx").small
    model = made[config][0]
    view = rendered_view(model, seed=9)
    view = view.map(lambda tensor: torch.cat((tensor, tensor.flip(0))))
    session = onnxruntime.InferenceSession(str(tmp_path / "hand.onnx"))
    fed = {name: value.numpy() for name, value in as_tensors(view).items()}
    said = dict(zip(OUTPUTS, map(torch.from_numpy, session.run(OUTPUTS, fed)), strict=True))
    assert agree(said, model, view)


def test_safetensors_and_their_config_are_the_model_again(made, tmp_path):
    folder = tmp_path / "weights"
    ask(made, "csvit2_ief3", "safetensors", folder)
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "config.py",
        "README.md",
    }
    again = build_model(load(folder / "config.py")).eval()
    again.precision = "fp32"
    load_weights(again, folder)
    model = made["csvit2_ief3"][0]
    view = rendered_view(model, seed=9)
    for name, right in answer(model, view).items():
        assert torch.equal(answer(again, view)[name], right)


def test_a_file_whose_numbers_differ_is_not_left(made, tmp_path, monkeypatch):
    def off(model, view):
        other = copy.deepcopy(model)
        with torch.no_grad():
            other.head.decshape.bias += 0.5
        return trace(other, view)

    monkeypatch.setattr(exporting, "trace", off)
    with pytest.raises(ExportDiffers, match="mm"):
        ask(made, "hamer", "torch-export", tmp_path / "hand.pt2")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unasked(made, tmp_path):
    (tmp_path / "weights").mkdir()
    with pytest.raises(ValueError, match="--overwrite"):
        ask(made, "hamer", "safetensors", tmp_path / "weights")
    ask(made, "hamer", "safetensors", tmp_path / "weights", overwrite=True)
    assert (tmp_path / "weights" / "model.safetensors").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_clips_are_refused_by_name(made, tmp_path, tiny_changes):
    request = ExportRequest(
        "csvit2_stage2",
        made["hamer"][1],
        "torch-export",
        tmp_path / "hand.pt2",
        size="tiny",
        changes=tiny_changes,
    )
    with pytest.raises(CannotExport, match="temporal"):
        export_model(request, Console(file=io.StringIO()))


def test_a_missing_extra_is_named(made, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"hand-mesh-zoo\[export\]"):
        ask(made, "hamer", "onnx", tmp_path / "hand.onnx")
