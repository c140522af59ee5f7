"""Says of every weight whether a file brought it, so that nothing is lost in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]
_SHOWN = 5  # problems listed by name; the counts cover the rest


class WrongCheckpoint(ValueError):
    """A checkpoint of another model, or of a part of it; `account` has every key."""

    def __init__(self, message: str, account: Account) -> None:
        super().__init__(message)
        self.account = account


@dataclass(frozen=True)
class Module:
    """What became of one module's weights."""

    name: str
    matched: int
    total: int
    required: bool

    def __str__(self) -> str:
        state = "complete" if self.matched == self.total else "incomplete"
        if not self.matched and not self.required:
            state = "not in the file"
        return f"{self.name:<15}{self.matched:>5} of {self.total:<5}{state}"


@dataclass(frozen=True)
class Account:
    """Every key of a checkpoint, and what became of it."""

    source: str
    modules: tuple[Module, ...]
    missing: tuple[str, ...]  # wanted, absent from the file
    wrong_shape: Mapping[str, tuple[Shape, Shape]]  # key -> (found, wanted)
    not_finite: tuple[str, ...]  # holds NaN or infinity
    unexpected: tuple[str, ...]  # in the file, not wanted

    @property
    def problems(self) -> list[str]:
        """One line for every weight a model could not be filled with."""
        shapes = self.wrong_shape.items()
        return [
            *(f"{key} is missing" for key in self.missing),
            *(f"{key} has shape {found}, wanted {wanted}" for key, (found, wanted) in shapes),
            *(f"{key} holds numbers that are not finite" for key in self.not_finite),
        ]

    def __str__(self) -> str:
        lines = [f"{self.source}:", *(f"  {module}" for module in self.modules)]
        if self.unexpected:
            lines.append(f"  not used: {_some(self.unexpected)}")
        return "\n".join(lines)

    def require(self, advice: str) -> None:
        """Raises WrongCheckpoint with the whole account where a weight is missing or wrong."""
        found = self.problems
        if found:
            listed = "\n".join(f"  {problem}" for problem in found[:_SHOWN])
            more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise WrongCheckpoint(f"{self}\n{listed}{more}\n{advice}", self)


def compare(
    source: str,
    found: Mapping[str, Tensor],
    wanted: Mapping[str, Shape],
    *,
    required: Sequence[str],
) -> Account:
    """The account of a state dict against the shapes a model wants.

    wanted: key -> shape; a key's module is what stands before its first dot.
    required: modules that have to be there; another may be absent as a whole.
    """
    there = {_module(key) for key in found} | set(required)
    asked = {key: shape for key, shape in wanted.items() if _module(key) in there}
    missing = tuple(key for key in asked if key not in found)
    shapes = {key: tuple(found[key].shape) for key in asked if key in found}
    wrong = {key: (shape, asked[key]) for key, shape in shapes.items() if shape != asked[key]}
    good = Counter(_module(key) for key in shapes if key not in wrong)
    total = Counter(_module(key) for key in wanted)
    return Account(
        source=source,
        modules=tuple(Module(name, good[name], total[name], name in required) for name in total),
        missing=missing,
        wrong_shape=wrong,
        not_finite=tuple(key for key in shapes if key not in wrong and not _finite(found[key])),
        unexpected=tuple(key for key in found if key not in wanted),
    )


def _finite(tensor: Tensor) -> bool:
    if tensor.is_meta or not tensor.is_floating_point():
        return True
    return bool(torch.isfinite(tensor).all())


def _module(key: str) -> str:
    return key.split(".", 1)[0]


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
