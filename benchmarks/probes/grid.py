"""Do tokens lie where their place in the grid says, behind the backbone and behind the neck?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult
from benchmarks.probes.parts import part_of
from benchmarks.subject import Subject, last_frames
from zoo.contracts import Finding

PLACES = (0.3, 0.5, 0.7)  # fractions of the crop's sides

Cell = tuple[int, int]  # row and column
Felt = dict[tuple[float, float], Cell]  # by fractions of height and width


class Grid:
    """Where in the grid of tokens a change at a place of the crop is felt most.

    Behind the backbone, then behind the neck, which hands tokens on in their places. UTNet's grid
    was guessed as 12 x 16 where it was 16 x 12: 172 of 192 tokens stood away from home (V2).
    """

    id: ClassVar[str] = "config.grid"
    family: ClassVar[str] = "config"
    law: ClassVar[str] = (
        "There are as many tokens as the grid says; its rows follow the crop downwards and its "
        "columns to the right."
    )
    see: ClassVar[str] = "docs/probes.md#config-grid"

    @torch.no_grad()
    def __call__(self, subject: Subject) -> ProbeResult:
        """Tokens that are too few or many, and grids that are turned."""
        backbone = part_of(subject, "backbone")
        rows, columns = backbone.token_grid
        prefix, size = backbone.num_prefix_tokens, backbone.image_size
        rng = torch.Generator().manual_seed(0)
        image = 0.5 + 0.02 * torch.randn((1, 3, *size), generator=rng)
        before = backbone(image).float()
        levels = getattr(backbone, "num_levels", 1)  # layers handed over one after the other
        promised = levels * (rows * columns + prefix)
        if before.shape[1] != promised or before.shape[2] != backbone.token_dim:
            finding = Finding(
                f"{self.id}/count",
                "error",
                "model.backbone",
                f"The backbone gives {tuple(before.shape[1:])} tokens; its grid of {rows} x "
                f"{columns}, {prefix} before it, and its width {backbone.token_dim} say otherwise.",
                {"tokens": before.shape[1], "grid": [rows, columns]},
            )
            return ProbeResult((finding,))
        touched = {
            (y, x): backbone(_touched(image, y, x, (rows, columns))).float()
            for y in PLACES
            for x in PLACES
        }
        felt = {"model.backbone": _felt(before, touched, (rows, columns))}
        if neck := _neck_of(subject, image):
            after = neck(before)
            if after.shape[1] and after.shape[1] % (rows * columns + prefix) == 0:
                told = {place: neck(tokens) for place, tokens in touched.items()}
                felt["model.neck"] = _felt(after, told, (rows, columns))
        findings = [found for path, places in felt.items() for found in self._judged(path, places)]
        evidence = {
            path: {f"{y:g} down, {x:g} right": list(cell) for (y, x), cell in places.items()}
            for path, places in felt.items()
        }
        return ProbeResult(tuple(findings[:1]), {"grid": [rows, columns], "felt": evidence})

    def _judged(self, path: str, places: Felt) -> Iterator[Finding]:
        down = all(
            places[PLACES[0], x][0] < places[PLACES[-1], x][0]
            and abs(places[PLACES[0], x][1] - places[PLACES[-1], x][1]) <= 1
            for x in PLACES
        )
        right = all(
            places[y, PLACES[0]][1] < places[y, PLACES[-1]][1]
            and abs(places[y, PLACES[0]][0] - places[y, PLACES[-1]][0]) <= 1
            for y in PLACES
        )
        if not (down and right):
            first, last = places[PLACES[0], PLACES[0]], places[PLACES[-1], PLACES[0]]
            yield Finding(
                f"{self.id}/turned",
                "error",
                path,
                f"Behind {path}, going down the crop moves from token (row, column) {first} to "
                f"{last}: the grid's rows and columns are not those of the picture.",
                {"first": list(first), "last": list(last)},
            )


def _neck_of(subject: Subject, image: Tensor) -> Callable[[Tensor], Tensor] | None:
    """The neck as a function of tokens, of one hand's camera."""
    neck = getattr(subject.model, "neck", None)
    if neck is None:
        return None
    view = dataclasses.replace(last_frames(subject.shown(1, training=False)[0]), images=image)
    return lambda tokens: neck(tokens, view).float()


def _touched(image: Tensor, y: float, x: float, grid: Cell) -> Tensor:
    """The picture with one cell of the grid made white."""
    moved = image.clone()
    height, width = image.shape[-2:]
    tall, wide = height // grid[0], width // grid[1]
    top, left = int(y * height) // tall * tall, int(x * width) // wide * wide
    moved[..., top : top + tall, left : left + wide] = 1.0
    return moved


def _felt(before: Tensor, touched: dict[tuple[float, float], Tensor], grid: Cell) -> Felt:
    """The token that changes most by what is touched, of the last level's patches."""
    patches = grid[0] * grid[1]
    changes = {
        place: (tokens - before)[0, -patches:].norm(dim=-1) for place, tokens in touched.items()
    }
    return {place: divmod(int(change.argmax()), grid[1]) for place, change in changes.items()}
