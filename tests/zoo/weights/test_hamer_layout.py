from __future__ import annotations

import json
from pathlib import Path

import torch

from zoo.weights.hamer_layout import Layout

RECORDED = Path(__file__).parents[2] / "oracles" / "hamer_state_dict.json"


def test_the_released_layout_is_the_recorded_one_in_its_order():
    recorded = json.loads(RECORDED.read_text())
    shapes = Layout().shapes()
    assert list(shapes) == list(recorded)
    assert all(list(shapes[key]) == shape for key, (shape, _) in recorded.items())


def test_a_layout_is_read_back_from_its_own_shapes():
    for layout in (Layout(), Layout(dim=1024, depth=24, mlp_dim=4096, query_width=109)):
        state = {key: torch.empty(s, device="meta") for key, s in layout.shapes().items()}
        assert Layout.of(state) == layout


def test_what_a_file_does_not_tell_is_as_released():
    assert Layout.of({"backbone.pos_embed": torch.zeros(3)}) == Layout()
    assert Layout.of({}) == Layout()


def test_a_wild_layer_number_costs_nothing():
    state = {"backbone.blocks.999999999999.norm1.weight": torch.zeros(1)}
    assert Layout.of(state).depth == 1
