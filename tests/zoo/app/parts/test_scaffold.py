"""What `zoo new` writes works as it is: it reads well, keeps the contract and passes its test."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

from registry.catalog import SLOTS
from registry.config import load
from registry.house_rules import broken_rules
from registry.layout import TOP_LEVEL
from zoo.app.parts.scaffold import KINDS, package_files, write_package


@pytest.fixture(params=KINDS)
def written(request, tmp_path, monkeypatch) -> tuple[str, str, Path]:
    """Kind, name and folder of a package just written, importable until the test ends."""
    kind = request.param
    name = f"my_{kind}_of_tests"
    write_package(kind, name, tmp_path / name)
    monkeypatch.syspath_prepend(tmp_path / name)
    slot = SLOTS[KINDS[kind].slot]
    before = {key: value.copy() for key, value in vars(slot).items() if isinstance(value, dict)}
    yield kind, name, tmp_path / name
    vars(slot).update(before)
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        del sys.modules[module]


def test_a_new_package_passes_its_own_test_and_its_config_loads(written):
    kind, name, folder = written
    spec = importlib.util.spec_from_file_location(f"test_{name}", folder / f"tests/test_{name}.py")
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    ran = [test for title, test in vars(tests).items() if title.startswith("test_")]
    assert len(ran) == 2
    for test in ran:
        test()
    if KINDS[kind].has_config:
        config = load(folder / f"train_{name}.py", size="tiny")
        assert name in str(config)
    registered = f"own.{name}" if kind == "probe" else name
    assert registered in SLOTS[KINDS[kind].slot].names()


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_python_within_100_columns_and_a_config_keeps_the_house_rules(kind, tmp_path):
    name = "graph_of_mine"
    for path, text in package_files(kind, name).items():
        if path.endswith(".py"):
            ast.parse(text)
            assert ast.get_docstring(ast.parse(text)), path
            assert max(map(len, text.splitlines())) <= 100, path
            assert "{{" not in text
            assert text.endswith("\n"), path
            assert not text.endswith("\n\n"), path
    if KINDS[kind].has_config:
        (tmp_path / "c.py").write_text(package_files(kind, name)[f"train_{name}.py"])
        assert broken_rules(tmp_path / "c.py", TOP_LEVEL, max_hops=3) == []


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("haed", "mine", "zoo new makes no 'haed'. Did you mean 'head'?"),
        ("head", "My Head", "'My Head' cannot be the name of a part"),
        ("head", "class", "'class' cannot be the name"),
        ("head", "mano_decoder", "already a head called 'mano_decoder' (shipped)"),
        ("head", "torch", "would hide another one"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_sentence(tmp_path, kind, name, says):
    with pytest.raises(ValueError, match=r"\w") as caught:
        write_package(kind, name, tmp_path / "new")
    assert says in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"exists already and is not empty.*--out"):
        write_package("head", "graph", tmp_path)
