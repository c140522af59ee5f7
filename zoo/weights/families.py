"""Whose checkpoints the zoo understands: one row a family, and how a file tells which one it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from zoo.contracts import HandAsset
from zoo.weights.account import Account


class Weights(Protocol):
    """A published checkpoint in our terms, as a reader gives it."""

    state_dict: dict[str, Tensor]  # fills a model of the config that `write` writes
    hand: HandAsset | None  # the hand model inside the file, under its own licence
    account: Account

    def describe(self) -> str:
        """The sizes that were read from the weights, in a line."""
        ...


class Reader(Protocol):
    """What the module of a family offers."""

    def from_content(self, content: Mapping[str, Any], *, source: str) -> Weights:
        """The weights of a file as `checkpoint_file.read` gives it; every key accounted for."""
        ...

    def write(self, weights: Weights, folder: Path, *, name: str) -> list[Path]:
        """Writes weights, their hand and their config; returns the files."""
        ...

    def save_published(self, file: Path, state: Mapping[str, Tensor], hand: HandAsset) -> None:
        """Writes our state dict as the original program reads it."""
        ...


@dataclass(frozen=True)
class Family:
    """Checkpoints of one original program; `module` is a `Reader`."""

    name: str
    title: str
    module: str
    published: tuple[str, ...]  # a file is theirs when a key begins with any of these
    ours: tuple[str, ...]  # a state dict of ours can be theirs when keys begin with all of these

    def reader(self) -> Reader:
        """The module, imported now."""
        return import_module(self.module)


# A family earlier in the table is asked first.
FAMILIES: tuple[Family, ...] = (
    Family(
        name="hamer",
        title="HaMeR (Pavlakos et al., CVPR 2024)",
        module="zoo.weights.hamer",
        published=("mano_head.",),
        ours=(
            "backbone.pos_embed",
            "backbone.last_norm.",
            "head.camera.linear.",
            "head.transformer.",
        ),
    ),
    Family(
        name="wilor",
        title="WiLoR (Potamias et al., CVPR 2025)",
        module="zoo.weights.wilor",
        published=("refine_net.",),
        ours=("backbone.pose_emb.", "head.coarse.decpose.", "head.deconv.", "head.camera.linear."),
    ),
    Family(
        name="csvit2",
        title="CS-ViT2, Stage 1",
        module="zoo.weights.csvit2",
        published=("handec.", "persp_info_embedder."),
        ours=("backbone.vit.", "neck.net.", "head.decpose.", "head.camera."),
    ),
)


class UnknownFamily(ValueError):
    """A file of weights that belongs to no family of the table, or a family that is not in it."""


def named(name: str) -> Family:
    """The family of that name; raises UnknownFamily."""
    for family in FAMILIES:
        if family.name == name:
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise UnknownFamily(f"No family of checkpoints is called {name!r}; known are {known}.")


def of_published(keys: Iterable[str]) -> Family | None:
    """The family whose published names these are, or None."""
    keys = list(keys)
    for family in FAMILIES:
        if any(key.startswith(family.published) for key in keys):
            return family
    return None


def of_ours(keys: Iterable[str]) -> Family | None:
    """The family that a state dict of ours has the parts of, or None."""
    keys = list(keys)
    for family in FAMILIES:
        if all(any(key.startswith(mark) for key in keys) for mark in family.ours):
            return family
    return None
