"""Two configs and their difference are three ways to say two things."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import pytest

from registry.difference import (
    ABSENT,
    Change,
    StaleChange,
    apply,
    difference,
    join_path,
    same,
    split_path,
)

KEYS = ["type", "steps", "losses", "a.b", 'quo"ted', "with space", "0", "x"]
VALUES = [None, True, False, 0, 1, 1.0, -0.5, "bf16", "", (2, 3), [1, 2], [], (), "1"]


def random_config(rng: random.Random, depth: int = 4) -> dict[str, Any]:
    return {key: random_value(rng, depth) for key in rng.sample(KEYS, rng.randint(0, len(KEYS)))}


def random_value(rng: random.Random, depth: int) -> Any:
    choice = rng.random()
    if depth and choice < 0.5:
        return random_config(rng, depth - 1)
    if depth and choice < 0.6:
        return [random_config(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    return rng.choice(VALUES)


def edited(rng: random.Random, value: Any) -> Any:
    """A near relative of a config: most of it kept, some of it changed, lost or new."""
    if isinstance(value, dict) and rng.random() < 0.95:
        kept = {key: edited(rng, item) for key, item in value.items() if rng.random() < 0.9}
        return kept | ({rng.choice(KEYS): random_value(rng, 1)} if rng.random() < 0.3 else {})
    if isinstance(value, list) and value and rng.random() < 0.9:
        return [edited(rng, item) for item in value]
    return value if rng.random() < 0.8 else random_value(rng, 1)


@pytest.mark.parametrize("related", [True, False])
def test_the_difference_leads_from_one_config_to_the_other_and_back(related):
    rng = random.Random(0)
    for _ in range(150):
        a = random_config(rng)
        b = edited(rng, a) if related else random_config(rng)
        b = b if isinstance(b, dict) else {}
        before = copy.deepcopy((a, b))
        there = difference(a, b)
        assert same(apply(a, there), b)
        assert same(apply(b, difference(b, a)), a)
        assert same(apply(b, [change.reversed() for change in there]), a)
        assert same(before, (a, b)), "neither config may be edited"
        assert all(not same(change.before, change.after) for change in there)
        assert len({change.path for change in there}) == len(there)


def test_equal_configs_differ_in_nothing():
    config = random_config(random.Random(1))
    assert difference(config, copy.deepcopy(config)) == []


def test_one_value_is_one_change_with_its_path():
    a = {"model": {"head": {"type": "mano_decoder", "steps": 1, "residual": False}}}
    b = {"model": {"head": {"type": "mano_decoder", "steps": 3, "residual": True}}}
    assert difference(a, b) == [
        Change("model.head.residual", False, True),
        Change("model.head.steps", 1, 3),
    ]
    assert str(difference(a, b)[1]) == "model.head.steps: 1 -> 3"


def test_another_type_is_one_change_of_the_whole_component():
    a = {"model": {"head": {"type": "mano_decoder", "camera": {"type": "heatmap", "bins": 8}}}}
    b = {"model": {"head": {"type": "mano_decoder", "camera": {"type": "metric", "scale": 2}}}}
    camera = {"type": "heatmap", "bins": 8}, {"type": "metric", "scale": 2}
    assert difference(a, b) == [Change("model.head.camera", *camera)]


def test_a_key_that_is_missing_is_not_a_key_that_is_none():
    assert difference({"neck": None}, {}) == [Change("neck", None, ABSENT)]
    assert apply({}, [Change("neck", ABSENT, None)]) == {"neck": None}
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert copy.deepcopy(ABSENT) is ABSENT


def test_true_is_not_one_but_one_is_one_point_zero():
    assert difference({"x": 1}, {"x": True}) == [Change("x", 1, True)]
    assert difference({"x": [1, (0,)]}, {"x": [1, (False,)]})
    assert difference({"x": 1}, {"x": 1.0}) == []


def test_lists_of_dicts_of_one_length_are_compared_item_by_item():
    a = {"param_scheduler": [{"end": 10}, {"end": 20}]}
    b = {"param_scheduler": [{"end": 10}, {"end": 30}]}
    assert difference(a, b) == [Change("param_scheduler.1.end", 20, 30)]
    assert apply(a, difference(a, b)) == b


def test_a_change_made_for_another_config_is_refused():
    with pytest.raises(StaleChange, match=r"model.steps is 2, but the change expects 1"):
        apply({"model": {"steps": 2}}, [Change("model.steps", 1, 3)])
    with pytest.raises(StaleChange, match=r"a.b"):
        apply({}, [Change("a.b", ABSENT, 3)])


@pytest.mark.parametrize("keys", [("a",), ("a", "b.c", "d"), ('x"y', ""), ("a b", "0", "\\")])
def test_a_path_can_be_taken_apart_again(keys):
    assert split_path(join_path(keys)) == keys


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", 'a."b'])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ValueError, match="not a path"):
        split_path(path)
