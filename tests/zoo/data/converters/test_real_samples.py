from __future__ import annotations

import pytest

from zoo.data.check import check_shards
from zoo.data.converters.freihand_coco import FreiHandCoco
from zoo.data.converters.interhand26m import InterHand26M
from zoo.data.shards import write_shard


@pytest.mark.parametrize(
    ("converter", "folder", "hands"),
    [(InterHand26M, "interhand2.6m", 6), (FreiHandCoco, "freihand", 8)],
)
def test_real_photographs_converted_here_break_no_law(
    real_samples, tmp_path, converter, folder, hands
):
    samples = list(converter().rows(real_samples / folder, split="test").samples([]))
    write_shard(tmp_path / "a.tar", samples)
    report = check_shards(str(tmp_path / "a.tar"))
    assert report.findings == ()
    assert report.counts[converter.release.dataset]["hands"] == hands
