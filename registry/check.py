"""Finds everything wrong with a config at once, before torch is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from registry.layout import (
    FACTS,
    NAMED_PARTS,
    REQUIRED_PARTS,
    SECTION_KEYS,
    TOP_LEVEL,
    Place,
    at,
    parts,
)
from registry.signature import Argument, Constructor, constructor
from registry.slot import UnknownComponent, nearest

_KINDS = {"int": int, "float": (int, float), "bool": bool, "str": str}


def problems(config: Mapping[str, Any]) -> list[str]:
    """One sentence for everything wrong with a config; none where it can be built."""
    return [*_sections(config), *(p for place in parts(config) for p in part_problems(place))]


def part_problems(place: Place) -> list[str]:
    """One sentence for every way in which a part's config does not fit its constructor."""
    if not isinstance(place.spec, Mapping) or "type" not in place.spec:
        return [
            f"{place.path} is {place.spec!r}; a {place.slot.noun} is a dict with a `type`, "
            f"one of {', '.join(place.slot.names())}."
        ]
    kind = place.spec["type"]
    try:
        built = constructor(place.slot, kind)
    except UnknownComponent as error:
        return [f"{error} ({place.path})"]
    given = {key: value for key, value in place.spec.items() if key != "type"}
    return list(_arguments(place, title(place), given, built)) if built else []


def title(place: Place) -> str:
    """A part in a sentence: "head 'mano_decoder'"."""
    kind = place.spec["type"]
    return f"{place.slot.noun} {(kind if isinstance(kind, str) else kind.__qualname__)!r}"


def _sections(config: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown_keys("the config", config, TOP_LEVEL)
    for path, known in SECTION_KEYS.items():
        section = at(config, path)
        if section is None:
            continue
        if not isinstance(section, Mapping):
            yield f"{path} is {section!r}, not a dict of {', '.join(known)}."
            continue
        yield from _unknown_keys(path, section, known)
    for path in NAMED_PARTS:
        named = at(config, path)
        if named is not None and not isinstance(named, Mapping):
            yield f"{path} is {named!r}, not a dict of named parts."
    for path in REQUIRED_PARTS:
        if at(config, path) is None:
            yield f"{path} is missing; a model needs one."


def _unknown_keys(where: str, found: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[str]:
    for key in found:
        if key not in known:
            yield f"{where} has no {key!r}.{nearest(key, known)} Known: {', '.join(known)}."


def _arguments(
    place: Place, name: str, given: Mapping[str, Any], built: Constructor
) -> Iterator[str]:
    for key, value in given.items():
        if key not in built.arguments:
            yield (
                f"{name}: unexpected keyword {key!r}.{nearest(key, built.arguments)} ({place.path})"
            )
        elif problem := _misfit(value, built.arguments[key]):
            yield f"{name}: {key} is {value!r}, {problem} ({place.path}.{key})"
    facts = FACTS.get(place.slot.name, ())
    for key, argument in built.arguments.items():
        if argument.required and key not in given and key not in facts:
            yield f"{name}: {key!r} is missing ({place.path})"


def _misfit(value: Any, argument: Argument) -> str | None:
    """What an argument should have been, judged by its annotation where that is plain."""
    try:
        annotation = ast.parse(argument.annotation, mode="eval").body
    except SyntaxError:
        return None
    options = list(_options(annotation))
    if not options or any(option is ANYTHING for option in options):
        return None
    if any(_fits(value, option) for option in options):
        return None
    choices = [repr(option[0]) for option in options if isinstance(option, tuple)]
    kinds = [option for option in options if isinstance(option, str)]
    expected = f"not one of {', '.join(choices)}" if choices else f"not {' or '.join(kinds)}"
    close = nearest(value, [c.strip("'\"") for c in choices]) if isinstance(value, str) else ""
    return f"{expected}.{close}"


ANYTHING = object()


def _options(node: ast.expr) -> Iterator[Any]:
    """The plain kinds of an annotation: a kind's name, a 1-tuple for a literal, or ANYTHING."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _options(left)
            yield from _options(right)
        case ast.Constant(value=None):
            yield (None,)
        case ast.Name(id=name) if name in _KINDS:
            yield name
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            for item in items:
                yield (item.value,) if isinstance(item, ast.Constant) else ANYTHING
        case _:
            yield ANYTHING


def _fits(value: Any, option: Any) -> bool:
    if isinstance(option, tuple):
        return type(value) is type(option[0]) and value == option[0]
    if isinstance(value, bool):
        return option == "bool"
    return isinstance(value, _KINDS[option])
