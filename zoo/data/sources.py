"""Where hands come from: shards of ours, or the files of others, one sample after another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import webdataset as wds

from zoo.contracts import SkippedSample
from zoo.data.schema import BadSample, ClipSample, parse
from zoo.data.shards import count_frames, fingerprint, resolve_shards

_END_MARK = 1024  # bytes of zeros that close every tar
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd


class Source(Protocol):
    """Samples that lie in pieces: tars, or one list of pictures."""

    weight: float  # share of the hands of a mixture, in any unit
    urls: Sequence[str]  # the pieces: ordered anew every epoch, shared out over readers

    def samples(
        self, url: str, broken: list[SkippedSample]
    ) -> Iterator[ClipSample | SkippedSample]:
        """Every sample of a piece in order; a piece that breaks off is added to `broken`."""
        ...

    def count(self) -> int:
        """Labelled hands in all pieces."""
        ...

    def fingerprint(self) -> str:
        """A name for exactly these data."""
        ...


Data = str | os.PathLike | Sequence[str | os.PathLike] | Mapping[str, Source]


class Handclip:
    """Shards in the zoo's own schema, as a source among others.

    shards: a folder, a glob, a brace range or a list of these.
    weight: share of this source in a mixture.
    """

    def __init__(
        self, *, shards: str | os.PathLike | Sequence[str | os.PathLike], weight: float = 1.0
    ) -> None:
        self.urls, self.weight = resolve_shards(shards), weight

    def samples(
        self, url: str, broken: list[SkippedSample]
    ) -> Iterator[ClipSample | SkippedSample]:
        """Every sample of a shard."""
        for members in tar_members(url, broken):
            try:
                yield parse(members, url)
            except BadSample as bad:
                yield skipped(bad)

    def count(self) -> int:
        """Labelled hands, from the index beside the shards or else from their labels."""
        return count_frames(self.urls)

    def fingerprint(self) -> str:
        """As `zoo.data.shards.fingerprint` names them."""
        return fingerprint(self.urls)


def as_sources(data: Data) -> dict[str, Source]:
    """Sources by name; anything but a dict of them names shards of ours.

    Raises ValueError for no source, or one without a positive weight.
    """
    if not isinstance(data, Mapping):
        return {"": Handclip(shards=data)}
    if not data:
        raise ValueError("No data were named; give at least one source, or shards.")
    for name, source in data.items():
        if not source.weight > 0:
            raise ValueError(
                f"The source {name!r} has weight {source.weight}; a weight is positive. Set the "
                "source to None to leave it out."
            )
    return dict(data)


def count_hands(data: Data) -> int:
    """Labelled hands in all sources together."""
    return sum(source.count() for source in as_sources(data).values())


def data_fingerprint(*data: Data) -> str:
    """One name for all these data; of shards alone it is `zoo.data.shards.fingerprint`."""
    sources = [source for part in data for source in as_sources(part).values()]
    if all(isinstance(source, Handclip) for source in sources):
        return fingerprint([url for source in sources for url in source.urls])
    names = sorted(source.fingerprint() for source in sources)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def tar_members(url: str, broken: list[SkippedSample]) -> Iterator[Mapping[str, object]]:
    """Each sample's members, as webdataset groups them: `__key__`, and bytes by name.

    A tar that breaks off, or has no end, is added to `broken` once; what came before is used.
    """
    report = _Report(url, broken)
    if _is_compressed(url):
        report(ValueError("the tar is compressed; unpack it to a plain .tar"))
        return
    if not _is_closed(url):
        report(ValueError("the tar has no end mark: it was cut off"))
    # Not as it was typed: webdataset runs a name that begins with "pipe:" as a command.
    shards = wds.SimpleShardList([os.path.abspath(url)])
    yield from wds.DataPipeline(shards, wds.tarfile_to_samples(handler=report))


def skipped(bad: BadSample) -> SkippedSample:
    """What a batch says of a sample that cannot be used."""
    return SkippedSample(key=bad.key, shard=bad.shard, reason=f"{bad.field}: {bad.reason}")


class _Report:
    """webdataset's error handler: notes the first failure of a shard and goes on."""

    def __init__(self, url: str, broken: list[SkippedSample]) -> None:
        self.url, self.broken, self.said = url, broken, False

    def __call__(self, error: Exception) -> bool:
        if not self.said:
            self.broken.append(SkippedSample(key="", shard=self.url, reason=str(error.args[0])))
        self.said = True
        return True


def _is_compressed(url: str) -> bool:
    # Its index cannot be read, and a few kB of it may become any number of GB.
    with open(url, "rb") as file:
        return file.read(6).startswith(_COMPRESSED)


def _is_closed(url: str) -> bool:
    with open(url, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _END_MARK))
        return not file.read().strip(b"\0")
