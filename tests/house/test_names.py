"""Names that say what is behind them, and a sentence where a name is not enough."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("zoo", "registry", "configs", "benchmarks")
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "base", "core", "manager"}
VERSIONED = re.compile(r"(_new|_old|_final|_v\d+|[a-z]{3,}v\d|_copy|_tmp|(?<=[a-z])2)$")
PUBLISHED = {"dinov2", "dinov3", "swinv2", "csvit2", "csvit2_stage2"}  # their authors' names
# a point of its history, a backbone of its, a ladder to it
PUBLISHED |= {"csvit2_old", "csvit2_swinv2", "hamer_to_csvit2"}
SHORT = 5  # statements: a function this short needs no docstring when its name says it all
DECLARED_IN_CONTRACTS = {"forward", "query", "read"}

FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
Documented = ast.ClassDef | ast.FunctionDef


def vague_or_versioned(name: str) -> bool:
    if name in PUBLISHED or name.removeprefix("test_") in PUBLISHED:
        return False
    return bool(VAGUE & set(name.split("_"))) or bool(VERSIONED.search(name))


def public(tree: ast.Module) -> Iterator[Documented]:
    """Public classes and functions of a module, and the public methods of its classes."""
    for node in tree.body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef) and not overrides(node):
                methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
                yield from (item for item in methods if not item.name.startswith("_"))


def overrides(node: ast.ClassDef) -> bool:
    """Whether a class fills in the methods of another, where they are described."""
    return any(ast.unparse(base) not in ("nn.Module", "ValueError") for base in node.bases)


def says_enough(node: Documented) -> bool:
    if ast.get_docstring(node) or node.name in DECLARED_IN_CONTRACTS:
        return True
    return isinstance(node, ast.FunctionDef) and statements(node) <= SHORT


def statements(node: ast.AST) -> int:
    """Statements of a function, those of its loops and branches included."""
    return sum(isinstance(child, ast.stmt) for child in ast.walk(node)) - 1


def is_stub(node: ast.FunctionDef) -> bool:
    """Whether a function does nothing yet: only `...`, `pass` or NotImplementedError."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    text = "; ".join(ast.unparse(item) for item in body)
    return text in ("...", "pass", "") or text.startswith("raise NotImplementedError")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_has_a_telling_name_and_opens_with_why_it_exists(file):
    assert not vague_or_versioned(file.stem)
    text = file.read_text()
    docstring = ast.get_docstring(ast.parse(text))
    if text.strip() or file.stem != "__init__":
        assert docstring, "a module opens with one sentence saying why it exists"
        assert docstring.split("\n\n")[0].rstrip().endswith((".", "?", ":"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_public_thing_says_what_one_gets(file):
    silent = [node.name for node in public(ast.parse(file.read_text())) if not says_enough(node)]
    assert silent == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_constructor_takes_no_unnamed_extras(file):
    """A `**kwargs` swallows the misspelt argument that a config check would have found.

    The roof may pass mmengine's arguments on to mmengine's classes.
    """
    if "zoo/app" in file.as_posix():
        return
    swallowing = [
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name == "__init__" and item.args.kwarg
    ]
    assert swallowing == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_is_left_for_later(file):
    text = file.read_text()
    marks = re.findall(r"\b(?:TODO|FIXME|XXX|HACK)\b", text)
    stubs = [
        f"{owner.name}.{item.name}"
        for owner in ast.walk(ast.parse(text))
        if isinstance(owner, ast.ClassDef) and not declares(owner)
        for item in owner.body
        if isinstance(item, ast.FunctionDef) and is_stub(item)
    ]
    assert marks + stubs == []


def declares(owner: ast.ClassDef) -> bool:
    """Whether a class only says what others do: a protocol, or a private base of a file's parts."""
    return owner.name.startswith("_") or any("Protocol" in ast.unparse(b) for b in owner.bases)


@pytest.mark.parametrize("name", ["utils", "data_utils", "loss_v2", "bundleloss2", "head_new"])
def test_vague_and_versioned_names_are_seen(name):
    assert vague_or_versioned(name)


@pytest.mark.parametrize("name", ["dinov2", "csvit2", "rotation", "mano_decoder", "se3", "trope"])
def test_telling_names_pass(name):
    assert not vague_or_versioned(name)
