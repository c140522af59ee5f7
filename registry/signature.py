"""What a part's constructor takes, read from its source so that nothing heavy is imported."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from registry.slot import Slot


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor."""

    name: str
    required: bool
    annotation: str = ""  # as written: "int", "Literal['tips', 'regressor']", ...
    default: Any = None  # only where it is a plain literal


@dataclass(frozen=True)
class Constructor:
    """What a part takes, and how it asks to be shrunk."""

    arguments: Mapping[str, Argument]
    tiny: Mapping[str, Any] = field(default_factory=dict)  # its class's `tiny`


def constructor(slot: Slot, name: str | Callable[..., Any]) -> Constructor | None:
    """The constructor of a part, or None where only importing it would tell.

    Raises UnknownComponent where the slot has no such part.
    """
    part = slot.registered(name)
    if part is None:
        return _from_source(*slot.path(name).split(":"))
    return _from_object(part)


def summary(slot: Slot, name: str) -> str:
    """The first sentence of what a part's author says of it; empty where only importing would tell.

    Raises UnknownComponent where the slot has no such part, NameClash where two claim the name.
    """
    part = slot.registered(name)
    told = inspect.getdoc(part) if part is not None else _told(*slot.path(name).split(":"))
    paragraph = " ".join((told or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.:]) (?=[A-Z])", paragraph)[0].rstrip(":")


def _told(module: str, name: str) -> str | None:
    file = _source_of(module)
    try:
        tree = ast.parse(file.read_text(encoding="utf-8")) if file else ast.Module([], [])
    except (SyntaxError, ValueError):
        return None  # said, with the part's name, when it is imported
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return ast.get_docstring(node)
    origin = _origin_of(tree, name)
    return _told(*origin) if origin else None


def _from_object(part: Callable[..., Any]) -> Constructor | None:
    parameters = inspect.signature(part).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    arguments = {
        p.name: Argument(
            p.name,
            p.default is inspect.Parameter.empty,
            "" if p.annotation is inspect.Parameter.empty else str(p.annotation),
            None if p.default is inspect.Parameter.empty else p.default,
        )
        for p in parameters
        if p.kind is not p.VAR_POSITIONAL
    }
    return Constructor(arguments, dict(getattr(part, "tiny", {})))


@cache
def _from_source(module: str, class_name: str) -> Constructor | None:
    file = _source_of(module)
    if file is None:
        return None
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return None  # said, with the part's name, when it is imported
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if class_name not in classes:
        origin = _origin_of(tree, class_name)
        return _from_source(*origin) if origin else None
    node = classes[class_name]
    parents = [_from_source(module, base.id) for base in node.bases if isinstance(base, ast.Name)]
    inherited = next((parent for parent in parents if parent is not None), None)
    arguments = _arguments(node) or (inherited.arguments if inherited else None)
    if arguments is None:
        return None if node.bases else Constructor({}, _tiny(node))
    return Constructor(arguments, _tiny(node) or (inherited.tiny if inherited else {}))


def _source_of(module: str) -> Path | None:
    try:
        spec = find_spec(module)  # imports the packages around the module, which may raise anything
    except Exception:
        return None  # said, with the part's name, when it is imported
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _origin_of(tree: ast.Module, class_name: str) -> tuple[str, str] | None:
    """Module and name of a class that a module only hands on."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == class_name and _is_light(node.module):
                    return node.module, alias.name
    return None


def _is_light(module: str) -> bool:
    # find_spec imports the parent packages; ours are empty, torch's are not
    return module.split(".")[0] in ("zoo", "registry", "benchmarks")


def _arguments(node: ast.ClassDef) -> dict[str, Argument] | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _of_init(item.args)
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        fields = [i for i in node.body if isinstance(i, ast.AnnAssign)]
        return {
            i.target.id: _argument(i.target.id, i.annotation, i.value)
            for i in fields
            if isinstance(i.target, ast.Name) and "ClassVar" not in ast.unparse(i.annotation)
        }
    return None


def _of_init(args: ast.arguments) -> dict[str, Argument]:
    positional = (args.posonlyargs + args.args)[1:]
    gap = len(positional) - len(args.defaults)
    pairs = [(a, args.defaults[i - gap] if i >= gap else None) for i, a in enumerate(positional)]
    pairs += list(zip(args.kwonlyargs, args.kw_defaults, strict=True))
    return {a.arg: _argument(a.arg, a.annotation, default) for a, default in pairs}


def _argument(name: str, annotation: ast.expr | None, default: ast.expr | None) -> Argument:
    written = ast.unparse(annotation) if annotation is not None else ""
    return Argument(name, default is None, written, _literal(default))


def _tiny(node: ast.ClassDef) -> dict[str, Any]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == "tiny":
            return _literal(item.value) or {}
    return {}


def _literal(node: ast.expr | None) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return None
