"""What a model costs is counted without a weight, and agrees with arithmetic by hand."""

from __future__ import annotations

import math

import pytest

from benchmarks.bench.cost import cost_of, without_weights
from benchmarks.bench.memory import peak_growth_mb
from registry.whole import load


def vit_flops(*, tokens: int, width: int, depth: int, mlp_ratio: float = 4.0) -> float:
    """The operations of a plain ViT's blocks by hand: projections, attention and MLP.

    A block multiplies N tokens of width C by 4 C x C (queries, keys, values, output) and
    2 r C x C (MLP) matrices, and N x N x C twice; a multiply-add is two operations.
    """
    weights = (4 + 2 * mlp_ratio) * width**2
    return depth * 2 * (tokens * weights + 2 * tokens**2 * width)


@pytest.fixture(scope="module")
def hamer():
    """HaMeR at full size: its cost, and what counting it took."""
    config, found = load("hamer", size="full"), []
    grown = peak_growth_mb(lambda: found.append(cost_of(config)), "cpu")
    return found[0], grown


def test_vit_h_agrees_with_the_hand_formula_within_a_hundredth(hamer):
    cost, _ = hamer
    tokens, patch = 16 * 12, 16 * 16 * 3
    by_hand = vit_flops(tokens=tokens, width=1280, depth=32) + 2 * tokens * patch * 1280
    assert cost.flops["backbone"] == pytest.approx(by_hand, rel=0.01)


def test_the_parameters_are_those_of_the_released_model(hamer):
    cost, _ = hamer
    assert cost.parameters["backbone"] == 630_912_000
    assert cost.parameters["head"] == 39_497_837
    assert cost.parameters_m == pytest.approx(670.409837)


def test_counting_allocates_no_weights(hamer):
    _, grown = hamer
    assert math.isnan(grown) or grown < 700  # its weights alone are 2700 MB


def test_every_stage_is_counted_once():
    cost = cost_of(load("csvit2_ief3", size="tiny"))
    assert set(cost.flops) == {"backbone", "neck", "head", "mano"}
    assert all(count > 0 for count in cost.flops.values())
    assert cost.gflops == pytest.approx(sum(cost.flops.values()) / 1e9)


def test_three_steps_of_a_head_cost_more_than_one_and_the_backbone_runs_once():
    one, three = (
        cost_of(load("csvit2_ief3", size="tiny", changes=[f"model.head.steps={steps}"]))
        for steps in (1, 3)
    )
    assert three.flops["head"] > 1.1 * one.flops["head"]
    assert three.flops["backbone"] == one.flops["backbone"]


def test_pretrained_weights_are_left_out_and_their_shape_kept():
    bare = without_weights(load("csvit2_ief3", size="full"))
    assert bare["model"]["backbone"]["pretrained"] is None
    assert bare["model"]["backbone"]["config"] == "facebook/dinov2-large"


@pytest.mark.parametrize("name", ["utnet", "wilor"])
def test_a_head_that_poses_a_hand_before_it_answers_is_counted_too(name):
    cost = cost_of(load(name, size="tiny"))
    assert cost.flops["head"] > 0
    assert cost.flops["mano"] == cost_of(load("hamer", size="tiny")).flops["mano"]
