"""Files a user brings with `--plugin`: executed once, remembered for the run's record."""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from registry.catalog import SLOTS
from registry.slot import nearest, running_plugin

_loaded: dict[Path, None] = {}


class BrokenPlugin(ValueError):
    """A user's own file that raised while it was run."""


def load_plugin(path: str | Path) -> None:
    """Runs a user's own Python file, whose `@heads.register("mine")` lines then count.

    The same file is run once a process. Raises ValueError where there is no such file, and
    BrokenPlugin, with the line, where the file itself raises.
    """
    file = Path(path).resolve()
    if file in _loaded:
        return
    if file.suffix != ".py" or not file.is_file():
        raise ValueError(f"--plugin: no Python file at {path}. Give the path of a .py file.")
    name = f"zoo_plugin_{file.stem}"
    if name in sys.modules:
        raise ValueError(f"--plugin: another plugin is also called {file.name}. Rename one.")
    spec = spec_from_file_location(name, file)
    module = module_from_spec(spec)
    sys.modules[name] = module  # its classes must be importable while their pickles are read
    running = running_plugin.set(str(file))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        raise BrokenPlugin(
            f"--plugin {path} could not be run: {type(error).__name__}: {error}"
            f"{_line_of(error, file)}. Repair it or leave it out; nothing else needs it."
        ) from error
    finally:
        running_plugin.reset(running)
    _loaded[file] = None


def loaded_plugins() -> list[Path]:
    """The plugin files this process has run, in order."""
    return list(_loaded)


def lost_entry_points() -> list[str]:
    """One sentence for every installed part that no slot will find, its group being misspelt."""
    known = [f"zoo.{name}" for name in SLOTS]
    groups = [g for g in entry_points().groups if g.startswith("zoo.") and g not in known]
    lost = [point for group in groups for point in entry_points(group=group)]
    return [
        f"{point.dist.name if point.dist else 'A package'} puts {point.name!r} into "
        f"{point.group!r}, which is no slot.{nearest(point.group, known)}"
        for point in lost
    ]


def _line_of(error: Exception, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return ""  # its text says the line
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return f" (line {lines[-1]})" if lines else ""
