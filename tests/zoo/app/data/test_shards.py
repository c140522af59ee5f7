"""A run finds its data where the user or the config says, in that order."""

from __future__ import annotations

import io
import pickle
import tarfile

import cv2
import numpy as np
import pytest
from rich.console import Console

from registry.config import load
from zoo.app.data.shards import find_shards
from zoo.app.training.assemble import train_loader, val_loader
from zoo.data.hamer_tars import HamerTars
from zoo.data.shrink import Shrink


@pytest.fixture
def tar(tmp_path):
    """One picture with one hand, as HaMeR's tars hold them."""
    hand = {
        "keypoints_2d": np.full((21, 3), 20.0, np.float32),
        "keypoints_3d": np.ones((21, 4), np.float32),
        "center": np.array([30.0, 24.0]),
        "scale": np.array([0.2, 0.15]),
        "right": np.float32(1),
    }
    picture = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    with tarfile.open(tmp_path / "0.tar", "w") as file:
        for name, data in (("0.jpg", picture), ("0.data.pyd", pickle.dumps([hand]))):
            entry = tarfile.TarInfo(f"made-up/{name}")
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return tmp_path / "0.tar"


def quiet():
    return Console(file=io.StringIO(), width=300)


def test_sources_of_a_config_reach_the_loaders_and_know_the_crop(tar, hands):
    config = load(
        "hamer",
        [
            f"data.train.sources.tars={{'type': 'hamer_tars', 'shards': '{tar}', 'weight': 3.0}}",
            f"data.train.sources.ours={{'type': 'handclip', 'shards': '{hands / 'train'}'}}",
            f"data.val.sources.tars={{'type': 'hamer_tars', 'shards': '{tar}'}}",
            "augmentation.crop.expand=1.5",
            "data.train.batch_size=8",
            "data.train.shuffle=8",
        ],
        size="tiny",
    )
    found = find_shards(config, None, None, quiet())
    assert set(found.train) == {"tars", "ours"}
    assert isinstance(found.val["tars"], HamerTars)
    assert found.train["tars"].crop_expand == 1.5
    batch = next(iter(train_loader(config, found.train, steps=1)))
    assert {frame.source for frame in batch.frames} == {"made-up", "synthetic"}
    (batch,) = val_loader(config, found.val)
    assert len(batch) == 1


def test_a_config_may_ask_for_pictures_as_small_as_its_crops_allow(hands):
    found = []
    for changes in ([], ["data.train.shrink=True"]):
        config = load("hamer", changes, size="tiny")
        shards = find_shards(config, str(hands), None, quiet()).train
        found.append(train_loader(config, shards, steps=1).dataset.shrink)
    crop = max(config["augmentation"]["crop"]["size"])
    assert found == [None, Shrink(crop=crop, expand=2.0, least=0.7)]


def test_what_is_typed_comes_before_what_a_config_says(tar, hands):
    sources = f"data.train.sources.tars={{'type': 'hamer_tars', 'shards': '{tar}'}}"
    config = load("hamer", [sources], size="tiny")
    found = find_shards(config, str(hands), None, quiet())
    assert all(name.endswith(".tar") for name in (*found.train, *found.val))
    assert not set(found.train) & set(found.val)


def test_without_validation_data_it_is_said_that_training_data_are_measured_on(tar):
    sources = f"data.train.sources.tars={{'type': 'hamer_tars', 'shards': '{tar}'}}"
    console = quiet()
    found = find_shards(load("hamer", [sources], size="tiny"), None, None, console)
    assert found.val is found.train or set(found.val) == set(found.train)
    assert "measured on what it trains on: tars" in console.file.getvalue()


def test_the_released_mixture_has_the_published_sets_sizes_and_weights():
    config = load("hamer_tars")
    sources = config["data"]["train"]["sources"]
    assert sum(source["weight"] for source in sources.values()) == pytest.approx(1.0)
    assert sum(source["count"] for source in sources.values()) == 2_720_872
    assert {name for name, s in sources.items() if s["weight"] == 0.25} == {
        "freihand",
        "interhand26m",
    }
    shards = [int(s["shards"].split("..")[1].split("}")[0]) + 1 for s in sources.values()]
    assert sum(shards) == 2165
