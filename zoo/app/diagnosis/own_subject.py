"""A file with a model of the user's own, given to `zoo diagnose` in place of a config."""

from __future__ import annotations

import ast
from pathlib import Path
from runpy import run_path

from benchmarks.subject import Subject
from zoo.contracts import FrameBatch

VARIABLE = "subject"


class BrokenModelFile(ValueError):
    """A user's own file that raised while it was run, or made no subject."""


def is_own_model(name: str) -> bool:
    """Whether a name is a Python file that assigns `subject`, as no config does."""
    file = Path(name)
    if file.suffix != ".py" or not file.is_file():
        return False
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise BrokenModelFile(f"{name}, line {error.lineno}: {error.msg}.") from error
    targets = (t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets)
    return any(isinstance(target, ast.Name) and target.id == VARIABLE for target in targets)


def load_own(name: str, frames: FrameBatch | None) -> Subject:
    """The subject a file makes; raises BrokenModelFile in one sentence where it makes none.

    frames: hands of `--data`, which come before those the file chose.
    """
    try:
        made = run_path(name).get(VARIABLE)
    except Exception as error:  # a user's file may raise anything
        raise BrokenModelFile(
            f"{name} could not be run: {type(error).__name__}: {error}. Try it with python first."
        ) from error
    if not isinstance(made, Subject):
        raise BrokenModelFile(
            f"{name}: `{VARIABLE}` is {type(made).__name__}; make it with "
            f"benchmarks.own_model.wrap (docs/diagnose_your_model.md)."
        )
    return made if frames is None else made.with_frames(frames, synthetic=False)
