"""Which differences between two hand models are worth looking at first, as the analysis ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from registry.difference import ABSENT, Change, difference, join_path, same, split_path
from registry.layout import at, slot_of

Priority = Literal["P0", "P1", "P2"]

# The first pattern that fits a changed value decides; "@2d" stands for the name of any 2D loss.
RANKING: tuple[tuple[str, Priority, str], ...] = (
    ("model.head.residual", "P0", "residual"),
    ("model.head.init", "P0", "mean initialisation"),
    ("model.head.mean_params", "P0", "mean initialisation"),
    ("model.head.camera.initial", "P0", "mean initialisation"),
    ("model.head.steps", "P1", "iterative error feedback"),
    ("model.head.query", "P1", "iterative error feedback"),
    ("optim_wrapper.optimizer.lr", "P1", "learning rates"),
    ("optim_wrapper.paramwise_cfg*.lr_mult", "P1", "learning rates"),
    ("param_scheduler*", "P1", "learning rates"),
    ("model.losses.@2d*", "P1", "2D loss"),
    ("model.losses.*.weight", "P2", "weights"),
    ("augmentation.crop*", "P2", "box"),
    ("augmentation*", "P2", "augmentation"),
)
LOSSES_IN_2D = ("reprojection",)  # types; a loss type that names a keypoint or 2d counts as well


@dataclass(frozen=True)
class Ranked:
    """A change, the slot it concerns, and how the analysis ranks it."""

    change: Change
    slot: str  # "head", "loss", ... or the config's section, "optim_wrapper"
    priority: Priority | None  # None: the analysis says nothing about it
    reason: str  # "residual", "2D loss", ...; "" without a priority

    @property
    def path(self) -> str:
        return self.change.path


def ranked_difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Ranked]:
    """Every change from config a to config b, most important first, then by slot and path."""
    found = [rank(change, a, b) for change in difference(a, b)]
    return sorted(found, key=lambda item: (item.priority or "P9", item.slot, item.path))


def rank(change: Change, a: Mapping[str, Any], b: Mapping[str, Any]) -> Ranked:
    """A change with its slot and priority; a whole part ranks as the highest value it changes.

    a, b: the configs it was found between, which say what kind of loss a name is.
    """
    ranks = [found for path in _values(change) if (found := _rank_of(path, a, b))]
    priority, reason = min(ranks, default=(None, ""))
    return Ranked(change, slot_of(change.path), priority, reason)


def _rank_of(
    path: tuple[str, ...], a: Mapping[str, Any], b: Mapping[str, Any]
) -> tuple[Priority, str] | None:
    if path[:2] == ("model", "losses") and len(path) > 2 and _is_2d(join_path(path[:3]), a, b):
        path = ("model", "losses", "@2d", *path[3:])
    text = join_path(path).replace('"@2d"', "@2d")
    fits = ((priority, why) for pattern, priority, why in RANKING if fnmatchcase(text, pattern))
    return next(fits, None)


def _is_2d(path: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    kinds = [str(spec.get("type")) for c in (a, b) if isinstance(spec := at(c, path), Mapping)]
    return any(k in LOSSES_IN_2D or "keypoint" in k or "2d" in k for k in kinds)


def _values(change: Change) -> Iterator[tuple[str, ...]]:
    """The paths of all single values a change sets, those inside a part it exchanges included."""
    yield from _inside(split_path(change.path), change.before, change.after)


def _inside(path: tuple[str, ...], before: Any, after: Any) -> Iterator[tuple[str, ...]]:
    sides = [side for side in (before, after) if isinstance(side, Mapping)]
    if not sides:
        yield path
        return
    keys = sorted({str(key) for side in sides for key in side})
    exchanged = len({str(side.get("type")) for side in sides}) > 1
    for key in keys:
        old, new = (
            side.get(key, ABSENT) if isinstance(side, Mapping) else ABSENT
            for side in (before, after)
        )
        if exchanged and (old is ABSENT or new is ABSENT):
            continue  # what only one of two kinds of part can be asked is no other value of it
        if not same(old, new):
            yield from _inside((*path, key), old, new)
    if not keys:
        yield path
