"""Files a user brings with `--plugin`: executed once, remembered for the run's record."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_loaded: dict[Path, None] = {}


def load_plugin(path: str | Path) -> None:
    """Runs a user's own Python file, whose `@heads.register("mine")` lines then count.

    The same file is run once a process. Raises ValueError where there is no such file; whatever
    the file itself raises passes through.
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
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _loaded[file] = None


def loaded_plugins() -> list[Path]:
    """The plugin files this process has run, in order."""
    return list(_loaded)
