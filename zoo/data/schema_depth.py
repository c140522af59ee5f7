"""The optional depth pictures of a sample: beside its pictures, in a unit its metadata names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.data.pictures import DEPTH_UNIT, decode_depth

if TYPE_CHECKING:
    from zoo.data.schema import ClipSample

_COARSEST = 0.01  # m; a coarser unit is a mistake
_MEMBER = re.compile(r"d(\d{4})\.png")


def is_depth(name: str) -> bool:
    """Whether a member, named without its sample's key, is a depth picture."""
    return _MEMBER.fullmatch(name) is not None


def told_unit(unit: float = DEPTH_UNIT) -> dict[str, Any]:
    """The entry of meta.json that a sample with depth pictures needs.

    unit: m of one grey value.
    """
    return {"depth": {"unit_m": unit}}


def depth_members(sample: ClipSample) -> dict[str, bytes]:
    """Name to bytes of the depth pictures there are; frames without one have no member."""
    return {f"d{t:04d}.png": data for t, data in enumerate(sample.depths) if data is not None}


def read_depths(members: Mapping[str, Any], frames: int) -> tuple[bytes | None, ...]:
    """A depth picture or None for each frame, still encoded; none at all where no frame has one.

    One beyond the last frame lengthens the answer, for `check_depths` to refuse.
    """
    found = {int(m[1]): members[m[0]] for name in members if (m := _MEMBER.fullmatch(name))}
    return tuple(found.get(t) for t in range(max(frames, max(found) + 1))) if found else ()


def check_depths(sample: ClipSample) -> None:
    """Raises BadSample where there are more of them than frames, or the unit is not told."""
    if not sample.depths:
        return
    if len(sample.depths) != len(sample.pictures):
        found = f"{len(sample.depths)} depth pictures for {len(sample.pictures)} frames"
        raise sample.bad("d0000", f"{found}; they are members d0000.png, d0001.png, ...")
    told = sample.meta.get("depth")
    unit = told.get("unit_m") if isinstance(told, Mapping) else None
    number = isinstance(unit, float | int) and not isinstance(unit, bool)
    if not (number and 0 < unit <= _COARSEST):
        reason = f"unit_m is metres a grey value, above 0 and up to {_COARSEST}, not {unit!r}"
        raise sample.bad("meta.json: depth", reason)


def depth_of(sample: ClipSample, frame: int, size: tuple[int, int]) -> Tensor | None:
    """The depth map of a frame, or None where it has none; raises BadSample for a broken one.

    size: (h, w) px of the frame's picture.
    returns: (h, w) float32 m, 0 where unknown.
    """
    data = sample.depths[frame] if sample.depths else None
    if data is None:
        return None
    field = f"d{frame:04d}"
    try:
        depth = decode_depth(data, unit=sample.meta["depth"]["unit_m"])
    except ValueError as error:
        raise sample.bad(field, str(error)) from error
    if depth.shape != size:
        (height, width), (high, wide) = depth.shape, size
        raise sample.bad(field, f"the depth is {width}x{height}, its picture {wide}x{high}")
    return torch.from_numpy(depth)
