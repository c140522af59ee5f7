"""What every converter tells of its data set, and what their files have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from zoo.contracts import SkippedSample
from zoo.data.pictures import decode_picture
from zoo.data.schema import SCHEMA, BadSample, ClipSample

HELD_OUT = 10  # every so many takes, one is kept to validate on


@dataclass(frozen=True)
class Release:
    """A data set as its makers publish it, and what they ask of those who use it."""

    dataset: str  # short name, as stored in every sample
    title: str
    home: str  # where to get it
    license: str  # tag stored in every sample
    terms: str  # one sentence
    citation: str

    def notice(self) -> str:
        """What a user has to know before converting: source, licence, consequences."""
        return (
            f"{self.title}, from {self.home} (not included here). {self.terms} The shards are for "
            "your own use; treat weights trained on them as non-commercial too (a cautious "
            f"reading, not legal advice). Please cite: {self.citation}"
        )


@dataclass(frozen=True)
class Rows:
    """A split before it is read: so many pieces, each of which becomes samples by itself.

    read: the samples of piece i; what of it cannot be used joins the list.
    frames: pictures a piece holds at most.
    listed: pictures the release lists for the split, as found on the disk; None where that would
        mean reading it all.
    official: pictures the makers say it has; None where they say nothing.
    """

    count: int
    read: Callable[[int, list[SkippedSample]], list[ClipSample]]
    listed: int | None
    official: int | None = None
    frames: int = 1

    @classmethod
    def one_each(
        cls,
        items: Sequence[Any],
        make: Callable[[Any], ClipSample],
        *,
        shard: str,
        official: int | None = None,
    ) -> Rows:
        """A picture a piece; `make` raises BadSample for one that cannot be used."""

        def read(index: int, skipped: list[SkippedSample]) -> list[ClipSample]:
            try:
                return [make(items[index])]
            except BadSample as bad:
                skipped.append(SkippedSample(key=bad.key, shard=shard, reason=bad.reason))
                return []

        return cls(len(items), read, listed=len(items), official=official)

    def samples(self, skipped: list[SkippedSample]) -> Iterator[ClipSample]:
        """Every usable sample in the release's order."""
        for index in range(self.count):
            yield from self.read(index, skipped)


class Converter(Protocol):
    """Reads one released layout; nothing is ever downloaded.

    aliases: other names of splits, such as "train" for "training".
    """

    release: Release
    splits: Sequence[str]
    aliases: Mapping[str, str]

    def rows(self, source: Path, *, split: str) -> Rows:
        """A split, listed and ready to be read; raises ValueError where it is not there."""
        ...


def read_json(path: Path) -> Any:
    """The content of an annotation file.

    Raises:
        ValueError: where it is not there or is cut short.
    """
    try:
        with path.open("rb") as file:
            return json.load(file)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; is the data set completely unpacked?") from None
    except ValueError as error:
        raise ValueError(f"{path} is not a whole JSON file ({error}); download it again.") from None


def read_picture(path: Path, *, width: int, height: int, key: str) -> bytes:
    """The bytes of a picture that can be decoded and has the size its annotation tells.

    Raises:
        BadSample: where it is not so; the reason names no file, so that reasons can be counted.
    """
    try:
        data = path.read_bytes()
    except OSError:
        raise BadSample("the picture is not there", key=key, field="picture") from None
    try:
        found = decode_picture(data).shape
    except ValueError as error:
        raise BadSample(str(error), key=key, field="picture") from None
    if found[:2] != (height, width):
        raise BadSample("the picture has another size than told", key=key, field="picture")
    return data


def read_sized(path: Path, *, key: str) -> tuple[bytes, tuple[int, int]]:
    """The bytes of a picture and its width and height, px, where the annotation tells no size.

    Raises:
        BadSample: where it cannot be read or decoded.
    """
    try:
        data = path.read_bytes()
        height, width = decode_picture(data).shape[:2]
    except OSError:
        raise BadSample("the picture is not there", key=key, field="picture") from None
    except ValueError as error:
        raise BadSample(str(error), key=key, field="picture") from None
    return data, (width, height)


def box_around(points: np.ndarray) -> np.ndarray:
    """(4,) px, x0 y0 x1 y1: the tight box of (N, 2) points."""
    return np.concatenate([points.min(0), points.max(0)])


def describe(
    release: Release,
    *,
    split: str,
    hands: Sequence[str],
    picture: tuple[str, int, int],
    **known: Any,
) -> dict[str, Any]:
    """The meta.json of one picture with its hands; `known` replaces what is unknown by default.

    hands: "left" or "right" each.
    picture: path in the release, width, height (px).
    """
    file, width, height = picture
    frame = {"file": file, "width": width, "height": height}
    suffix = Path(file).suffix.lower()
    return {
        "schema": SCHEMA,
        "dataset": release.dataset,
        "dataset_version": None,
        "split": split,
        "license": release.license,
        "sequence_id": None,
        "camera_id": None,
        "subject_id": None,
        "source_take": None,
        "hands": [_hand(index, side, len(hands)) for index, side in enumerate(hands)],
        "frames": [{"member": f"f0000{suffix}", **frame, "source_to_stored": np.eye(3).tolist()}],
        "time": {"source": "none", "fps": None},
        "intr_type": "none",
        "camera_model": "pinhole",
        "fit_error_kind": None,
        "mano": {"left_shapedirs": "na", "betas": "per_frame", "transl": "none", "fit": None},
        **known,
    }


def _hand(index: int, side: str, count: int) -> dict[str, Any]:
    return {
        "side": side,
        "side_valid": True,
        "track_id": index,
        "source_index": index,
        "person_id": 0,
        "pair": 1 - index if count == 2 else None,
    }


def is_held_out(take: str) -> bool:
    """Whether a take belongs to the validation part, the same on every machine."""
    return int(hashlib.sha256(take.encode()).hexdigest(), 16) % HELD_OUT == 0


def part_of(split: str, parts: Mapping[str, str], take: str) -> bool:
    """Whether a take is in a split that may be one half of an official one.

    parts: halves by name: {"train-part": "train", "val-part": "train"}.
    """
    return split not in parts or is_held_out(take) == split.startswith("val")
