from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from zoo.weights.csvit2_layout import Layout

RECORDED = json.loads(
    (Path(__file__).parents[2] / "oracles" / "csvit2_state_dict.json").read_text()
)
LAYOUTS = {
    "feb10": Layout(),
    "old": Layout(head_depth=6, context_dim=2, camera="metric", statistics=True),
}
MODULES = ("backbone.", "persp_info_embedder.", "handec.")


@pytest.mark.parametrize("version", LAYOUTS)
def test_the_layout_of_a_version_is_the_recorded_one_in_its_order(version):
    recorded = {
        key: tuple(shape)
        for key, shape in RECORDED[version].items()
        if key.startswith(MODULES) and ".grid_" not in key
    }
    shapes = LAYOUTS[version].shapes()
    assert list(shapes) == list(recorded)
    assert shapes == recorded


@pytest.mark.parametrize("version", LAYOUTS)
def test_a_layout_is_read_from_the_recorded_state_dict(version):
    state = {k: torch.empty(shape, device="meta") for k, shape in RECORDED[version].items()}
    layout = Layout.of(state)
    assert layout == LAYOUTS[version]
    assert layout.image_size == (224, 224)
    assert not layout.drop_cls
    assert layout.representation == "rotvec"


def test_what_a_file_does_not_tell_is_as_in_february():
    assert Layout.of({"handec.decpose.weight": torch.zeros(3)}).depth == 24
    assert Layout.of({}) == Layout()


def test_other_sizes_are_read_back_from_their_own_shapes():
    for layout in (
        Layout(dim=384, depth=12, mlp_dim=1536, patch_size=16, tokens=196, positions=197),
        Layout(pose=96, bins=(16, 12, 20), head_inner=512, neck_inner=256, neck_mlp_dim=1536),
    ):
        state = {key: torch.empty(s, device="meta") for key, s in layout.shapes().items()}
        assert Layout.of(state) == layout
    assert Layout(tokens=196).drop_cls
    assert Layout(pose=96).representation == "rot6d_columns"


def test_a_wild_layer_number_costs_nothing():
    state = {"backbone.backbone.encoder.layer.999999999999.norm1.weight": torch.zeros(1)}
    assert Layout.of(state).depth == 1
