"""What every converter tells of its data set, and how its samples become a folder of shards."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from zoo.contracts import SkippedSample
from zoo.data.pictures import decode_picture
from zoo.data.schema import SCHEMA, BadSample, ClipSample
from zoo.data.shards import (
    ShardIndex,
    fingerprint,
    remove_stale_parts,
    write_index,
    write_shard,
    write_whole,
)

DATASET = "dataset.json"
SHARD_SAMPLES = 1000


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


class Converter(Protocol):
    """Reads one released layout; nothing is ever downloaded."""

    release: Release
    splits: Sequence[str]

    def samples(
        self, source: Path, *, split: str, skipped: list[SkippedSample]
    ) -> Iterator[ClipSample]:
        """Every usable sample of a split, in the release's order.

        Appends what cannot be used to `skipped`; raises ValueError where the release is not there.
        """
        ...


def write_split(
    samples: Iterable[ClipSample],
    folder: str | os.PathLike,
    *,
    release: Release,
    split: str,
    skipped: Sequence[SkippedSample],
    shard_samples: int = SHARD_SAMPLES,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Shards `folder`/`split`/*.tar and the split's entry in `folder`/dataset.json.

    Each shard appears whole or not at all; dataset.json is written last, so a folder with an
    entry is a complete conversion.

    skipped: the list the samples' maker fills while it runs; counted by reason at the end.
    progress: called with the number of samples of each shard that is done.
    returns: the split's entry: shards, samples, frames, fingerprint, skipped.

    Raises:
        ValueError: where the folder holds another data set, or the split already has shards, or
            there is not a single usable sample.
        BadSample: where a sample breaks the schema.
    """
    folder = Path(folder)
    told = _claim(folder, release, split)
    remove_stale_parts(folder)
    entries: dict[str, ShardIndex] = {}
    stream = iter(samples)
    while chunk := list(itertools.islice(stream, shard_samples)):
        name = f"{len(entries):06d}.tar"
        entries[name] = write_shard(folder / split / name, chunk)
        if progress:
            progress(len(chunk))
    told["splits"][split] = _account(folder / split, entries, skipped, release)
    write_index(folder / split, entries)
    write_whole(folder / DATASET, json.dumps(told, indent=1).encode())
    return told["splits"][split]


def _account(
    folder: Path,
    entries: dict[str, ShardIndex],
    skipped: Sequence[SkippedSample],
    release: Release,
) -> dict[str, Any]:
    counts = dict(Counter(sample.reason for sample in skipped).most_common())
    if not entries:
        why = "; ".join(f"{reason} ({count})" for reason, count in counts.items())
        raise ValueError(f"{release.title}, split {folder.name!r}: no usable sample. {why}")
    return {
        "shards": len(entries),
        "samples": sum(entry.samples for entry in entries.values()),
        "frames": sum(entry.frames for entry in entries.values()),
        "fingerprint": fingerprint([str(folder / name) for name in entries]),
        "skipped": counts,
    }


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


def _claim(folder: Path, release: Release, split: str) -> dict[str, Any]:
    """What dataset.json says so far, after making sure that this split may be added to it."""
    path = folder / DATASET
    told = json.loads(path.read_text()) if path.is_file() else None
    if told is not None and told.get("dataset") != release.dataset:
        raise ValueError(
            f"{folder} holds the data set {told.get('dataset')!r}; choose another folder for "
            f"{release.dataset!r}."
        )
    if any((folder / split).glob("*.tar")):
        state = "finished" if told and split in told["splits"] else "unfinished"
        raise ValueError(
            f"{folder / split} already holds shards of a {state} conversion; delete them to "
            "convert anew, or choose another folder."
        )
    if told is not None:
        return told
    return {
        "schema": SCHEMA,
        "dataset": release.dataset,
        "license": release.license,
        "complete": True,  # written last, so whoever reads it reads a whole split
        "notice": release.notice(),
        "splits": {},
    }
