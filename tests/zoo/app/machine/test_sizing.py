"""`--size auto` looks at the weights and the data a run would use, and at nothing else."""

from __future__ import annotations

import pytest
import torch

from registry.overrides import UnknownPath
from zoo.app.machine.sizing import choose_size
from zoo.app.training.train import TrainRequest, resolve

ONLY_TINY = "model.losses.direction.weight=1.0"  # a loss that hamer has at the tiny size alone


def test_a_laptop_trains_tiny_and_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    size = choose_size("hamer", (), "auto", None)
    assert size.name == "tiny"
    assert "no CUDA device" in size.reason
    assert "no shards" in size.reason


def test_what_a_change_says_of_weights_and_data_decides(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "no weights" in choose_size("hamer", (), "auto", "shards").reason
    free = ("model.backbone.pretrained=None",)
    assert choose_size("hamer", free, "auto", "shards").name == "full"
    assert choose_size("hamer", free, "auto", None).name == "tiny"
    assert choose_size("hamer", (*free, "data.train.shards='x'"), "auto", None).name == "full"


def test_what_exists_at_one_size_alone_can_be_set_there():
    config, size = resolve(TrainRequest(config="hamer", changes=(ONLY_TINY,)))
    assert size.name == "tiny"
    assert config["model"]["losses"]["direction"]["weight"] == 1.0
    with pytest.raises(UnknownPath, match="direction"):
        resolve(TrainRequest(config="hamer", size="full", changes=(ONLY_TINY,)))


def test_a_misspelt_change_is_refused_at_any_size():
    with pytest.raises(UnknownPath, match="reprojection"):
        resolve(TrainRequest(config="hamer", changes=("model.losses.reprojektion.weight=1",)))
