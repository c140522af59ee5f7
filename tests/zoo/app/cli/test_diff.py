"""What `zoo diff` says is the whole difference: in the terminal, as JSON, as a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from registry.config import load
from registry.difference import difference
from zoo.app.cli.diff import brief
from zoo.app.cli.main import app

PLUGIN = """
from registry.catalog import losses
from zoo.losses.joints import RootRelativeJointLoss

losses.register("joints_of_a_stranger")(RootRelativeJointLoss)
"""
CONFIG = '''"""A variant."""
from mmengine.config import read_base

with read_base():
    from configs.hamer import *

model.losses.update(mine=dict(type="joints_of_a_stranger", weight=1.0))
'''


def zoo(*words: str | Path) -> str:
    ended = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert ended.exit_code == 0
    return ended.stdout


def test_every_change_stands_in_the_terminal_unshortened():
    shown = zoo("diff", "csvit2", "hamer")
    for change in difference(load("csvit2"), load("hamer")):
        assert change.path in shown
        assert brief(change.before) in shown
        assert brief(change.after) in shown
    assert "…" not in shown
    assert shown.index("P0") < shown.index("P1") < shown.index("P2") < shown.index("not ranked")


def test_the_json_holds_paths_values_slots_and_priorities(tmp_path):
    zoo("diff", "csvit2", "csvit2_ief3", "--json", tmp_path / "d.json")
    document = json.loads((tmp_path / "d.json").read_text())
    rows = {row["path"]: row for row in document["differences"]}
    assert rows["model.head.steps"] == {
        "path": "model.head.steps",
        "before": 1,
        "after": 3,
        "slot": "head",
        "priority": "P1",
        "reason": "iterative error feedback",
    }
    assert "before" not in rows["model.losses.orientation"], "absent is not null"
    assert len(rows) == len(difference(load("csvit2"), load("csvit2_ief3")))


def test_the_page_holds_every_change_and_asks_the_network_for_nothing(tmp_path):
    zoo("diff", "csvit2", "hamer", "--html", tmp_path / "d.html")
    text = (tmp_path / "d.html").read_text()
    for change in difference(load("csvit2"), load("hamer")):
        assert f"<code>{change.path}</code>" in text
    assert not re.search(r'(src|href)="(?!#|data:)', text)


def test_a_config_is_the_same_as_itself():
    assert "are the same" in zoo("diff", "hamer", "hamer")


@pytest.mark.parametrize("command", ["show", "diff"])
def test_a_config_of_a_strangers_part_is_read_with_its_plugin(tmp_path, command):
    name = f"joints_for_{command}"
    plugin = tmp_path / f"{name}_plugin.py"
    plugin.write_text(PLUGIN.replace("joints_of_a_stranger", name))
    config = tmp_path / "with_a_stranger.py"
    config.write_text(CONFIG.replace("joints_of_a_stranger", name))
    words = [command, str(config), *(["hamer"] if command == "diff" else [])]
    with pytest.raises(ValueError, match=f"No loss is called '{name}'"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert name in zoo(*words, "--plugin", plugin)


def test_list_says_which_file_a_part_came_from(tmp_path):
    file = tmp_path / "another_loss_plugin.py"
    file.write_text(PLUGIN.replace("joints_of_a_stranger", "listed_loss"))
    shown = re.sub(r"[\s│]", "", zoo("list", "loss", "--plugin", file))
    assert f"listed_lossplugin{file}" in shown
