"""A user's own file is run once and its parts are found like any other."""

from __future__ import annotations

import pytest

from registry.catalog import heads
from registry.plugins import load_plugin, loaded_plugins


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


def test_what_a_plugin_raises_passes_and_it_can_be_tried_again(tmp_path):
    file = tmp_path / "broken_plugin.py"
    file.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_plugin(file)
    file.write_text("fine = True\n")
    load_plugin(file)
    assert file in loaded_plugins()
