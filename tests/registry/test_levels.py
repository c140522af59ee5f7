"""Heads that lay tokens out as a map are given one layer, or a neck that fuses several."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from registry.fit import IncompatibleParts, check_head_reads_levels

ONE, SEVERAL = SimpleNamespace(num_levels=1), SimpleNamespace(num_levels=3)
MAP, ANY = SimpleNamespace(reads_one_map=True), SimpleNamespace()


def test_several_layers_do_not_become_a_map_unnoticed():
    with pytest.raises(IncompatibleParts, match="hands over 3 layers") as caught:
        check_head_reads_levels(SEVERAL, None, MAP)
    assert caught.value.between == ("model.head", "model.backbone")


@pytest.mark.parametrize(
    ("backbone", "neck", "head"),
    [(ONE, None, MAP), (SEVERAL, SimpleNamespace(num_levels=3), MAP), (SEVERAL, None, ANY)],
)
def test_one_layer_a_fusing_neck_or_a_head_that_attends_is_fine(backbone, neck, head):
    check_head_reads_levels(backbone, neck, head)
