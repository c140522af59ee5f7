"""Writes a small package with a working part in it, for somebody to make their own."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from registry.catalog import SLOTS
from registry.slot import nearest


@dataclass(frozen=True)
class Kind:
    """What can be started from, and where the zoo files it."""

    slot: str
    what: str  # in the package's description
    use: str  # the command that shows it at work
    has_config: bool = True


_TRAIN = "zoo train {config} --size tiny"
KINDS = {
    "head": Kind("head", "A head", _TRAIN),
    "loss": Kind("loss", "A loss", _TRAIN),
    "backbone": Kind("backbone", "A backbone", _TRAIN),
    "neck": Kind("neck", "A neck", _TRAIN),
    "augmentation": Kind("view_augmentation", "An augmentation of the view", _TRAIN),
    "probe": Kind("probe", "A probe", "zoo diagnose csvit2_ief3 --size tiny", has_config=False),
}
_OURS = (
    ("check_part", "from zoo.app.parts.checks import check_part"),
    ("a_hand_and_its_label", "from zoo.app.parts.example_hands import a_hand_and_its_label"),
    ("a_view", "from zoo.app.parts.example_hands import a_view"),
    ("MetricCamera", "from zoo.heads.cameras.metric import MetricCamera"),
)


def write_package(kind: str, name: str, folder: Path) -> list[Path]:
    """The files of a new package, written; the folder is made.

    name: of the part and of its Python package: lower case, words joined by underscores.
    Raises ValueError for a kind nobody knows, a name that cannot be one or is taken, and a folder
    with something in it.
    """
    if kind not in KINDS:
        raise ValueError(
            f"zoo new makes no {kind!r}.{nearest(kind, KINDS)} It makes: {', '.join(KINDS)}."
        )
    _check_name(KINDS[kind].slot, name)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} exists already and is not empty; name another with --out.")
    written = []
    for path, text in package_files(kind, name).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written


def package_files(kind: str, name: str) -> dict[str, str]:
    """Every file of a new package: path -> text."""
    chosen = KINDS[kind]
    config = f"train_{name}.py" if chosen.has_config else ""
    facts = {
        "slot": chosen.slot,
        "what": chosen.what,
        "module": name,
        "package": name.replace("_", "-"),
        "registered": f"own.{name}" if chosen.slot == "probe" else name,
        "class_name": "".join(word.capitalize() for word in name.split("_")),
        "config": config,
        "use": chosen.use.format(config=config),
    }
    templates = Environment(
        loader=PackageLoader("zoo.app.parts", "new"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def text(template: str, **more: object) -> str:
        return templates.get_template(template).render({**facts, **more})

    files = {
        "pyproject.toml": text("pyproject.toml.j2"),
        "README.md": text("README.md.j2"),
        f"{name}/__init__.py": text("init.py.j2"),
        f"{name}/part.py": text(f"{kind}/part.py.j2"),
        f"tests/test_{name}.py": text("test.py.j2", **_imports(text(f"{kind}/law.py.j2"))),
    }
    return {**files, **({config: text(f"{kind}/config.py.j2")} if config else {})}


def _imports(law: str) -> Mapping[str, object]:
    """What a test has to import for its law."""
    text = f"{law} check_part"
    return {
        "law": law.rstrip(),
        "standard": ["import dataclasses"] if "dataclasses." in law else [],
        "third_party": ["import torch"] if "torch." in law else [],
        "ours": [line for name, line in _OURS if re.search(rf"\b{name}\b", text)],
    }


def _check_name(slot: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"{name!r} cannot be the name of a part and a package; use lower case, digits and "
            "underscores, such as graph_head."
        )
    if name in SLOTS[slot].names():
        raise ValueError(
            f"There is already a {SLOTS[slot].noun} called {name!r} "
            f"({SLOTS[slot].origin(name)}); choose another name."
        )
    if name in ("zoo", "registry", "benchmarks", "configs", "tests", "torch", "numpy"):
        raise ValueError(f"A package called {name!r} would hide another one; choose another name.")
