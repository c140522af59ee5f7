"""Every shipped config is a list of values and differences, and says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from registry.config import LADDER_NAMES, SHIPPED, available, load
from registry.house_rules import broken_rules, docstring_of
from registry.layout import TOP_LEVEL

LONGEST_FILE = 80  # lines, docstring and sizes included: a root fits on a screen
MOST_DIFFERENCES = 4  # statements in a variant of a shipped root

FILES = [file for file in sorted(SHIPPED.rglob("*.py")) if file.stem != "__init__"]


def name_of(file: Path) -> str:
    return str(file.relative_to(SHIPPED))


def is_variant(tree: ast.Module) -> bool:
    """Whether a config reads another experiment, and not only what all of them share."""
    bases = [item for node in tree.body if isinstance(node, ast.With) for item in node.body]
    return any("_base_" not in (base.module or "") for base in bases)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_config_obeys_the_house_rules(file):
    allowed = LADDER_NAMES if file.parent.name == "ladders" else TOP_LEVEL
    assert broken_rules(file, allowed) == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_config_fits_on_a_screen_and_says_what_it_is(file):
    assert file.read_text().count("\n") <= LONGEST_FILE
    assert docstring_of(file).endswith((".", ":"))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_variant_is_its_docstring_and_a_few_differences(file):
    tree = ast.parse(file.read_text())
    differences = [node for node in tree.body if isinstance(node, ast.Assign | ast.Expr)][1:]
    assert not is_variant(tree) or len(differences) <= MOST_DIFFERENCES


@pytest.mark.parametrize("size", ["full", "tiny"])
@pytest.mark.parametrize("name", sorted(available()))
def test_a_config_is_right_at_every_size(name, size):
    assert load(name, size=size)["model"]["head"]["type"]
