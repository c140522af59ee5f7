"""Files and functions a reader can hold in mind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("zoo", "registry", "benchmarks")
LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 40  # lines from `def` to the end, docstring left out

FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines of a function without its decorators and docstring."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_and_its_functions_are_short(file):
    text = file.read_text()
    assert text.count("\n") < LONGEST_FILE
    long = {f.name: length(f) for f in functions(ast.parse(text)) if length(f) >= LONGEST_FUNCTION}
    assert long == {}


def test_a_docstring_does_not_make_a_function_long():
    tree = ast.parse('@a\ndef f(x):\n    """One.\n\n    Two.\n    """\n    y = x\n    return y\n')
    assert [length(f) for f in functions(tree)] == [3]
