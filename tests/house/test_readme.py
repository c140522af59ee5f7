"""The README's own commands run, in its order, on a folder like a fresh clone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What takes minutes in the README takes seconds here; nothing else about it changes.
SHORTER = {
    "train": " --steps 4 --set data.synthetic.count=96 --set data.synthetic.val_count=16"
    " --set data.train.batch_size=8",
    "diagnose": " --probe gradient --probe ledger",
    "bench": " --budget 4 --batch 2",
}


def blocks(name: str) -> list[str]:
    """The bash blocks of a page."""
    return re.findall(r"```bash\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)


def commands(name: str) -> list[str]:
    """Every `zoo` call of a page, in order."""
    lines = [line for block in blocks(name) for line in block.strip().splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [part for part in parts if part.startswith(".venv/bin/zoo")]


def test_the_first_two_blocks_install_train_and_test_in_one_line_each():
    first, second = blocks("README.md")[:2]
    assert len(first.strip().splitlines()) == len(second.strip().splitlines()) == 1
    assert "pip install -e . " in first
    assert "zoo train configs/csvit2_ief3.py" in first
    assert second.strip() == ".venv/bin/pip install -e '.[test]' && .venv/bin/pytest -n 2"


@pytest.mark.parametrize("block", [0, 1])
def test_the_chinese_page_gives_the_same_commands(block):
    assert blocks("README.md")[block] == blocks("README.zh-CN.md")[block]
    assert commands("README.md") == commands("README.zh-CN.md")


def test_every_zoo_command_of_the_readme_runs(tmp_path):
    for name in ("configs", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {
        **os.environ,
        "ZOO_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }
    run = [sys.executable, "-m", "zoo.app.cli"]
    typed = commands("README.md")
    assert len(typed) >= 6
    for command in typed:
        words = command.removeprefix(".venv/bin/zoo").strip()
        short = words + SHORTER.get(words.split()[0], "")
        line = " ".join(map(_quoted, run)) + " " + short
        ended = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
    assert (tmp_path / "runs" / "csvit2_ief3-tiny" / "run.json").is_file()
    assert list((tmp_path / "runs" / "hand").glob("*.glb"))


def _quoted(word: str) -> str:
    return f"'{word}'"
