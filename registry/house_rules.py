"""What a config file may contain, so that it is only ever a list of values and differences."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from registry.slot import nearest

MAX_HOPS = 2  # variant -> root -> _base_


def broken_rules(file: Path, allowed: Sequence[str], *, max_hops: int = MAX_HOPS) -> list[str]:
    """One sentence for every broken rule of a config file and of those it reads.

    The rules: a docstring first; one `with read_base():` of star imports, at most `max_hops`
    files deep; otherwise only imports of classes, assignments of literals and `.update(...)` on
    the allowed top-level names. They keep out mmengine's two traps: a component edited beside
    `model` leaves the model as it was, and a loop variable becomes a config key.
    """
    return list(_check_file(file.resolve(), tuple(allowed), max_hops))


def docstring_of(file: Path) -> str:
    """The first line of a config's docstring: what the config is."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def _check_file(
    file: Path, allowed: tuple[str, ...], hops: int, above: tuple[Path, ...] = ()
) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        yield f"{file}:{error.lineno}: not valid Python: {error.msg}."
        return
    if not ast.get_docstring(tree):
        yield f"{file}:1: a config starts with a docstring saying what it is."
    bases = [node for node in tree.body if isinstance(node, ast.With)]
    if len(bases) > 1:
        yield f"{file}:{bases[1].lineno}: a second `with`; read_base stands once, at the top."
    imported = _imported_names(tree)
    for node in tree.body[1:] if ast.get_docstring(tree) else tree.body:
        for problem in _check_statement(node, allowed, imported):
            yield f"{file}:{node.lineno}: {problem}"
    if bases:
        yield from _check_bases(file, bases[0], allowed, hops, (*above, file))


def _check_bases(
    file: Path, base: ast.With, allowed: tuple[str, ...], hops: int, above: tuple[Path, ...]
) -> Iterator[str]:
    nodes = [node for node in base.body if isinstance(node, ast.ImportFrom) and node.module]
    parents = [(node, base_file(file, node.module, node.level)) for node in nodes]
    for node, parent in parents:
        if parent and parent.resolve() in above:
            names = [f.name for f in (*above[above.index(parent.resolve()) :], parent)]
            yield f"{file}:{node.lineno}: read_base goes in a circle: {' -> '.join(names)}."
            return
    if hops == 0:
        yield (
            f"{file}:{base.lineno}: too many read_base hops; a variant reads a root, "
            "a root reads _base_."
        )
        return
    for node, parent in parents:
        if parent is None:
            yield f"{file}:{node.lineno}: no config file at {'.' * node.level}{node.module}."
        else:
            yield from _check_file(parent.resolve(), allowed, hops - 1, above)


def base_file(file: Path, module: str, level: int) -> Path | None:
    """The file `from <module> import *` reads inside read_base, or None where there is none."""
    parts = module.split(".")
    if level:
        parent = file.parent.joinpath(*[".."] * (level - 1), *parts).with_suffix(".py")
        return parent if parent.is_file() else None
    root = package_folder(parts[0])
    found = root.joinpath(*parts[1:]).with_suffix(".py") if root else None
    return found if found and found.is_file() else None


def package_folder(package: str) -> Path | None:
    """Where a top-level package lives, without importing it."""
    from importlib.util import find_spec

    if package == "configs":  # another folder called configs may come first on the path
        return Path(__file__).parent.parent / "configs"
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _imported_names(tree: ast.Module) -> set[str]:
    nodes = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(a.asname or a.name).split(".")[0] for node in nodes for a in node.names}


def _check_statement(node: ast.stmt, allowed: tuple[str, ...], imported: set[str]) -> Iterator[str]:
    match node:
        case ast.With():
            yield from _check_read_base(node)
        case ast.Import() | ast.ImportFrom():
            modules = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
            for module in modules:
                if module.split(".")[0] in sys.stdlib_module_names:
                    yield f"imports {module}; a config holds values, it does not compute them."
        case ast.Assign(targets=[target], value=value):
            yield from _check_target(target, allowed)
            yield from _check_value(value, imported)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=target, attr="update")) as call):
            yield from _check_target(target, allowed)
            for value in (*call.args, *(keyword.value for keyword in call.keywords)):
                yield from _check_value(value, imported)
        case _:
            yield (
                f"{type(node).__name__} is not allowed; a config holds only read_base, imports "
                "of classes, assignments of literals and .update(...)."
            )


def _check_read_base(node: ast.With) -> Iterator[str]:
    if ast.unparse(node.items[0].context_expr) != "read_base()" or len(node.items) > 1:
        yield "only `with read_base():` may be used."
        return
    for item in node.body:
        if not isinstance(item, ast.ImportFrom) or [a.name for a in item.names] != ["*"]:
            yield (
                f"`{ast.unparse(item)}`: a base is read whole, `from .name import *`; a component "
                "taken out of it is a copy, and editing it leaves the model as it was."
            )


def _check_target(target: ast.expr, allowed: tuple[str, ...]) -> Iterator[str]:
    if isinstance(target, ast.Tuple):
        for item in target.elts:
            yield from _check_target(item, allowed)
        return
    root = target
    while isinstance(root, ast.Attribute | ast.Subscript):
        if isinstance(root, ast.Subscript) and not isinstance(root.slice, ast.Constant):
            yield f"`{ast.unparse(target)}`: a key is written out."
        root = root.value
    if not isinstance(root, ast.Name):
        yield f"`{ast.unparse(target)}` is not a name of the config."
    elif root.id not in allowed:
        meant = nearest(root.id, allowed) or f" To edit a part write model.{root.id}.update(...)."
        known = ", ".join(allowed)
        yield f"{root.id!r} is no top-level name of a config.{meant} Known: {known}."


def _check_value(value: ast.expr, imported: set[str]) -> Iterator[str]:
    match value:
        case ast.Constant():
            return
        case ast.Dict(keys=keys, values=values):
            for item in (*(key for key in keys if key is not None), *values):
                yield from _check_value(item, imported)
            if None in keys:
                yield f"`{ast.unparse(value)}` unpacks another dict; write its items out."
        case ast.List(elts=items) | ast.Tuple(elts=items):
            for item in items:
                yield from _check_value(item, imported)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            for keyword in keywords:
                yield from _check_value(keyword.value, imported)
            if any(keyword.arg is None for keyword in keywords):
                yield f"`{ast.unparse(value)}` unpacks another dict; write its items out."
        case ast.UnaryOp(operand=operand):
            yield from _check_value(operand, imported)
        case ast.BinOp(left=left, right=right):
            yield from _check_value(left, imported)
            yield from _check_value(right, imported)
        case ast.Attribute(value=inner):
            yield from _check_value(inner, imported)
        case ast.Name(id=name) if name in imported:
            return
        case _:
            yield (
                f"`{ast.unparse(value)}` is computed; values are literals, dict(...) and "
                "imported classes."
            )
