"""A slot is one place in a model that many parts fit; it finds them by name, and imports late."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])
# The plug-in file being run, so that a class it registers but did not write has it as its origin.
running_plugin: ContextVar[str | None] = ContextVar("running_plugin", default=None)


class UnknownComponent(ValueError):
    """A name no part of the slot answers to."""


class NameClash(ValueError):
    """Two parts of one slot claim the same name."""


class BrokenPart(ImportError, ValueError):
    """A part whose own module cannot be imported, or does not hold it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The sentence " Did you mean 'x'?" for the known name that is closest, or nothing."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


class Slot:
    """Parts by name: shipped, from an installed package, registered, or a class's own path."""

    def __init__(self, name: str, paths: Mapping[str, str], *, protocol: str) -> None:
        self.name = name
        self.protocol = protocol  # "module:Class", what every part of the slot must look like
        self._paths = dict(paths)  # name -> "module:Class"
        self._origins = dict.fromkeys(paths, "shipped")
        self._objects: dict[str, Callable[..., Any]] = {}
        self._clashes: dict[str, str] = {}  # name -> who claims it besides
        self._packages_read = False

    def get(self, name: str | Callable[..., Any]) -> Callable[..., Any]:
        """The class behind a name, a "package.module.Class" path, or the class itself.

        Raises UnknownComponent with the nearest name, NameClash where two plug-ins claim it, and
        BrokenPart where the part's own module cannot be imported.
        """
        if not isinstance(name, str):
            return name
        if name not in self._objects:
            path = self.path(name)
            try:
                self._objects[name] = _imported(path)
            except Exception as error:  # a stranger's module may raise anything
                raise BrokenPart(
                    f"The {self.noun} {name!r} ({self.origin(name)}, {path}) cannot be loaded: "
                    f"{type(error).__name__}: {error}. {_repair(self.origin(name))}"
                ) from error
        return self._objects[name]

    def path(self, name: str) -> str:
        """Where a part lives, as "module:Class"; imports nothing.

        Raises UnknownComponent with the nearest name, NameClash where two plug-ins claim it.
        """
        if name in self._clashes and self._origins[name] != "shipped":
            raise NameClash(self._clashes[name])
        if name not in self._paths and _is_path(name):
            return name if ":" in name else ":".join(name.rsplit(".", 1))
        if name not in self._paths:
            self._read_packages()
        if name not in self._paths:
            known = self.names()
            raise UnknownComponent(
                f"No {self.noun} is called {name!r}.{nearest(name, known)} "
                f"Known: {', '.join(known) or 'none'}."
            )
        return self._paths[name]

    def names(self) -> list[str]:
        """Every known name in alphabetical order, those of installed packages included."""
        self._read_packages()
        return sorted(self._paths)

    def clashes(self) -> dict[str, str]:
        """The sentence for every name that more than one part claims.

        A shipped part keeps its name; between plug-ins neither gets it, and asking for it raises
        NameClash. Everything else goes on working.
        """
        self._read_packages()
        return dict(self._clashes)

    def origin(self, name: str | Callable[..., Any]) -> str:
        """Who brought a part: "shipped", "package X", "plugin FILE" or "config class PATH"."""
        if not isinstance(name, str):
            return f"config class {name.__module__}.{name.__qualname__}"
        path = self.path(name)
        return self._origins.get(name, f"config class {path.replace(':', '.')}")

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that puts a class under a name.

        Registering the same class again (a notebook cell run twice) replaces it; a name that
        another part holds raises NameClash.
        """

        def put(part: T) -> T:
            self._read_packages()
            path = f"{part.__module__}:{part.__qualname__}"
            origin = f"plugin {running_plugin.get() or _file_of(part)}"
            if clash := self._claim(name, path, origin):
                raise NameClash(clash)
            self._objects[name] = part
            return part

        return put

    @property
    def noun(self) -> str:
        """The slot's name in a sentence."""
        return self.name.replace("_", " ")

    def registered(self, name: str | Callable[..., Any]) -> Callable[..., Any] | None:
        """The part if it is already in memory, so that nothing needs to be imported to see it."""
        return self._objects.get(name) if isinstance(name, str) else name

    def _read_packages(self) -> None:
        if self._packages_read:
            return
        self._packages_read = True
        for point in sorted(entry_points(group=f"zoo.{self.name}"), key=lambda p: p.name):
            package = point.dist.name if point.dist else point.value
            if clash := self._claim(point.name, point.value, f"package {package}"):
                self._clashes[point.name] = clash

    def _claim(self, name: str, path: str, origin: str) -> str | None:
        """Gives a name to a part, or says in a sentence who has it already."""
        held = self._paths.get(name)
        if held is not None and held != path:
            return (
                f"Two parts claim the {self.noun} name {name!r}: {held} ({self._origins[name]}) "
                f"and {path} ({origin}). Rename one of them, or uninstall its package."
            )
        self._paths[name] = path
        self._origins.setdefault(name, origin)
        return None


def _is_path(name: str) -> bool:
    return "." in name or ":" in name


def _repair(origin: str) -> str:
    if origin.startswith("package "):
        package = origin.removeprefix("package ")
        return f"Repair or uninstall {package}; every other part works without it."
    return "Repair it, or name another part; every other part works without it."


def _imported(path: str) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    found: Any = import_module(module)
    for step in attribute.split("."):
        if not hasattr(found, step):
            raise ImportError(f"{module} has no {attribute!r}, which {path!r} asks for.")
        found = getattr(found, step)
    return found


def _file_of(part: Callable[..., Any]) -> str:
    module = sys.modules.get(part.__module__)
    return str(getattr(module, "__file__", None) or part.__module__)
