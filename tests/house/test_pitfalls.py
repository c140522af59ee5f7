"""The table of pitfalls names tests that exist, and its page lines that configs take."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from registry.config import load

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "decisions" / "0030-pitfalls-of-csvit2.md"
PAGE = ROOT / "docs" / "csvit2.md"
NUMBERS = {f"P-{number:02}" for number in range(1, 45)} | {"P-14b", "P-26b"}
ROWS = [line for line in TABLE.read_text().splitlines() if line.startswith("| P-")]
LINES = sorted(set(re.findall(r"`(--set [^`]+)`", PAGE.read_text())))
WITH_PARTS_OF_ITS_OWN = "csvit2_old"  # a line about a loss that only this config has


def cells(row: str) -> tuple[str, str, list[str]]:
    """Number, what is done, and the tests of a row."""
    pitfall, here, tests = (cell.strip() for cell in row.strip("|").split("|"))
    return pitfall.split(" ", 1)[0], here, [test.strip() for test in tests.split(",")]


def defined(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_every_pitfall_has_one_row():
    numbers = [cells(row)[0] for row in ROWS]
    assert sorted(numbers) == sorted(NUMBERS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: cells(row)[0])
def test_a_row_says_what_is_done_and_names_tests_that_exist(row):
    _, here, tests = cells(row)
    assert here
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), f"{file} is gone"
        assert not name or name in defined(ROOT / file), f"{test} is gone"


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_the_page_is_a_change_a_config_takes(line):
    words = shlex.split(line)
    changes = words[1::2]
    assert words[::2] == ["--set"] * len(changes)
    config = WITH_PARTS_OF_ITS_OWN if "component_sum" in line else "csvit2"
    assert load(config, changes) != load(config)


def test_the_page_names_every_config_of_the_history_and_each_ablation():
    shipped = [*(ROOT / "configs").glob("csvit2*.py"), *(ROOT / "configs/ablations").glob("*.py")]
    names = {file.stem for file in shipped} - {"__init__", "csvit2_stage2"}
    text = PAGE.read_text()
    assert {name for name in names if f"`{name}`" not in text} == set()
