"""The page of probes is what the probes say of themselves."""

from __future__ import annotations

from benchmarks.probe_page import PAGE, anchor, text
from registry.catalog import SLOTS


def test_the_page_is_the_one_the_probes_write():
    assert PAGE.read_text(encoding="utf-8") == text(), "run python -m benchmarks.probe_page"


def test_every_probe_points_at_its_own_section():
    page = text()
    for name in SLOTS["probe"].names():
        assert f'<a id="{anchor(name)}"></a>' in page
