"""A whole model from a name: loaded with its plug-ins, built the same every time."""

from __future__ import annotations

import pytest
import torch

from registry.whole import build_model, load

PLUGIN = """
from registry.catalog import losses
from zoo.losses.joints import RootRelativeJointLoss

losses.register("plugged_joints")(RootRelativeJointLoss)
"""
SMALL = (
    "model.backbone.config={'hidden_size': 48, 'num_hidden_layers': 1, 'num_attention_heads': 2,"
    " 'patch_size': 16}",
    "model.backbone.image_size=64",
    "augmentation.crop.size=(64, 64)",
)


def test_a_model_is_built_by_name_and_twice_alike():
    config = load("csvit2_ief3", changes=SMALL)
    first, second = (dict(build_model(config).named_parameters()) for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_starts_elsewhere():
    config = load("csvit2", changes=SMALL)
    here = build_model(config).head.decpose.weight
    there = build_model({**config, "randomness": {"seed": 1}}).head.decpose.weight
    assert not torch.equal(here, there)


def test_a_plugin_is_run_before_the_config_is_checked(tmp_path):
    file = tmp_path / "plugged_joints_plugin.py"
    file.write_text(PLUGIN)
    change = "model.losses.extra={'type': 'plugged_joints', 'weight': 1.0}"
    with pytest.raises(ValueError, match="plugged_joints"):
        load("csvit2", changes=[change])
    config = load("csvit2", changes=[change], plugins=[file])
    assert config["model"]["losses"]["extra"]["type"] == "plugged_joints"


def test_full_size_is_the_config_as_written():
    assert load("csvit2", size="full")["model"]["head"]["dim"] == 1024
    assert load("csvit2")["model"]["head"]["dim"] < 1024
