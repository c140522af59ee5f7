"""Changes a user makes on the command line: `--set a.b=value`, and the shrinking of `--size`."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from registry.catalog import SLOTS
from registry.difference import ABSENT, Change, apply, join_path, split_path
from registry.layout import (
    FREE_NAMES,
    NAMED_PARTS,
    SECTION_KEYS,
    SINGLE_PARTS,
    Place,
    at,
    parts,
    slot_of,
)
from registry.signature import Constructor, constructor
from registry.slot import UnknownComponent, nearest

_WORDS = {"true": True, "false": False, "null": None, "none": None}


class UnknownPath(ValueError):
    """A `--set` (or a size) that names a path the config does not have."""


def set_values(config: Mapping[str, Any], texts: Iterable[str]) -> dict[str, Any]:
    """A copy of the config with every "a.b.c=value" made, in order.

    A value is a Python literal (also true, false, null), or else the text itself; where a part
    stands, a bare name is the part of that name (model.head=graph_refiner). Raises UnknownPath with
    the nearest key for a path that does not exist, and ValueError for a value of another kind than
    the one it replaces.
    """
    result = dict(config)
    for text in texts:
        path, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"--set {text}: write it as path=value, e.g. model.head.steps=3.")
        path, value = path.strip(), value.strip()
        meant = value if _is_choice(result, path, value) else parse_value(value)
        result = set_value(result, path, _part(result, path, meant))
    return result


def _is_choice(config: Mapping[str, Any], path: str, text: str) -> bool:
    """Whether the text is a choice of the argument at a path, as "true" of a camera's two is."""
    parent, _, name = path.rpartition(".")
    place = next((place for place in parts(config) if place.path == parent), None)
    built = _built_by(place) if place else None
    argument = built.arguments.get(name) if built else None
    return argument is not None and repr(text) in argument.annotation


def _part(config: Mapping[str, Any], path: str, value: Any) -> Any:
    """A bare name where a part stands as that part; parts inside the old one stay, if it has room.

    So `model.head=graph_refiner` keeps model.head.camera, a part with a choice of its own.
    """
    if not isinstance(value, str) or (
        path not in SINGLE_PARTS and path.rpartition(".")[0] not in NAMED_PARTS
    ):
        return value
    slot = SLOTS[slot_of(path)]
    room = _arguments(Place(path, slot, {"type": value}))
    inner = {name.rpartition(".")[2]: name for name in SINGLE_PARTS if name.startswith(f"{path}.")}
    kept = {key: at(config, name, ABSENT) for key, name in inner.items() if key in room}
    return {"type": value} | {key: spec for key, spec in kept.items() if spec is not ABSENT}


def parse_value(text: str) -> Any:
    """The Python literal a text spells, or the text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def set_value(
    config: Mapping[str, Any], path: str, value: Any, *, where: str = "--set"
) -> dict[str, Any]:
    """A copy of the config with one value changed.

    New keys are possible where a config may hold them: named parts (model.losses.mine), and
    arguments a part's constructor has but the config left at their default.
    """
    before = _existing(config, path, where)
    value = _fitted(path, before, value, where)
    return apply(config, [Change(path, before, value)])


def _existing(config: Mapping[str, Any], path: str, where: str) -> Any:
    keys = split_path(path)
    value: Any = config
    for depth, key in enumerate(keys):
        if isinstance(value, list):
            value = dict(enumerate(value))
            key = int(key) if key.isdigit() else key
        last = depth == len(keys) - 1
        known = value.keys() if isinstance(value, Mapping) else ()
        if key not in known:
            allowed = _addable(config, join_path(keys[:depth]))
            if last and (allowed is ANY_NAME or key in allowed):
                return ABSENT
            names = sorted({*map(str, known), *(() if allowed is ANY_NAME else allowed)})
            raise UnknownPath(_no_such_path(where, keys, depth, value, names))
        value = value[key]
    return value


ANY_NAME = ("*",)  # a named dict of parts takes any new name


def _addable(config: Mapping[str, Any], parent: str) -> tuple[str, ...]:
    if parent in (*NAMED_PARTS, *FREE_NAMES):
        return ANY_NAME
    place = next((place for place in parts(config) if place.path == parent), None)
    if place is not None:
        return _arguments(place)
    return SECTION_KEYS.get(parent, ())


def _arguments(place: Place) -> tuple[str, ...]:
    built = _built_by(place)
    return ("type", *built.arguments) if built else ()


def _built_by(place: Place) -> Constructor | None:
    if not isinstance(place.spec, Mapping) or "type" not in place.spec:
        return None
    try:
        return constructor(place.slot, place.spec["type"])
    except UnknownComponent:
        return None


def _no_such_path(
    where: str, keys: tuple[str, ...], depth: int, value: Any, names: list[str]
) -> str:
    path, parent = join_path(keys), join_path(keys[:depth]) or "the config"
    if not isinstance(value, Mapping):
        return f"{where} {path}: {parent} is {value!r} and holds no {keys[depth]!r}."
    known = f" It has: {', '.join(names)}." if names else ""
    return f"{where} {path}: {parent} has no {keys[depth]!r}.{nearest(keys[depth], names)}{known}"


def _fitted(path: str, before: Any, value: Any, where: str) -> Any:
    if isinstance(before, tuple) and isinstance(value, list):
        return tuple(value)
    wanted = bool if isinstance(before, bool) else (int, float) if _is_number(before) else None
    if wanted is None or value is None:
        return value
    if not isinstance(value, wanted) or (wanted is not bool and isinstance(value, bool)):
        kind = "true or false" if wanted is bool else "a number"
        raise ValueError(f"{where} {path}: {value!r} is not {kind}; it was {before!r}.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shrink(config: Mapping[str, Any], sizes: Mapping[str, Any], size: str) -> dict[str, Any]:
    """A copy of the config at a size: its parts' own `tiny`, then the config's `sizes[size]`.

    Raises ValueError for a size nobody has described.
    """
    known = sorted({"tiny", *sizes})
    if size not in known:
        raise ValueError(
            f"--size {size}: the config has no such size.{nearest(size, known)} "
            f"Known: full, {', '.join(known)}."
        )
    result = dict(config)
    if size == "tiny":
        for place in parts(config):
            result = _shrunk_part(result, place, keep=())
    for path, value in sizes.get(size, {}).items():
        if _is_switched_off(result, path):
            continue
        result = set_value(result, path, value, where=f"sizes.{size}")
    return result


def _is_switched_off(config: Mapping[str, Any], path: str) -> bool:
    """Whether the path lies in something the config set to None, which needs no size."""
    keys = split_path(path)
    above = (at(config, join_path(keys[:end]), ABSENT) for end in range(1, len(keys)))
    return any(value is None for value in above)


def shrink_replaced(
    before: Mapping[str, Any], after: Mapping[str, Any], texts: Iterable[str]
) -> dict[str, Any]:
    """`after`, with every part that `--set` chose anew made tiny; what was set by hand stays."""
    said = {text.partition("=")[0].strip() for text in texts}
    result = dict(after)
    for place in parts(after):
        old, new = at(before, f"{place.path}.type"), at(after, f"{place.path}.type")
        if old == new:
            continue
        whole = set(place.spec) if place.path in said else set()
        named = {path.rpartition(".")[2] for path in said if path.startswith(f"{place.path}.")}
        result = _shrunk_part(result, place, keep=whole | named)
    return result


def _shrunk_part(config: Mapping[str, Any], place: Place, keep: Collection[str]) -> dict[str, Any]:
    tiny: Mapping[str, Any] = {}
    if isinstance(place.spec, Mapping) and "type" in place.spec:
        try:
            built = constructor(place.slot, place.spec["type"])
        except UnknownComponent:
            return dict(config)  # reported, with its nearest name, when the whole is checked
        tiny = built.tiny if built else {}
    result = dict(config)
    for key, value in tiny.items():
        if key not in keep:
            path = f"{place.path}.{key}"
            result = apply(result, [Change(path, at(result, path, ABSENT), value)])
    crop = "augmentation.crop.size"
    follows = place.path == "model.backbone" and "image_size" in {*tiny} - {*keep}
    if follows and at(result, crop) is not None:
        size = tiny["image_size"]
        size = (size, size) if isinstance(size, int) else tuple(size)
        result = apply(result, [Change(crop, at(result, crop), size)])
    return result
