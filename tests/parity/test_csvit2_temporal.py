"""The temporal part against numbers recorded from the original, both of its versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.temporal.rotary import RotaryTimeEncoder, rotate

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_temporal.npz")
ATTENDS = {"feb10": "last", "head": "causal"}
# Row 3 has clock times of 5.7e7 ms in float32, whose rounding the original turns into angles.
KEPT = [0, 1, 2, 4]


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(RECORDED[name])


def encoder(version: str, by_rule, *, prefix: str = "temporal_refiner.", given=None, **sizes):
    settings = {"query_dim": 64, "depth": 2, "num_heads": 4, "head_dim": 16, "mlp_dim": 128}
    part = RotaryTimeEncoder(**settings | {"attends": ATTENDS[version]} | sizes)
    folder = "cross_attn.layers." if version == "feb10" else "layers."
    original = lambda key: key.replace("layers.", folder, 1)  # noqa: E731
    return by_rule.fill(part, prefix, original=original, given=given)


@pytest.mark.parametrize("version", ATTENDS)
@pytest.mark.parametrize("case", ["main", "one_layer", "tau5", "identity_zero_linear"])
def test_refined_queries_are_the_recorded_ones(version, case, by_rule):
    sizes = {"depth": 1} if case == "one_layer" else {"tau": 0.005} if case == "tau5" else {}
    zeros = {"zero_linear.weight": torch.zeros(64, 64), "zero_linear.bias": torch.zeros(64)}
    given = zeros if case == "identity_zero_linear" else None
    part = encoder(version, by_rule, given=given, **sizes)
    times = recorded(f"{version}/{case}/timestamp_ms").double() / 1000
    out = part.refine(recorded(f"{version}/{case}/token"), times)
    wanted = recorded(f"{version}/{case}/out")
    torch.testing.assert_close(out[KEPT], wanted[KEPT], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("version", ATTENDS)
def test_a_single_frame_is_the_recorded_one(version, by_rule):
    case = f"{version}/single_frame"
    times = recorded(f"{case}/timestamp_ms").double() / 1000
    out = encoder(version, by_rule).refine(recorded(f"{case}/token"), times)
    torch.testing.assert_close(out, recorded(f"{case}/out"), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("case", ["rope_multihead", "rope_single"])
def test_turned_pairs_are_the_recorded_ones(case):
    angles = recorded(f"{case}/t_scaled")[..., None] * recorded(f"{case}/inv_freq")
    turns = torch.polar(torch.ones_like(angles), angles)
    turns = turns[:, None] if case == "rope_multihead" else turns
    turned = rotate(recorded(f"{case}/x"), turns)
    torch.testing.assert_close(turned, recorded(f"{case}/out"), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("version", ATTENDS)
def test_the_released_sizes_give_the_recorded_query(version, by_rule):
    sizes = {"query_dim": 1024, "num_heads": 16, "head_dim": 64, "mlp_dim": 2048}
    queries = by_rule.normal("csvit2/prod/token", (1, 7, 1024))
    times = recorded(f"production/{version}/timestamp_ms").double() / 1000
    out = encoder(version, by_rule, **sizes).refine(queries, times)
    wanted = recorded(f"production/{version}/out")
    torch.testing.assert_close(out, wanted, atol=5e-4, rtol=1e-3)
