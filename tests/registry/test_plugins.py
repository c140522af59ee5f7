"""A user's own file is run once and its parts are found like any other."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from registry import plugins as plugins_module
from registry.catalog import heads
from registry.plugins import BrokenPlugin, load_plugin, loaded_plugins, lost_entry_points


def test_a_plugin_brings_its_parts_and_is_remembered(tmp_path):
    file = tmp_path / "my_head_plugin.py"
    file.write_text(
        "from pathlib import Path\n"
        "from registry.catalog import heads\n"
        "log = Path(__file__).with_suffix('.log')\n"
        "log.write_text(log.read_text() + 'x' if log.exists() else 'x')\n"
        "@heads.register('from_plugin')\n"
        "class MyHead:\n    ...\n"
    )
    load_plugin(file)
    load_plugin(str(file))
    assert heads.get("from_plugin").__name__ == "MyHead"
    assert heads.origin("from_plugin") == f"plugin {file}"
    assert loaded_plugins()[-1] == file
    assert file.with_suffix(".log").read_text() == "x", "run once"


def test_a_missing_plugin_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"--plugin: no Python file at .*gone.py"):
        load_plugin(tmp_path / "gone.py")


def test_two_plugins_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name_plugin.py").write_text("x = 1\n")
    load_plugin(tmp_path / "a" / "same_name_plugin.py")
    with pytest.raises(ValueError, match=r"another plugin is also called same_name_plugin.py"):
        load_plugin(tmp_path / "b" / "same_name_plugin.py")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1\n1 / 0\n", r"ZeroDivisionError: division by zero \(line 2\)\. Repair it"),
        ("import nothing_of_the_kind\n", r"No module named 'nothing_of_the_kind' \(line 1\)"),
        ("def f(:\n", r"SyntaxError: .*line 1"),
    ],
    ids=["raises", "imports what is not there", "is no Python"],
)
def test_a_plugin_that_cannot_be_run_is_named_with_its_line_and_can_be_tried_again(
    tmp_path, source, says
):
    file = tmp_path / f"broken_{abs(hash(source))}_plugin.py"
    file.write_text(source)
    with pytest.raises(BrokenPlugin, match=rf"--plugin .*{file.name} could not be run: .*{says}"):
        load_plugin(file)
    file.write_text("fine = True\n")
    load_plugin(file)
    assert file in loaded_plugins()


def test_a_part_in_a_group_that_is_no_slot_is_told_the_right_one(monkeypatch):
    points = EntryPoints(
        EntryPoint("graph", "my_hands:Graph", group) for group in ("zoo.heads", "zoo.head")
    )
    monkeypatch.setattr(plugins_module, "entry_points", lambda **by: points.select(**by))
    (sentence,) = lost_entry_points()
    assert sentence == (
        "A package puts 'graph' into 'zoo.heads', which is no slot. Did you mean 'zoo.head'?"
    )
