"""docs/add_a_head.md, followed to the letter by somebody who reads nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from zoo.app.parts.scaffold import package_files

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_a_head.md").read_text("utf-8")
# What the page trains in minutes is trained here in seconds; nothing else about it changes.
FEWER = ((r"--count \d+", "--count 40"), (r"--image-size \d+", "--image-size 64"))
SHORTER = (
    "--steps 2 --set data.train.batch_size=4 --set data.train.shuffle=8 --set custom_hooks.ema=null"
)


def commands() -> list[str]:
    """Every command of the page, in order."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for block in blocks for line in block.strip().splitlines()]
    for pattern, value in (*FEWER, (r"--steps \d+", SHORTER)):
        lines = [re.sub(pattern, value, line) for line in lines]
    return lines


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """An environment of its own, which sees the packages of this one and installs into itself."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, system_site_packages=True, with_pip=False)
    here = [path for path in sys.path if "site-packages" in path or "dist-packages" in path]
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "packages_of_the_tests.pth").write_text("\n".join([*here, str(ROOT)]) + "\n")
    for name, module in (("zoo", "zoo.app.cli"), ("pip", "pip"), ("pytest", "pytest")):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m {module} "$@"\n')
        script.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "COLUMNS": "160", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def test_the_page_shows_the_file_that_zoo_new_writes():
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert shown == package_files("head", "pooled")["pooled/part.py"]


def test_every_command_of_the_page_runs_and_does_what_the_page_says(environment, tmp_path):
    said = {}
    for command in commands():
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        said[command] = done.stdout
    listed = next(text for command, text in said.items() if command == "zoo list head")
    assert re.search(r"pooled\W+package pooled", listed)
    checked = next(text for command, text in said.items() if "check-part" in command)
    assert "failed" not in checked
    assert checked.count("passed") >= 8
    scores = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("pooled", "hamer")]
    assert all(score["metrics"]["root_mpjpe_mm"] > 0 for score in scores)
    assert "model.head" in (tmp_path / "difference.html").read_text()
    shutil.rmtree(tmp_path / "runs")
