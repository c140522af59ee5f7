"""Turns a release into a folder of shards: in parallel, resumable, every row accounted for."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from zoo.contracts import SkippedSample
from zoo.data.converters.release import Converter, Release, Rows
from zoo.data.schema import SCHEMA
from zoo.data.shards import (
    ShardIndex,
    fingerprint,
    remove_stale_parts,
    write_index,
    write_shard,
    write_whole,
)

DATASET = "dataset.json"
SHARD_PICTURES = 1000
_LEDGER = ".{}.done"  # beside a shard: it is whole, and this is what it holds


@dataclass(frozen=True)
class _Piece:
    """The rows of one shard, and where it goes."""

    folder: Path
    number: int
    first: int
    last: int

    @property
    def name(self) -> str:
        return f"{self.number:06d}.tar"

    @property
    def ledger(self) -> Path:
        return self.folder / _LEDGER.format(self.name)

    def done(self) -> dict[str, Any] | None:
        """What an earlier run left of this shard, if it is the same and whole."""
        if not self.ledger.is_file():
            return None
        told = json.loads(self.ledger.read_text())
        path = self.folder / self.name
        size = path.stat().st_size if path.is_file() else None
        whole = size == (told["index"] or {}).get("bytes")
        return told if whole and told["rows"] == [self.first, self.last] else None

    def write(self, rows: Rows) -> dict[str, Any]:
        """The shard, and what it holds; a piece without a usable sample gives no file."""
        skipped: list[SkippedSample] = []
        read = (s for row in range(self.first, self.last) for s in rows.read(row, skipped))
        first = next(read, None)
        index, pictures = None, 0
        if first is not None:

            def counted() -> Iterator[Any]:
                nonlocal pictures
                for sample in (first, *read):
                    pictures += len(sample.pictures)
                    yield sample

            index = asdict(write_shard(self.folder / self.name, counted()))
        told = {
            "rows": [self.first, self.last],
            "index": index,
            "pictures": pictures,
            "skipped": dict(Counter(sample.reason for sample in skipped)),
        }
        write_whole(self.ledger, json.dumps(told).encode())
        return told


def write_split(
    converter: Converter,
    source: Path,
    folder: str | os.PathLike,
    *,
    split: str,
    limit: int | None = None,
    workers: int = 1,
    resume: bool = False,
    shard_pictures: int = SHARD_PICTURES,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Shards `folder`/`split`/*.tar and the split's entry in `folder`/dataset.json.

    Rows belong to shards by their number, so the shards are the same whatever the workers, and
    whether or not a killed run was taken up again. Each appears whole or not at all;
    dataset.json is written last, so a folder with an entry is a complete conversion.

    limit: read so many pictures and no more.
    workers: processes, each of which opens the release for itself.
    resume: keep the shards an earlier run finished.
    progress: called with pictures done and pictures in all, after each shard.
    returns: the split's entry: shards, samples, frames (hands in pictures), pictures, listed,
        official, partial, fingerprint, skipped.

    Raises:
        ValueError: where the folder holds another data set, or the split already has shards, or
            there is not a single usable sample.
        BadSample: where a sample breaks the schema.
    """
    folder, release = Path(folder), converter.release
    told = _claim(folder, release, split, resume=resume)
    remove_stale_parts(folder)
    rows = converter.rows(Path(source), split=split)
    wanted = rows.count if limit is None else min(rows.count, -(-limit // rows.frames))
    recipe = {"rows": rows.count, "limit": limit, "shard_pictures": shard_pictures}
    recipe |= {"depth": True} if getattr(converter, "depth", False) else {}
    _hold_recipe(folder / split, recipe, resume=resume)
    each = max(1, shard_pictures // rows.frames)
    pieces = [
        _Piece(folder / split, number, first, min(first + each, wanted))
        for number, first in enumerate(range(0, wanted, each))
    ]
    done = {piece.number: found for piece in pieces if resume and (found := piece.done())}
    missing = [piece for piece in pieces if piece.number not in done]
    for piece, found in _written(missing, rows, converter, Path(source), split, workers):
        done[piece.number] = found
        if progress:
            progress(sum(p.last - p.first for p in pieces if p.number in done), wanted)
    entry = _account(release, folder / split, [(piece, done[piece.number]) for piece in pieces])
    entry |= {"listed": rows.listed, "official": rows.official, "partial": wanted < rows.count}
    told["splits"][split] = entry
    write_whole(folder / DATASET, json.dumps(told, indent=1).encode())
    for piece in pieces:
        piece.ledger.unlink()
    (folder / split / ".recipe").unlink()
    return entry


def _written(
    pieces: list[_Piece],
    rows: Rows,
    converter: Converter,
    source: Path,
    split: str,
    workers: int,
) -> Iterator[tuple[_Piece, dict[str, Any]]]:
    """Pieces as they are done."""
    if workers <= 1 or len(pieces) <= 1:
        yield from ((piece, piece.write(rows)) for piece in pieces)
        return
    methods = multiprocessing.get_all_start_methods()
    # never a fork of this process, in which torch's threads may hold locks
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with ProcessPoolExecutor(
        min(workers, len(pieces)),
        mp_context=context,
        initializer=_open,
        initargs=(converter, source, split),
    ) as pool:
        jobs = {pool.submit(_write, piece): piece for piece in pieces}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_opened: list[Rows] = []  # of a worker process alone


def _open(converter: Converter, source: Path, split: str) -> None:
    cv2.setNumThreads(1)
    _opened.append(converter.rows(source, split=split))


def _write(piece: _Piece) -> dict[str, Any]:
    return piece.write(_opened[0])


def _account(
    release: Release, folder: Path, done: list[tuple[_Piece, Mapping[str, Any]]]
) -> dict[str, Any]:
    skipped: Counter[str] = Counter()
    for _, told in done:
        skipped.update(told["skipped"])
    counts = dict(skipped.most_common())
    entries = {
        piece.name: ShardIndex(**told["index"]) for piece, told in done if told["index"] is not None
    }
    if not entries:
        why = "; ".join(f"{reason} ({count})" for reason, count in counts.items())
        raise ValueError(f"{release.title}, split {folder.name!r}: no usable sample. {why}")
    write_index(folder, entries)
    return {
        "shards": len(entries),
        "samples": sum(entry.samples for entry in entries.values()),
        "frames": sum(entry.frames for entry in entries.values()),
        "pictures": sum(told["pictures"] for _, told in done),
        "fingerprint": fingerprint([str(folder / name) for name in entries]),
        "skipped": counts,
    }


def _hold_recipe(folder: Path, recipe: Mapping[str, Any], *, resume: bool) -> None:
    """Leaves a note of how the rows are cut; another cut cannot go on with these shards."""
    path = folder / ".recipe"
    if not resume:
        for ledger in folder.glob(_LEDGER.format("*")):
            ledger.unlink()  # of a run that was killed before its first shard, or cleared away
    elif path.is_file() and json.loads(path.read_text()) != recipe:
        raise ValueError(
            f"{folder} was begun with {path.read_text()}, now it is {json.dumps(recipe)}; resume "
            "with the same --limit and the same release, or delete the folder."
        )
    write_whole(path, json.dumps(recipe).encode())


def _claim(folder: Path, release: Release, split: str, *, resume: bool) -> dict[str, Any]:
    """What dataset.json says so far, after making sure that this split may be added to it."""
    path = folder / DATASET
    told = json.loads(path.read_text()) if path.is_file() else None
    if told is not None and told.get("dataset") != release.dataset:
        raise ValueError(
            f"{folder} holds the data set {told.get('dataset')!r}; choose another folder for "
            f"{release.dataset!r}."
        )
    finished = told is not None and split in told["splits"]
    if any((folder / split).glob("*.tar")) and (finished or not resume):
        state = "a finished" if finished else "an unfinished"
        advice = "delete them to convert anew" if finished else "go on with --resume"
        raise ValueError(
            f"{folder / split} already holds shards of {state} conversion; {advice}, or choose "
            "another folder."
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
