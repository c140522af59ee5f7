from __future__ import annotations

import json

from benchmarks.speed.attention import REFERENCE, measure


def test_every_way_is_measured_against_the_explicit_softmax_in_one_run():
    result = measure(size="tiny", repeats=2)
    ways = {row["name"]: row for row in result["ways"]}
    assert next(iter(ways)) == REFERENCE
    assert ways[REFERENCE]["times_as_fast"] == 1
    assert ways[REFERENCE]["vertices_differ_m"] == 0
    assert all(row["seconds"] > 0 for row in result["ways"])
    assert ways["fused, fp32"]["vertices_differ_m"] < 3e-6
    assert 3e-6 < ways["fused, bf16 autocast"]["vertices_differ_m"] < 0.02
    assert json.loads(json.dumps(result)) == result
