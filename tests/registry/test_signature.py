"""A constructor read from source is the constructor Python sees."""

from __future__ import annotations

import subprocess
import sys

import pytest

from registry.catalog import SLOTS
from registry.signature import _from_object, _from_source, constructor, summary
from registry.slot import Slot


def shipped() -> list[tuple[str, str]]:
    return [
        (slot.name, name)
        for slot in SLOTS.values()
        for name in slot.names()
        if slot.origin(name) == "shipped"
    ]


@pytest.mark.parametrize(("slot", "name"), shipped())
def test_the_source_of_a_shipped_part_says_what_importing_it_would(slot, name):
    read = _from_source(*SLOTS[slot].path(name).split(":"))
    imported = _from_object(SLOTS[slot].get(name))
    assert read is not None
    assert imported is not None
    assert {a: v.required for a, v in read.arguments.items()} == {
        a: v.required for a, v in imported.arguments.items()
    }
    assert dict(read.tiny) == dict(imported.tiny)


def test_reading_a_constructor_imports_no_torch():
    code = (
        "import sys; from registry.catalog import heads; "
        "from registry.signature import constructor; "
        "print('steps' in constructor(heads, 'mano_decoder').arguments, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_inherited_and_dataclass_constructors_are_found(tmp_path, monkeypatch):
    (tmp_path / "strange_parts.py").write_text(
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "class First:\n"
        "    tiny: ClassVar[dict] = dict(width=2)\n"
        "    def __init__(self, *, width: int, depth: int = 3): ...\n"
        "class Second(First): ...\n"
        "@dataclass\n"
        "class Third:\n"
        "    degrees: float\n"
        "    count: int = 1\n"
        "    kind: ClassVar[str] = 'x'\n"
        "class Fourth(dict): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    slot = SLOTS["head"]
    second = constructor(slot, "strange_parts.Second")
    assert {a.name: a.required for a in second.arguments.values()} == {
        "width": True,
        "depth": False,
    }
    assert second.tiny == {"width": 2}
    third = constructor(slot, "strange_parts:Third")
    assert {a.name: a.required for a in third.arguments.values()} == {
        "degrees": True,
        "count": False,
    }
    assert constructor(slot, "strange_parts.Fourth") is None
    assert "strange_parts" not in sys.modules


def test_every_shipped_part_says_in_a_sentence_what_it_is():
    for slot in SLOTS.values():
        for name in slot.names():
            if slot.origin(name) == "shipped":
                sentence = summary(slot, name)
                assert 10 < len(sentence) < 140, f"{slot.name} {name}: {sentence!r}"
                assert ". " not in sentence.replace("vs. ", "").replace("e.g. ", "")


def test_what_a_registered_part_says_needs_no_source():
    class Told:
        """It says this: and no more.

        Nothing of this.
        """

    slot = Slot("head", {}, protocol="zoo.contracts:Head")
    slot.register("told")(Told)
    assert summary(slot, "told") == "It says this: and no more."
