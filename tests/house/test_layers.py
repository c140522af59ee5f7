"""Who may import whom: the layer table of docs/architecture.md, enforced."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("zoo", "registry", "configs", "benchmarks")

GROUND = ("zoo.geometry", "zoo.contracts", "zoo.mano", "zoo.layers")
PARTS = tuple(
    f"zoo.{room}"
    for room in (
        "data",
        "augment",
        "backbones",
        "necks",
        "heads",
        "temporal",
        "losses",
        "metrics",
        "weights",
    )
)
WHOLE = ("zoo.model", "zoo.preprocess", "zoo.inference")

# Room -> the rooms of ours it may import besides itself; the longest matching name decides.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "zoo.geometry": ("zoo.contracts",),  # its types only; see the order of the ground below
    "zoo.contracts": ("zoo.geometry",),
    "zoo.mano": ("zoo.geometry", "zoo.contracts"),
    "zoo.layers": (),
    **dict.fromkeys(PARTS, GROUND),
    **dict.fromkeys(WHOLE, GROUND),
    "registry": (*GROUND, *WHOLE),
    "configs": ("configs",),
    "benchmarks": (*GROUND, "zoo.metrics", "registry"),
    "zoo.app": ("zoo", "registry", "configs", "benchmarks"),
}

# Package -> the only places that may import it.
CONFINED: dict[str, tuple[str, ...]] = {
    "transformers": ("zoo.backbones",),
    "timm": ("zoo.backbones",),
    "smplx": ("zoo.mano.layer",),
    "webdataset": ("zoo.data.streams", "zoo.data.stream_items", "zoo.data.sources"),
    "kornia": ("zoo.augment.pixels", "zoo.geometry.view"),
    "mmengine": (
        "zoo.model",
        "zoo.preprocess",
        "zoo.metrics",
        "zoo.app",
        "registry.config",
        "configs",
    ),
    "typer": ("zoo.app",),
    "rich": ("zoo.app", "benchmarks"),
}

Import = tuple[str, int]  # module, line


def modules() -> dict[str, Path]:
    """Every module of ours by its import name."""
    found = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


def imports_of(text: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every module a source imports, wherever the statement stands."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:  # `from zoo import model` imports zoo.model
                inner = f"{base}.{alias.name}"
                yield (inner if inner in MODULES else base, node.lineno)


def inside(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def room_of(module: str) -> str | None:
    """The most special room of the layer table a module belongs to."""
    rooms = [room for room in MAY_IMPORT if inside(module, room)]
    return max(rooms, key=len, default=None)


def forbidden(module: str, imported: str) -> str | None:
    """Why a module may not import another, or None where it may."""
    top = imported.split(".")[0]
    if top in CONFINED and not any(inside(module, place) for place in CONFINED[top]):
        return f"{top} is only for {', '.join(CONFINED[top])}"
    if top not in PACKAGES or imported in PACKAGES:
        return None
    room = room_of(module)
    if inside(imported, room) or any(inside(imported, other) for other in MAY_IMPORT[room]):
        return None
    return f"{room} may import {', '.join(MAY_IMPORT[room]) or 'none of our rooms'}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_its_layer_may(module):
    file = MODULES[module]
    imports = imports_of(file.read_text(), module, is_package=file.stem == "__init__")
    broken = [
        f"{file.relative_to(ROOT)}:{line} imports {imported}: {why}"
        for imported, line in imports
        if (why := forbidden(module, imported))
    ]
    assert broken == []


def test_every_module_belongs_to_a_room_of_the_table():
    homeless = [m for m in MODULES if m not in PACKAGES and room_of(m) is None]
    assert homeless == []


def test_nobody_imports_the_roof():
    users = [
        module
        for module, file in MODULES.items()
        if not inside(module, "zoo.app")
        and any(inside(name, "zoo.app") for name, _ in imports_of(file.read_text(), module))
    ]
    assert users == []


def test_every_room_of_the_roof_says_what_it_is_for_here_and_on_the_page():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = sorted(file.parent for file in (ROOT / "zoo" / "app").glob("*/__init__.py"))
    assert len(rooms) > 5
    assert [room.name for room in rooms if f"| `zoo/app/{room.name}` |" not in page] == []
    silent = [
        r.name for r in rooms if not ast.get_docstring(ast.parse((r / "__init__.py").read_text()))
    ]
    assert silent == []


def test_the_ground_has_no_circle():
    """Types may be shared between geometry and contracts, but never in a circle of modules."""
    ground = [m for m in MODULES if any(inside(m, room) for room in GROUND)]
    needs = {
        m: {
            name
            for name, _ in imports_of(MODULES[m].read_text(), m)
            if name in ground and name != m
        }
        for m in ground
    }
    while ready := [m for m, others in needs.items() if not others & needs.keys()]:
        for module in ready:
            del needs[module]
    assert needs == {}


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("zoo.heads.mano_decoder", "zoo.necks.ray_attention"),
        ("zoo.losses.joints", "zoo.metrics.joints"),
        ("zoo.model", "zoo.heads.mano_decoder"),
        ("zoo.model", "registry.build"),
        ("zoo.mano.layer", "zoo.losses.joints"),
        ("zoo.geometry.camera", "zoo.mano.layer"),
        ("registry.build", "zoo.heads"),
        ("registry.build", "zoo.app.training.train"),
        ("benchmarks.compare", "zoo.heads.mano_decoder"),
        ("zoo.heads.mano_decoder", "transformers"),
        ("zoo.mano.files", "smplx"),
        ("registry.build", "mmengine.config"),
        ("zoo.weights.hamer", "timm"),
    ],
)
def test_the_table_forbids_what_it_should(module, imported):
    assert forbidden(module, imported)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("zoo.heads.mano_decoder", "zoo.heads.cameras.metric"),
        ("zoo.heads.mano_decoder", "zoo.geometry.rotation"),
        ("zoo.app.training.train", "zoo.heads.mano_decoder"),
        ("registry.build", "zoo.mano.layer"),
        ("benchmarks.compare", "zoo.metrics.joints"),
        ("zoo.backbones.dinov2", "transformers.models.dinov2"),
    ],
)
def test_the_table_allows_what_it_should(module, imported):
    assert forbidden(module, imported) is None


def test_imports_are_seen_wherever_they_hide():
    text = "def f():\n    from . import b\nfrom ..mano import layer\nimport smplx as s\n"
    assert list(imports_of(text, "zoo.heads.a")) == [
        ("zoo.mano.layer", 3),
        ("smplx", 4),
        ("zoo.heads", 2),
    ]
