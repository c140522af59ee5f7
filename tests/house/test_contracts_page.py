"""The page of the contracts shows the contracts as they are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contracts.md").read_text()
SOURCE = (ROOT / "zoo" / "contracts.py").read_text()
SHOWN = [
    part
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for part in block.rstrip().split("\n\n\n")
    if re.search(r"^class ", part, re.MULTILINE)
]


def test_every_class_on_the_page_stands_in_the_source_word_for_word():
    assert len(SHOWN) > 15
    assert [part for part in SHOWN if part not in SOURCE] == []
