"""A stranger's part of any slot comes in by three doors, and a broken one shuts none of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry.catalog import SLOTS

ROOT = Path(__file__).parents[2]
CLASSES = "\n\n".join(
    f'class Of{slot.title().replace("_", "")}:\n    """A stranger\'s {slot}."""'
    for slot in sorted(SLOTS)
)


def class_of(slot: str) -> str:
    return f"Of{slot.title().replace('_', '')}"


def install(folder: Path, package: str, entry_points: str) -> None:
    """Metadata as pip leaves it."""
    metadata = folder / f"{package}-0.1.dist-info"
    metadata.mkdir()
    name = package.replace("_", "-")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(entry_points)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory) -> Path:
    """Two installed packages and a file: one whole, one that cannot be imported."""
    folder = tmp_path_factory.mktemp("strangers")
    (folder / "whole_hands.py").write_text(CLASSES + "\n")
    (folder / "broken_hands.py").write_text("import a_library_that_is_not_there\n")
    groups = {slot: f"zoo.{slot}" for slot in SLOTS}
    lines = [f"[{g}]\nwhole = whole_hands:{class_of(slot)}" for slot, g in groups.items()]
    install(folder, "whole_hands", "\n".join(lines) + "\n")
    lines = [f"[{g}]\nbroken = broken_hands:Part" for g in groups.values()]
    install(folder, "broken_hands", "\n".join(lines) + "\n")
    registered = "\n".join(
        f"SLOTS[{slot!r}].register('by_file')({class_of(slot)})" for slot in sorted(SLOTS)
    )
    (folder / "own_parts.py").write_text(
        f"from registry.catalog import SLOTS\n\n\n{CLASSES}\n\n\n{registered}\n"
    )
    return folder


def python(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_slot_finds_parts_by_package_by_class_and_by_file(strangers):
    said = python(
        strangers,
        "from registry.catalog import SLOTS\n"
        "from registry.plugins import load_plugin\n"
        f"load_plugin({str(strangers / 'own_parts.py')!r})\n"
        "for name, slot in SLOTS.items():\n"
        "    own = 'Of' + name.title().replace('_', '')\n"
        "    for part in ('whole', f'whole_hands.{own}', 'by_file'):\n"
        "        print(name, slot.get(part).__name__ == own, slot.origin(part), sep='|')\n",
    )
    rows = [line.split("|") for line in said.strip().splitlines()]
    assert len(rows) == 3 * len(SLOTS)
    assert {found for _, found, _ in rows} == {"True"}
    origins = [origin for _, _, origin in rows]
    assert origins[0::3] == ["package whole-hands"] * len(SLOTS)
    assert all(
        o == f"config class whole_hands.{class_of(s)}"
        for (s, _, _), o in zip(rows[1::3], origins[1::3], strict=True)
    )
    assert set(origins[2::3]) == {f"plugin {strangers / 'own_parts.py'}"}


def test_a_package_that_cannot_be_imported_is_named_and_nothing_else_stops(strangers):
    said = python(
        strangers,
        "from registry.catalog import SLOTS\n"
        "for name, slot in SLOTS.items():\n"
        "    assert {'broken', 'whole'} <= set(slot.names())\n"
        "    try:\n"
        "        slot.get('broken')\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
        "    slot.get('whole')\n",
    )
    lines = said.strip().splitlines()
    assert len(lines) == len(SLOTS)
    for line in lines:
        assert "'broken' (package broken-hands, broken_hands:Part) cannot be loaded" in line
        assert "No module named 'a_library_that_is_not_there'" in line
        assert "uninstall broken-hands; every other part works without it" in line


def test_listing_says_where_each_part_comes_from_and_imports_none(strangers):
    said = python(
        strangers,
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from zoo.app.cli.main import app\n"
        "print(CliRunner().invoke(app, ['list', 'head']).stdout)\n"
        "print([m for m in sys.modules if m in ('whole_hands', 'broken_hands', 'torch')])\n",
    )
    flat = " ".join(said.split())
    assert "whole │ package whole-hands" in flat
    assert "broken │ package broken-hands" in flat
    assert "mano_decoder │ MANO parameters" in flat
    assert said.strip().endswith("[]")
