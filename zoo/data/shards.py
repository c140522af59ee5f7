"""Shards on a disk: finding, counting, naming and writing them, before any stream is opened."""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from braceexpand import braceexpand
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from zoo.data.schema import ARRAYS, META, BadSample, ClipSample, encode, parse
from zoo.data.schema_depth import is_depth

INDEX = "index.json"
_INDEX_SCHEMA = "handclip-index-1"
_STALE_SECONDS = 3600  # a part file this old belongs to a writer that was killed


@dataclass(frozen=True)
class ShardIndex:
    """What a shard holds, known without decoding a picture."""

    bytes: int
    samples: int  # tar samples
    frames: int  # hands in pictures: what a stream yields
    listing: str  # sha256 over the names and sizes of the tar's members


def resolve_shards(pattern: str | os.PathLike | Sequence[str | os.PathLike]) -> list[str]:
    """The shards a pattern means, sorted within each glob and free of repeats.

    pattern: a tar, a folder of tars, a glob (`train/*.tar`), a brace range (`{0000..0015}.tar`), or
        a list of these. Raises ValueError where one is missing or empty or nothing matches.
    """
    given = [pattern] if isinstance(pattern, (str, os.PathLike)) else list(pattern)
    shards: dict[str, None] = {}
    for text in (os.path.expanduser(os.fspath(item)) for item in given):
        for name in braceexpand(text):
            shards.update(dict.fromkeys(_matches(name, text)))
    if not shards:
        raise ValueError("No shards were named; pass a folder of .tar files, a glob or a list.")
    for name in shards:
        _check_shard(name)
    return list(shards)


def _matches(name: str, given: str) -> list[str]:
    if os.path.isdir(name):
        name = os.path.join(glob.escape(name), "*.tar")
    if not glob.has_magic(name):
        return [name]
    if found := sorted(glob.glob(name, recursive=True)):
        return found
    raise ValueError(
        f"No shard matches {given!r}: {name} has no match; point --data at .tar shards, "
        "for example those that `zoo data synth` writes."
    )


def _check_shard(name: str) -> None:
    if not os.path.isfile(name):
        raise ValueError(f"The shard {name} does not exist; check the path or the brace range.")
    with open(name, "rb") as file:
        if not file.read(512).strip(b"\0"):
            raise ValueError(f"The shard {name} is empty; delete it or write it again.")


def count_frames(urls: Sequence[str]) -> int:
    """How many labelled hands in pictures the shards hold together: what a stream yields."""
    return sum(entry.frames for entry in indices(urls).values())


def count_pictures(urls: Sequence[str]) -> int:
    """How many pictures the shards hold, from the headers of their members."""
    names = (name.partition(".")[2] for url in urls for name, _, _ in _members(url))
    return sum(name not in (META, ARRAYS) and not is_depth(name) for name in names)


def fingerprint(urls: Sequence[str]) -> str:
    """A name for exactly these shards: sha256 over names, sizes and listings of their members.

    Two data sets with one fingerprint hold the same samples; the pictures are not read.
    """
    entries = sorted(
        json.dumps([os.path.basename(url), asdict(entry)], sort_keys=True)
        for url, entry in indices(urls).items()
    )
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def indices(urls: Sequence[str]) -> dict[str, ShardIndex]:
    """The index of every shard, from the index.json beside it or else from the tar's headers."""
    known: dict[str, dict[str, ShardIndex]] = {}
    found = {}
    for url in urls:
        folder, name = os.path.split(url)
        if folder not in known:
            known[folder] = _read_index(Path(folder) / INDEX)
        entry = known[folder].get(name)
        if entry is None or entry.bytes != os.path.getsize(url):
            entry = index_shard(url)
        found[url] = entry
    return found


def index_shard(url: str) -> ShardIndex:
    """The index of one shard, from its headers and labels; a cut-off tar counts up to the cut."""
    listing, frames, keys = hashlib.sha256(), 0, set()
    for name, size, data in _members(url):
        listing.update(f"{name} {size}\n".encode())
        key, _, member = name.partition(".")
        keys.add(key)
        if member == ARRAYS:
            frames += _count_slots(key, data)
    return ShardIndex(os.path.getsize(url), len(keys), frames, listing.hexdigest())


def _members(url: str) -> Iterator[tuple[str, int, bytes]]:
    """Name, size and, of labels alone, content of each member, as far as the tar can be read."""
    try:
        with tarfile.open(url, "r:") as tar:
            for member in tar:
                labels = member.name.endswith(ARRAYS)
                yield member.name, member.size, tar.extractfile(member).read() if labels else b""
    except tarfile.ReadError:
        return


def _count_slots(key: str, data: bytes) -> int:
    """Frames of one sample; a broken one counts as the one failure a stream will report."""
    try:
        return len(ClipSample(key, {}, load_arrays(data), (), ()).slots())
    except (SafetensorError, KeyError, ValueError):
        return 1


def write_index(folder: Path, entries: dict[str, ShardIndex]) -> None:
    """Leave the index of a folder's shards beside them, name to entry."""
    shards = {name: asdict(entry) for name, entry in sorted(entries.items())}
    text = json.dumps({"schema": _INDEX_SCHEMA, "shards": shards}, indent=1)
    write_whole(folder / INDEX, text.encode())


def _read_index(path: Path) -> dict[str, ShardIndex]:
    if not path.is_file():
        return {}
    index = json.loads(path.read_text())
    if index.get("schema") != _INDEX_SCHEMA:
        return {}
    return {name: ShardIndex(**entry) for name, entry in index["shards"].items()}


def write_shard(path: Path, samples: Iterable[ClipSample]) -> ShardIndex:
    """A tar of these samples, the same bytes every time; it appears whole or not at all.

    Raises BadSample, naming the shard, where a sample breaks the schema.
    """
    part = _part(path)
    with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            try:
                members = encode(sample)
            except BadSample as bad:
                raise BadSample(bad.reason, shard=str(path), key=bad.key, field=bad.field) from bad
            for name, data in members.items():
                entry = tarfile.TarInfo(name)  # its time, owner and mode are constants
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    os.replace(part, path)
    return index_shard(str(path))


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in place in one step, so that a killed writer leaves the old one."""
    part = _part(path)
    part.write_bytes(data)
    os.replace(part, path)


def _part(path: Path) -> Path:
    """A name of this process's own, so that two writers of one shard cannot mix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def remove_stale_parts(folder: Path) -> None:
    """Delete what killed writers left behind."""
    for part in folder.glob("**/.*.part"):
        if time.time() - part.stat().st_mtime > _STALE_SECONDS:
            part.unlink(missing_ok=True)


def read_samples(url: str) -> Iterator[ClipSample]:
    """Every sample of a shard in order, parsed; raises BadSample at the first broken one."""
    key, members = None, {}
    with tarfile.open(url, "r:") as tar:
        for member in tar:
            owner, _, name = member.name.partition(".")
            if owner != key and members:
                yield parse(members, url)
                members = {}
            key = owner
            members["__key__"] = owner
            members[name] = tar.extractfile(member).read()
    if members:
        yield parse(members, url)
