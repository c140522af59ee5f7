"""What differs between two configs, as changes that turn one into the other and back."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Absent(Enum):
    """The value of a key that is not there; `None` is a value a config may hold."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return self.value


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Change:
    """One value of a config that becomes another."""

    path: str  # "model.head.steps"
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path}: {self.before!r} -> {self.after!r}"

    def reversed(self) -> Change:
        return Change(self.path, self.after, self.before)


class StaleChange(ValueError):
    """A change whose `before` is not what the config holds."""


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """The changes that turn config `a` into config `b`, in alphabetical order of their paths.

    Where `type` differs the whole component is one change: its arguments are not comparable.
    """
    keys = sorted({*a, *b})
    return [c for k in keys for c in _walk((k,), a.get(k, ABSENT), b.get(k, ABSENT))]


def apply(config: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """A copy of the config with the changes made.

    Raises StaleChange where the config does not hold a change's `before`.
    """
    result = copy.deepcopy(dict(config))
    for change in changes:
        keys = split_path(change.path)
        parent: Any = result
        for key in keys[:-1]:
            parent = _item(parent, key)
        found = _item(parent, keys[-1])
        if not isinstance(parent, dict | list) or not same(found, change.before):
            raise StaleChange(
                f"{change.path} is {found!r}, but the change expects {change.before!r}. "
                f"It was made for another config."
            )
        _put(parent, keys[-1], copy.deepcopy(change.after))
    return result


def same(a: Any, b: Any) -> bool:
    """Equality that tells True from 1, and a list from a tuple, at any depth."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(same, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def join_path(keys: Iterable[str]) -> str:
    """Keys as one dotted path; a key that itself holds a dot is quoted."""
    return ".".join(key if re.fullmatch(r'[^."\s]+', key) else json.dumps(key) for key in keys)


def split_path(path: str) -> tuple[str, ...]:
    """The keys of a dotted path; `a."b.c".d` has three."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[^."]+', path)
    if ".".join(tokens) != path or not tokens:
        raise ValueError(f"{path!r} is not a path of keys joined by dots, such as model.head.steps")
    return tuple(json.loads(t) if t.startswith('"') else t for t in tokens)


def _walk(path: tuple[str, ...], a: Any, b: Any) -> Iterator[Change]:
    pairs = _children(a, b)
    if pairs is None:
        if not same(a, b):
            yield Change(join_path(path), copy.deepcopy(a), copy.deepcopy(b))
        return
    for key, (left, right) in pairs.items():
        yield from _walk((*path, key), left, right)


def _children(a: Any, b: Any) -> dict[str, tuple[Any, Any]] | None:
    """Both values' items side by side, or None where they are only comparable as a whole."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = sorted({*a, *b}, key=str)
        if not same(a.get("type", ABSENT), b.get("type", ABSENT)):
            return None
        if not all(isinstance(key, str) for key in keys):
            return None
        return {key: (a.get(key, ABSENT), b.get(key, ABSENT)) for key in keys}
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b) > 0:
        pairs = enumerate(zip(a, b, strict=True))
        dicts = all(isinstance(item, Mapping) for item in (*a, *b))
        return {str(i): pair for i, pair in pairs} if dicts else None
    return None


def _item(container: Any, key: str) -> Any:
    if isinstance(container, list) and key.isdigit() and int(key) < len(container):
        return container[int(key)]
    return container.get(key, ABSENT) if isinstance(container, Mapping) else ABSENT


def _put(container: Any, key: str, value: Any) -> None:
    if isinstance(container, list):
        container[int(key)] = value
    elif value is ABSENT:
        del container[key]
    else:
        container[key] = value
