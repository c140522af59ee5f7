"""Differences come ranked: what the analysis holds responsible first, what it never names last."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from registry.config import available, load
from registry.difference import ABSENT, Change, apply, difference, same
from registry.priority import rank, ranked_difference

CONFIGS: dict[str, dict[str, Any]] = {name: load(name) for name in available()}
HEAD = {"type": "mano_decoder", "residual": False, "steps": 1}
LOSSES = {"pixels": {"type": "reprojection", "weight": 1.0}}


@pytest.mark.parametrize(("a", "b"), itertools.permutations(CONFIGS, 2))
def test_the_difference_of_shipped_configs_leads_there_and_back(a, b):
    there = difference(CONFIGS[a], CONFIGS[b])
    assert same(apply(CONFIGS[a], there), CONFIGS[b])
    assert same(apply(CONFIGS[b], [change.reversed() for change in there]), CONFIGS[a])
    ranked = [item.change for item in ranked_difference(CONFIGS[a], CONFIGS[b])]
    assert sorted(map(str, ranked)) == sorted(map(str, there)), "ranking loses and invents nothing"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("model.head.residual", ("P0", "residual")),
        ("model.head.init", ("P0", "mean initialisation")),
        ("model.head.steps", ("P1", "iterative error feedback")),
        ("optim_wrapper.optimizer.lr", ("P1", "learning rates")),
        ("optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult", ("P1", "learning rates")),
        ("model.losses.pixels.weight", ("P1", "2D loss")),
        ("model.losses.betas.weight", ("P2", "weights")),
        ("augmentation.crop.expand", ("P2", "box")),
        ("augmentation.view.roll.max_degrees", ("P2", "augmentation")),
        ("model.head.dim", (None, "")),
        ("model.backbone.image_size", (None, "")),
    ],
)
def test_a_value_has_the_rank_of_the_analysis(path, expected):
    config = {"model": {"head": HEAD, "losses": LOSSES}}
    found = rank(Change(path, 1, 2), config, config)
    assert (found.priority, found.reason) == expected


def test_a_part_exchanged_whole_ranks_as_the_highest_value_inside_it():
    other = {"type": "my_head", "residual": True, "steps": 1}
    a, b = ({"model": {"head": head}} for head in (HEAD, other))
    (found,) = ranked_difference(a, b)
    assert (found.path, found.slot) == ("model.head", "head")
    assert (found.priority, found.reason) == ("P0", "residual")
    (same_residual,) = ranked_difference(a, {"model": {"head": {**HEAD, "type": "my_head"}}})
    assert same_residual.priority is None


def test_an_argument_that_only_one_of_two_exchanged_parts_has_decides_nothing():
    cameras = {"type": "heatmap"}, {"type": "weak_perspective", "initial": (4.0, 0.0, 0.0)}
    a, b = ({"model": {"head": {**HEAD, "camera": camera}}} for camera in cameras)
    (found,) = ranked_difference(a, b)
    assert (found.path, found.priority) == ("model.head.camera", None)


def test_a_loss_that_appears_ranks_by_what_it_is():
    bare: dict[str, Any] = {"model": {"losses": {}}}
    (found,) = ranked_difference(bare, {"model": {"losses": LOSSES}})
    assert found.change.before is ABSENT
    assert (found.priority, found.reason) == ("P1", "2D loss")


def test_the_most_important_stands_first():
    order = [item.priority or "P9" for item in ranked_difference(*map(load, ("csvit2", "hamer")))]
    assert order == sorted(order)
    assert {"P0", "P1", "P2"} <= set(order)
