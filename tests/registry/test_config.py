"""A config is found, read, changed and checked before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from registry.catalog import heads, losses
from registry.config import (
    SHIPPED,
    InvalidConfig,
    UnknownConfig,
    available,
    find,
    load,
    load_ladder,
)

ROOT = '''"""A root."""

from torch.optim import AdamW

model = dict(
    backbone=dict(type="pooling", token_dim=8, image_size=(32, 32)),
    head=dict(type="flat", camera=dict(type="plain")),
    losses=dict(depth=dict(type="depth", weight=1.0), other=dict(type="depth", weight=2.0)),
)
augmentation = dict(crop=dict(type="square", size=(32, 32), expand=2.0))
optim_wrapper = dict(optimizer=dict(type=AdamW, lr=1e-4))
train_cfg = dict(max_iters=1000)
sizes = dict(
    tiny={"train_cfg.max_iters": 10},
    small={"train_cfg.max_iters": 100, "model.backbone.token_dim": 6},
)
'''
VARIANT = '''"""A root with three steps and one loss less."""

from mmengine.config import read_base

with read_base():
    from .root import *

model.head.update(steps=3)
model.losses.other = None
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: Any) -> Path:
    """An empty folder to work in that holds a root and a variant of it."""
    (tmp_path / "root.py").write_text(ROOT)
    (tmp_path / "variant.py").write_text(VARIANT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_variant_is_its_root_and_its_differences(folder):
    root, variant = load("root.py"), load("variant.py")
    assert variant["model"]["head"] == {**root["model"]["head"], "steps": 3}
    assert set(root["model"]["losses"]) == {"depth", "other"}
    assert set(variant["model"]["losses"]) == {"depth"}, "a loss set to None is off"
    assert type(variant["model"]) is dict
    assert variant["augmentation"]["crop"]["size"] == (32, 32)


def test_a_class_named_in_a_config_comes_back_as_its_path_and_no_import_as_a_key(folder):
    config = load("root.py")
    assert config["optim_wrapper"]["optimizer"]["type"] == "torch.optim.AdamW"
    assert "AdamW" not in config
    assert "sizes" not in config


def test_a_path_of_the_file_that_begins_with_a_dot_is_beside_it_and_one_typed_is_not(folder):
    beside = 'from .root import *\n\nmodel.hand = dict(asset="./mano.npz")\n'
    text = VARIANT.replace("from .root import *\n", beside)
    assert text != VARIANT
    for place in (folder / "there", folder / "elsewhere"):  # the folder may be moved
        place.mkdir()
        (place / "root.py").write_text(ROOT)
        (place / "moved.py").write_text(text)
        hand = load(place / "moved.py")["model"]["hand"]
        assert hand["asset"] == str(place / "mano.npz")
        typed = load(place / "moved.py", ["model.hand.asset=./mine.npz"])
        assert typed["model"]["hand"]["asset"] == "./mine.npz"


def test_a_config_is_found_by_path_or_bare_name(folder):
    (folder / "configs").mkdir()
    (folder / "configs" / "ours.py").write_text(ROOT)
    assert find("root.py") == folder / "root.py"
    assert find(folder / "root.py") == folder / "root.py"
    assert find("variant") == folder / "variant.py"
    assert find("ours") == folder / "configs" / "ours.py"


def test_a_misspelt_config_is_answered_with_the_nearest(folder):
    for text in ("varaint", "varaint.py", "configs/varaint.py"):
        with pytest.raises(UnknownConfig, match=r"Did you mean 'variant'\? Known: .*variant"):
            load(text)


def test_a_folder_is_no_config_and_is_called_what_it_is(folder):
    (folder / "runs").mkdir()
    with pytest.raises(UnknownConfig, match="runs is a folder; a config is"):
        load("runs")


def test_scripts_lying_about_are_not_taken_for_configs(folder):
    (folder / "train_all.py").write_text("print('hello')\n")
    assert "train_all" not in available()


def test_the_last_word_is_the_users(folder):
    config = load("root", ["model.head.steps=2", "train_cfg.max_iters=5"], size="tiny")
    assert config["model"]["head"]["steps"] == 2
    assert config["train_cfg"]["max_iters"] == 5


def test_tiny_shrinks_parts_and_budget_and_the_crop_follows_the_backbone(folder):
    full, tiny = load("root", size="full"), load("root", size="tiny")
    assert full == load("root")
    assert tiny["model"]["backbone"] == {"type": "pooling", "token_dim": 4, "image_size": (16, 16)}
    assert tiny["augmentation"]["crop"]["size"] == (16, 16)
    assert tiny["train_cfg"]["max_iters"] == 10
    small = load("root", size="small")
    assert small["model"]["backbone"]["token_dim"] == 6
    assert small["augmentation"]["crop"]["size"] == (32, 32)


def test_a_part_chosen_on_the_command_line_is_shrunk_too_but_not_what_was_said(folder):
    whole = "model.backbone={'type': 'pooling', 'token_dim': 9, 'image_size': (32, 32)}"
    kept = load("root", [whole], size="tiny")["model"]["backbone"]
    assert kept["token_dim"] == 9
    head = load("root", ["model.head.type=mano_decoder", "model.head.depth=3"], size="tiny")
    assert head["model"]["head"]["depth"] == 3
    assert head["model"]["head"]["dim"] == 128


def test_an_unknown_size_is_answered_with_those_there_are(folder):
    with pytest.raises(ValueError, match=r"Did you mean 'small'\? Known: full, small, tiny"):
        load("root", size="smal")


def test_everything_wrong_is_said_at_once(folder):
    (folder / "bad.py").write_text(
        ROOT.replace('type="flat"', 'type="flta"')
        .replace("weight=1.0", "wieght=1.0")
        .replace("expand=", "expnad=")
        .replace("max_iters=1000", "max_iter=1000")
        .replace("model = dict(", "model = dict(\n    hed=None,")
    )
    with pytest.raises(InvalidConfig) as caught:
        load("bad")
    known = ", ".join(heads.names())
    assert caught.value.problems == (
        "model has no 'hed'. Did you mean 'head'? Known: hand, backbone, neck, head, temporal, "
        "losses, precision, supervise_earlier, detach_betas, supervise_global, frozen.",
        "train_cfg has no 'max_iter'. Did you mean 'max_iters'? Known: max_iters, val_interval, "
        "val_begin.",
        f"No head is called 'flta'. Did you mean 'flat'? Known: {known}. (model.head)",
        "crop 'square': unexpected keyword 'expnad'. Did you mean 'expand'? (augmentation.crop)",
        "crop 'square': 'expand' is missing (augmentation.crop)",
        "loss 'depth': unexpected keyword 'wieght'. Did you mean 'weight'? (model.losses.depth)",
        "loss 'depth': 'weight' is missing (model.losses.depth)",
    )
    assert str(caught.value).startswith("bad has 7 problems:\n  model has no 'hed'.")


@pytest.mark.parametrize("spec", ["'plain'", "dict(weight=1.0)", "3"])
def test_a_part_without_a_type_is_no_part(folder, spec):
    (folder / "bad.py").write_text(ROOT.replace('dict(type="depth", weight=1.0)', spec))
    with pytest.raises(
        InvalidConfig, match=r"model.losses.depth is .*; a loss is a dict with a `type`"
    ):
        load("bad")


def test_a_model_without_a_head_is_refused(folder):
    (folder / "bad.py").write_text('"""Too little."""\nmodel = dict(neck=None)\n')
    with pytest.raises(InvalidConfig, match=r"model.backbone is missing") as caught:
        load("bad")
    assert len(caught.value.problems) == 2


def test_a_config_may_inherit_from_another_package(folder, monkeypatch):
    package = folder / "elsewhere" / "my_hands"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('a config must not import this')\n")
    (package / "root.py").write_text(ROOT)
    monkeypatch.syspath_prepend(str(folder / "elsewhere"))
    (folder / "mine.py").write_text(VARIANT.replace(".root", "my_hands.root"))
    assert load("mine") == load("variant")


def test_a_head_of_ones_own_can_be_named_by_its_class(folder, monkeypatch):
    (folder / "my_heads.py").write_text(
        "class MyHead:\n    def __init__(self, *, token_dim: int, width: int): ...\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    text = ROOT.replace("from torch.optim", "from my_heads import MyHead\nfrom torch.optim")
    (folder / "mine.py").write_text(text + "model['head'] = dict(type=MyHead, wdith=3)\n")
    with pytest.raises(InvalidConfig) as caught:
        load("mine")
    assert caught.value.problems == (
        "head 'my_heads.MyHead': unexpected keyword 'wdith'. Did you mean 'width'? (model.head)",
        "head 'my_heads.MyHead': 'width' is missing (model.head)",
    )
    assert "my_heads" not in sys.modules


def test_a_registered_loss_can_be_added_on_the_command_line(folder):
    @losses.register("mine")
    class Mine:
        def __init__(self, *, weight: float) -> None: ...

    config = load("root", ["model.losses.mine={'type': 'mine', 'weight': 0.1}"])
    assert config["model"]["losses"]["mine"] == {"type": "mine", "weight": 0.1}
    with pytest.raises(InvalidConfig, match="'weight' is missing"):
        load("root", ["model.losses.mine={'type': 'mine'}"])


def test_a_ladder_is_names_and_prefixes(folder):
    (folder / "configs" / "ladders").mkdir(parents=True)
    ladder = folder / "configs" / "ladders" / "up.py"
    ladder.write_text('"""Up."""\nstart, goal = "root", "variant"\nrungs = dict(a=["model"])\n')
    assert load_ladder("up") == {"start": "root", "goal": "variant", "rungs": {"a": ["model"]}}
    ladder.write_text('"""Up."""\nstart = "root"\nrungs = dict()\n')
    with pytest.raises(InvalidConfig, match="goal is missing"):
        load_ladder(ladder)
    with pytest.raises(UnknownConfig, match=r"no ladder 'upp'.*Did you mean 'up'"):
        load_ladder("upp")


def test_a_shipped_config_is_the_one_beside_the_registry(folder):
    (folder / "configs").mkdir()
    assert SHIPPED.samefile(Path(__file__).parents[2] / "configs")


def test_a_wrong_config_is_refused_fast_and_without_torch(folder):
    (folder / "bad.py").write_text(ROOT.replace('type="flat"', 'type="mano_decodr"'))
    code = (
        "import sys\n"
        "from registry.config import load\n"
        "try:\n    load('bad')\nexcept ValueError as error:\n    print(error)\n"
        "print([m for m in ('torch', 'transformers', 'timm', 'smplx') if m in sys.modules])"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SHIPPED.parent)},
    )
    assert "Did you mean 'mano_decoder'?" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.perf_counter() - started < 10, "about 0.7 s on an idle core"
