"""Reads a config by path or name, with the user's changes, and checks all of it before building."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registry.check import problems
from registry.house_rules import MAX_HOPS, broken_rules, package_folder
from registry.layout import FREE_NAMES, NAMED_PARTS, TOP_LEVEL, at
from registry.overrides import set_values, shrink, shrink_replaced
from registry.slot import nearest

SHIPPED = Path(__file__).parent.parent / "configs"
LADDER = ("start", "goal", "rungs")  # a climb from one config to another
TABLE = ("base", "variants")  # one config with each of some changes alone
LADDER_NAMES = (*LADDER, *TABLE, "claims")
_CONFIG_LINE = re.compile(r"^(model\b|with read_base)", re.MULTILINE)


class UnknownConfig(ValueError):
    """No config file at a path, or under a name."""


class InvalidConfig(ValueError):
    """A config that cannot be built; `problems` has one sentence for each reason."""

    def __init__(self, config: str, found: Sequence[str]) -> None:
        self.problems = tuple(found)
        listed = "\n".join(f"  {problem}" for problem in found)
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        super().__init__(f"{config} has {count}:\n{listed}")


def load(
    config: str | Path, changes: Sequence[str] = (), size: str | None = None
) -> dict[str, Any]:
    """A config as a plain dict, resolved and checked; nothing heavy is imported.

    config: a path, or the bare name of a config in this folder or shipped with the zoo.
    changes: what `--set` takes, "model.head.steps=3"; they have the last word.
    size: None or "full" as written; "tiny" or another key of the config's `sizes` shrinks it.
    Classes named in the file come back as "package.module.Class". A string of the file that begins
    with "./" is a path beside it. A named part set to None is left out. Raises UnknownConfig,
    InvalidConfig with all problems together, UnknownPath.
    """
    file = find(config)
    result = _beside(file, _read(file, TOP_LEVEL))
    sizes = result.pop("sizes", {})
    changes = list(changes)
    if size in (None, "full"):
        result = set_values(result, changes)
    else:
        small = shrink(result, sizes, size)
        result = set_values(small, changes)
        if size == "tiny":
            result = shrink_replaced(small, result, changes)
    result = _without_switched_off(result)
    if found := problems(result):
        raise InvalidConfig(str(config), found)
    return result


def load_ladder(ladder: str | Path) -> dict[str, Any]:
    """The names of a ladder file.

    A climb has `start`, `goal` and `rungs` (name -> config prefixes); a table `base`, `variants`
    (name -> what `--set` takes) and perhaps `claims` (name -> a figure somebody stated).
    """
    file = find(ladder, folder="ladders")
    result = _read(file, LADDER_NAMES)
    needed = TABLE if "variants" in result else LADDER
    if missing := [name for name in needed if name not in result]:
        raise InvalidConfig(str(ladder), [f"{name} is missing." for name in missing])
    return result


def find(config: str | Path, folder: str = "") -> Path:
    """The file of a config given by path or bare name; raises UnknownConfig with the nearest."""
    text = str(config)
    given = Path(text)
    if given.suffix == ".py" and given.is_file():
        return given.resolve()
    name = text.removesuffix(".py") if given.suffix == ".py" and given.parent == Path() else text
    known = available(folder)
    if name in known:
        return known[name]
    stem = Path(text).name.removesuffix(".py")
    kind = "ladder" if folder == "ladders" else "config"
    if given.is_dir():
        raise UnknownConfig(f"{text} is a folder; a {kind} is a .py file or a name.")
    raise UnknownConfig(
        f"There is no {kind} {text!r}, neither as a file nor by name.{nearest(stem, known)} "
        f"Known: {', '.join(known) or 'none'}."
    )


def available(folder: str = "") -> dict[str, Path]:
    """Every config that can be named: those here, in ./configs, and the shipped ones."""
    found: dict[str, Path] = {}
    subfolders = (folder,) if folder else ("", "ablations")
    for root in (SHIPPED, Path("configs"), Path()):
        for sub in subfolders:
            files = [f for f in sorted((root / sub).glob("*.py")) if not f.stem.startswith("_")]
            if root == Path() and not sub:  # other scripts may lie here
                files = [f for f in files if _CONFIG_LINE.search(f.read_text("utf-8"))]
            found |= {f.stem: f.resolve() for f in files}
    return dict(sorted(found.items()))


def _read(file: Path, allowed: tuple[str, ...]) -> dict[str, Any]:
    # A config outside the zoo may itself be a variant of one of its variants.
    hops = MAX_HOPS if SHIPPED.resolve() in file.parents else MAX_HOPS + 1
    if found := broken_rules(file, allowed, max_hops=hops):
        raise InvalidConfig(str(file), found)
    with _mmengine() as mmengine_config:
        parsed = mmengine_config.Config.fromfile(file, lazy_import=True, format_python_code=False)
    return copy.deepcopy(parsed.to_dict())


def _beside(file: Path, value: Any) -> Any:
    # Weights that were converted lie beside their config, and both move together.
    if isinstance(value, dict):
        return {key: _beside(file, entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_beside(file, entry) for entry in value)
    return str(file.parent / value) if isinstance(value, str) and value[:2] == "./" else value


@contextmanager
def _mmengine() -> Iterator[Any]:
    """The config module of mmengine, able to find the package an absolute read_base names.

    Its own search needs pkg_resources, which setuptools has dropped.
    """
    from mmengine.config import config as module

    theirs = module.get_installed_path
    module.get_installed_path = lambda package: str(package_folder(package))
    try:
        yield module
    finally:
        module.get_installed_path = theirs


def _without_switched_off(config: Mapping[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(dict(config))
    for path in (*NAMED_PARTS, *FREE_NAMES):
        named = at(result, path)
        if isinstance(named, dict):
            for name in [name for name, part in named.items() if part is None]:
                del named[name]
    return result
