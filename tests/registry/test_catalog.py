"""Every row of the table of contents leads to a part that keeps the house's manners."""

from __future__ import annotations

import inspect
import re

import pytest

from registry.build import _members
from registry.catalog import SLOTS
from registry.slot import _imported

SHIPPED = [
    (slot.name, name)
    for slot in SLOTS.values()
    for name in slot.names()
    if slot.origin(name) == "shipped"
]


@pytest.mark.parametrize(("slot", "name"), SHIPPED)
def test_a_name_leads_to_a_documented_class_with_named_arguments_only(slot, name):
    part = SLOTS[slot].get(name)
    assert inspect.isclass(part)
    assert part.__doc__
    own = [p for p in inspect.signature(part).parameters.values() if p.name != "self"]
    assert {p.kind for p in own} <= {inspect.Parameter.KEYWORD_ONLY}
    family, _, own_name = name.rpartition(".")
    assert bool(family) == (slot == "probe"), "a probe is named after its family: gradient.reach"
    for word in filter(None, (family, own_name)):
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", word), "snake_case"


@pytest.mark.parametrize(("slot", "name"), SHIPPED)
def test_a_class_has_the_methods_of_its_slots_contract(slot, name):
    if not SLOTS[slot].protocol:
        pytest.skip("the slot has no contract of its own")
    protocol = _imported(SLOTS[slot].protocol)
    methods = {member for member in _members(protocol) if callable(getattr(protocol, member, None))}
    part = SLOTS[slot].get(name)
    assert methods
    assert [m for m in methods if not callable(getattr(part, m, None))] == []


def test_no_two_names_of_a_slot_lead_to_one_part():
    for slot in SLOTS.values():
        paths = [slot.path(name) for name in slot.names()]
        assert len(paths) == len(set(paths))
