from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.subject import Subject, load_subject

SUPPORT = Path(__file__).parents[2] / "support" / "tiny.py"


@pytest.fixture(scope="session")
def healthy():
    """A shipped config by name, as a subject with very small parts; probes leave it as it is."""
    spec = importlib.util.spec_from_file_location("tiny_support", SUPPORT)
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    made: dict[str, Subject] = {}

    def subject(name: str) -> Subject:
        if name not in made:
            changes = tiny.CHANGES if name.startswith("csvit2") else ()
            if name == "csvit2_old":
                changes = [change for change in changes if "camera.bins" not in change]
            made[name] = load_subject(name, changes=changes)
        return made[name]

    return subject
