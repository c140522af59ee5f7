"""Names are found late, explained when missing, and never claimed twice."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from registry import slot as slot_module
from registry.catalog import SLOTS
from registry.slot import BrokenPart, NameClash, Slot, UnknownComponent

ROOT = Path(__file__).parents[2]


class Mine:
    """A part of our own."""


def a_slot(**paths: str) -> Slot:
    return Slot("view_augmentation", paths, protocol="")


def with_packages(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> list[str]:
    """Pretends packages with these entry points are installed; returns the groups asked for."""
    asked: list[str] = []

    def entry_points(*, group: str) -> EntryPoints:
        asked.append(group)
        return EntryPoints(EntryPoint(name, value, group) for name, value in points)

    monkeypatch.setattr(slot_module, "entry_points", entry_points)
    return asked


def test_a_name_gives_its_class_and_a_class_gives_itself():
    slot = a_slot(path="pathlib:PurePath")
    assert slot.get("path").__name__ == "PurePath"
    assert slot.get(Mine) is Mine
    assert slot.get("collections.OrderedDict").__name__ == "OrderedDict"


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known(monkeypatch):
    with_packages(monkeypatch, ("graph", "my_hands.heads:GraphHead"))
    with pytest.raises(UnknownComponent) as caught:
        a_slot(roll="pathlib:Path", z_scale="pathlib:Path").get("rol")
    assert str(caught.value) == (
        "No view augmentation is called 'rol'. Did you mean 'roll'? Known: graph, roll, z_scale."
    )


def test_a_known_name_never_looks_at_installed_packages(monkeypatch):
    asked = with_packages(monkeypatch)
    slot = a_slot(path="pathlib:PurePath")
    slot.get("path")
    assert asked == []
    slot.names()
    assert asked == ["zoo.view_augmentation"]


def test_an_installed_package_is_listed_without_being_imported(monkeypatch):
    with_packages(monkeypatch, ("graph", "package_that_is_not_there:GraphHead"))
    slot = a_slot(roll="pathlib:Path")
    assert slot.names() == ["graph", "roll"]
    assert slot.path("graph") == "package_that_is_not_there:GraphHead"
    assert slot.origin("graph").startswith("package ")
    with pytest.raises(BrokenPart) as caught:
        slot.get("graph")
    assert str(caught.value) == (
        "The view augmentation 'graph' (package package_that_is_not_there:GraphHead, "
        "package_that_is_not_there:GraphHead) cannot be loaded: ModuleNotFoundError: No module "
        "named 'package_that_is_not_there'. Repair or uninstall "
        "package_that_is_not_there:GraphHead; every other part works without it."
    )
    assert slot.get("roll").__name__ == "Path"


def test_a_package_cannot_take_a_shipped_name_and_is_told_so(monkeypatch):
    with_packages(monkeypatch, ("roll", "my_hands:Roll"), ("tilt", "my_hands:Tilt"))
    slot = a_slot(roll="pathlib:Path")
    assert slot.names() == ["roll", "tilt"]
    assert slot.get("roll").__name__ == "Path"
    (sentence,) = slot.clashes().values()
    assert sentence == (
        "Two parts claim the view augmentation name 'roll': pathlib:Path (shipped) and "
        "my_hands:Roll (package my_hands:Roll). Rename one of them, or uninstall its package."
    )


def test_a_name_two_packages_claim_is_an_error_naming_both_when_it_is_asked_for(monkeypatch):
    points = ("tilt", "my_hands:Tilt"), ("tilt", "other_hands:Tilt"), ("turn", "pathlib:Path")
    with_packages(monkeypatch, *points)
    slot = a_slot(roll="pathlib:Path")
    assert slot.names() == ["roll", "tilt", "turn"]
    with pytest.raises(NameClash, match=r"my_hands:Tilt .* and other_hands:Tilt .*Rename one"):
        slot.get("tilt")
    assert slot.get("turn") is slot.get("roll"), "everything else keeps working"


def test_a_file_cannot_take_the_name_of_an_installed_part(monkeypatch):
    with_packages(monkeypatch, ("mine", "other_hands:Mine"))
    slot = a_slot()
    with pytest.raises(NameClash, match=r"'mine': other_hands:Mine .*plugin .*test_slot"):
        slot.register("mine")(Mine)


def test_a_registered_class_is_found_and_remembers_its_file():
    slot = a_slot()
    assert slot.register("mine")(Mine) is Mine
    assert slot.get("mine") is Mine
    assert slot.origin("mine") == f"plugin {__file__}"
    slot.register("mine")(Mine)  # a notebook cell run twice
    with pytest.raises(NameClash, match="'mine'"):
        slot.register("mine")(Slot)


def test_origin_tells_shipped_parts_from_classes_of_a_config():
    slot = a_slot(path="pathlib:PurePath")
    assert slot.origin("path") == "shipped"
    assert slot.origin("collections.OrderedDict") == "config class collections.OrderedDict"
    assert slot.origin(Mine).endswith("Mine")


def test_a_path_without_such_a_class_says_so():
    with pytest.raises(BrokenPart, match=r"'path' \(shipped, .*pathlib has no 'Nothing'"):
        a_slot(path="pathlib:Nothing").get("path")


def test_listing_every_slot_imports_neither_torch_nor_any_part():
    code = (
        "import sys; from registry.catalog import SLOTS; [s.names() for s in SLOTS.values()];"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'numpy', 'zoo')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_slots_go_by_their_own_names():
    assert set(SLOTS) == {slot.name for slot in SLOTS.values()}
    assert len(SLOTS) == 13


def test_a_part_of_a_really_installed_package_is_found_by_name(tmp_path):
    metadata = tmp_path / "my_hands-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-hands\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[zoo.head]\ngraph = my_hands:GraphHead\n")
    (tmp_path / "my_hands.py").write_text("class GraphHead:\n    ...\n")
    code = (
        "import sys; from registry.catalog import heads; "
        "print(heads.names(), heads.origin('graph'), 'my_hands' in sys.modules, heads.get('graph'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'graph'" in done.stdout
    assert "package my-hands False <class 'my_hands.GraphHead'>" in done.stdout
