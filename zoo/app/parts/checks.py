"""What any author can ask of a part before anybody trains with it: does it keep its contract?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from registry.catalog import SLOTS
from registry.slot import nearest

State = Literal["passed", "failed", "skipped"]
CHECKED = (
    "backbone",
    "neck",
    "head",
    "camera",
    "temporal",
    "loss",
    "view_augmentation",
    "pixel_augmentation",
    "metric",
    "probe",
)


class Broken(Exception):
    """A rule the part does not keep; the message says what was seen."""


class NotApplicable(Exception):
    """A rule that says nothing about this part; the message says why."""


@dataclass(frozen=True)
class Check:
    """One rule, and whether the part keeps it."""

    name: str
    state: State
    seen: str  # what was measured, or what went wrong


Rules = Mapping[str, Callable[[], str]]  # name -> what returns what it saw, or raises


def check_part(
    slot: str, part: str | type, *, arguments: Mapping[str, Any] | None = None
) -> list[Check]:
    """Every rule of a slot's contract, tried on one part at the smallest size.

    part: its name, or the class itself. arguments: what a config would give its constructor.
    Raises ValueError for a slot without such rules, UnknownComponent for a name nobody has.
    """
    if slot not in CHECKED:
        raise ValueError(
            f"There are no contract checks for {slot!r}.{nearest(slot, CHECKED)} "
            f"Known: {', '.join(CHECKED)}."
        )
    kind = SLOTS[slot].get(part)
    found = list(run_rules({"documented": lambda: _documented(kind)}))
    try:
        rules = _rules(slot, kind, dict(arguments or {}))
    except Exception as error:  # a stranger's constructor may raise anything
        return [*found, Check("builds", "failed", f"{type(error).__name__}: {error}")]
    return [*found, Check("builds", "passed", kind.__qualname__), *run_rules(rules)]


def run_rules(rules: Rules) -> Iterator[Check]:
    """Tries every rule; whatever one raises fails that rule alone."""
    for name, rule in rules.items():
        try:
            yield Check(name, "passed", rule())
        except NotApplicable as why:
            yield Check(name, "skipped", str(why))
        except Broken as broken:
            yield Check(name, "failed", str(broken))
        except Exception as error:
            yield Check(name, "failed", f"{type(error).__name__}: {error}")


def _rules(slot: str, kind: type, arguments: dict[str, Any]) -> Rules:
    if slot in ("view_augmentation", "pixel_augmentation", "metric", "probe"):
        from zoo.app.parts.checks_small import rules

        return rules(slot, kind, arguments)
    from zoo.app.parts.checks_model import rules as model_rules

    return model_rules(slot, kind, arguments)


def _documented(kind: type) -> str:
    if not (kind.__doc__ or "").strip():
        raise Broken("the class has no docstring")
    kinds = {p.kind for p in inspect.signature(kind).parameters.values()}
    if not kinds <= {inspect.Parameter.KEYWORD_ONLY}:
        raise Broken("its constructor takes more than named arguments: write `*,` and no **kwargs")
    return (kind.__doc__ or "").strip().split("\n")[0]
