"""A change on the command line reaches its value, or says which value was meant."""

from __future__ import annotations

import copy

import pytest

from registry.check import problems
from registry.config import load
from registry.overrides import UnknownPath, parse_value, set_values, shrink


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1e-4", -1e-4),
        ("True", True),
        ("true", True),
        ("false", False),
        ("none", None),
        ("null", None),
        ("bf16", "bf16"),
        ("'3'", "3"),
        ("(224, 224)", (224, 224)),
        ("224,224", (224, 224)),
        ("{'type': 'joints', 'weight': 1}", {"type": "joints", "weight": 1}),
        ("shards/train-{000..009}.tar", "shards/train-{000..009}.tar"),
        ("", ""),
    ],
)
def test_a_value_is_a_literal_or_else_its_text(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_a_value_is_changed_and_the_config_handed_in_is_not(config):
    before = copy.deepcopy(config)
    changed = set_values(config, ["model.losses.depth.weight=2", "model.neck=None"])
    assert changed["model"]["losses"]["depth"]["weight"] == 2
    assert changed["model"]["neck"] is None
    assert config == before


def test_an_argument_left_at_its_default_can_be_set(config):
    assert set_values(config, ["model.head.steps=3"])["model"]["head"]["steps"] == 3
    assert set_values(config, ["model.precision=fp32"])["model"]["precision"] == "fp32"


def test_a_named_part_can_be_added_and_then_changed(config):
    mine = "model.losses.mine={'type': 'depth', 'weight': 1.0}"
    changed = set_values(config, [mine, "model.losses.mine.weight=3.0"])
    assert changed["model"]["losses"]["mine"] == {"type": "depth", "weight": 3.0}
    with pytest.raises(UnknownPath, match=r"model.losses has no 'other'"):
        set_values(config, ["model.losses.other.weight=3.0"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.head.stesp=3", "model.head has no 'stesp'. Did you mean 'steps'?"),
        ("modle.head.steps=3", "the config has no 'modle'. Did you mean 'model'?"),
        ("model.losses.dept.weight=3", "model.losses has no 'dept'. Did you mean 'depth'?"),
        ("model.head.camera.bins.x=3", "model.head.camera has no 'bins'."),
        ("model.neck.type.x=3", "model.neck.type is 'scaling' and holds no 'x'."),
    ],
)
def test_a_path_that_does_not_exist_is_answered_with_the_nearest_key(config, text, message):
    with pytest.raises(UnknownPath) as caught:
        set_values(config, [text])
    assert message in str(caught.value)
    assert str(caught.value).startswith("--set ")


@pytest.mark.parametrize("value", ["yes", "'1'", "True", "[1]"])
def test_a_number_stays_a_number(config, value):
    with pytest.raises(ValueError, match=r"weight: .* is not a number; it was 0.5"):
        set_values(config, [f"model.losses.depth.weight={value}"])


def test_a_switch_stays_a_switch(config):
    config["model"]["head"]["residual"] = False
    with pytest.raises(ValueError, match="'yes' is not true or false; it was False"):
        set_values(config, ["model.head.residual=yes"])
    with pytest.raises(ValueError, match="is not true or false"):
        set_values(config, ["model.head.residual=1"])


def test_a_tuple_stays_a_tuple_and_a_list_item_goes_by_its_number(config):
    config["param_scheduler"] = [{"end": 10}, {"end": 20}]
    changed = set_values(config, ["augmentation.crop.size=[64, 64]", "param_scheduler.1.end=30"])
    assert changed["augmentation"]["crop"]["size"] == (64, 64)
    assert changed["param_scheduler"] == [{"end": 10}, {"end": 30}]
    with pytest.raises(UnknownPath, match="'2'"):
        set_values(config, ["param_scheduler.2.end=30"])


def test_a_change_without_a_value_says_how_to_write_one(config):
    with pytest.raises(ValueError, match=r"write it as path=value, e.g. model.head.steps=3"):
        set_values(config, ["model.head.steps"])


def test_a_size_leaves_alone_what_the_config_switched_off(config):
    config["custom_hooks"] = {"dropout": None}
    small = shrink(config, {"tiny": {"custom_hooks.dropout.start_step": 5}}, "tiny")
    assert small["custom_hooks"] == {"dropout": None}
    config["custom_hooks"] = {"dropout": {"start_step": 9}}
    small = shrink(config, {"tiny": {"custom_hooks.dropout.start_step": 5}}, "tiny")
    assert small["custom_hooks"] == {"dropout": {"start_step": 5}}


def test_a_bare_name_where_a_part_stands_is_the_part_of_that_name():
    config = load("hamer")
    camera = config["model"]["head"]["camera"]
    changed = set_values(config, ["model.head=graph_refiner", "model.neck=ray_attention"])["model"]
    assert changed["head"] == {"type": "graph_refiner", "camera": camera}
    assert changed["neck"] == {"type": "ray_attention"}
    lost = set_values(config, ["model.losses.joints=vertices"])["model"]["losses"]["joints"]
    assert lost == {"type": "vertices"}


def test_a_misspelt_bare_name_is_answered_with_the_nearest_part():
    changed = set_values(load("hamer"), ["model.head=graph_refner"])
    assert any("graph_refiner" in sentence for sentence in problems(changed))


@pytest.mark.parametrize("text", ["true", "virtual"])
def test_a_choice_that_is_spelt_like_a_word_of_ours_is_the_choice(text):
    changed = set_values(load("hamer"), [f"model.head.camera.intrinsics={text}"])
    assert changed["model"]["head"]["camera"]["intrinsics"] == text
    assert not problems(changed)
