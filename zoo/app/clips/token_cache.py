"""Query tokens of a frozen Stage 1, computed once a frame and read by every clip and epoch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import IterableDataset

from zoo.contracts import CropView, EncodedBatch, EncodedClips, FrameBatch, HandTarget
from zoo.data.clips import films
from zoo.data.collate import Run, collate_runs
from zoo.data.sources import Data, as_sources, count_hands, data_fingerprint
from zoo.data.stream_items import Item, read_items
from zoo.model import HandMeshModel

KEY = "key.json"
FILM_FRAMES = 256  # a film is decoded and encoded in stretches of at most this many frames
_LABELS = tuple(
    field.name for field in dataclasses.fields(HandTarget) if not field.name.startswith("vertices")
)
_VIEW = ("intrinsics", "hand_box", "frame_from_crop", "is_left")


class StaleCache(ValueError):
    """Tokens of other weights, other preprocessing or other data."""


def cache_key(
    config: Mapping[str, Any], model: HandMeshModel, shards: Data, copies: int
) -> dict[str, str]:
    """Everything the tokens depend on, by name: one differing entry makes another cache.

    copies: see `build_cache`; their draws come from the seed of the model's preprocessing.
    """
    weights = hashlib.sha256()
    for part in ("backbone", "neck", "head"):
        module = getattr(model, part)
        for name, value in ({} if module is None else module.state_dict()).items():
            weights.update(f"{part}.{name} {value.dtype} {tuple(value.shape)}".encode())
            weights.update(value.detach().cpu().numpy().tobytes())
    seen = {
        "model": {k: config["model"].get(k) for k in ("backbone", "neck", "head", "precision")},
        "augmentation": config["augmentation"],
        "seed": model.data_preprocessor.seed if copies else None,
    }
    return {
        "weights": weights.hexdigest(),
        "preprocessing": hashlib.sha256(
            json.dumps(seen, sort_keys=True, default=str).encode()
        ).hexdigest(),
        "data": data_fingerprint(shards),
        "copies": str(copies),
    }


def build_cache(
    folder: Path, model: HandMeshModel, shards: Data, key: Mapping[str, str], console: Console
) -> TokenCache:
    """The cache of this key in `folder`, encoded now unless it is there and complete.

    copies of the key: 0 encodes every frame as evaluation sees it, n as n draws of augmentation.
    """
    path = folder / f"tokens-{_name(key)}"
    if not (path / KEY).is_file():
        partial = path.with_name(path.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _encode(partial, model, shards, int(key["copies"]), console)
        (partial / KEY).write_text(json.dumps(dict(key), indent=1))
        partial.rename(path)
    return TokenCache(path, key)


class TokenCache:
    """Memory-mapped arrays of a folder: one row a frame, films one after another.

    Raises StaleCache where the folder was written for another key.
    """

    def __init__(self, folder: Path, key: Mapping[str, str]) -> None:
        found = json.loads((folder / KEY).read_text())
        other = sorted(name for name in key if found.get(name) != key[name])
        if other:
            raise StaleCache(
                f"{folder}: these tokens were made with other {', '.join(other)}; delete the "
                f"folder, or name another cache with ZOO_CACHE."
            )
        self.folder = folder
        files = sorted(folder.glob("*.npy"))
        self.arrays = {file.stem: np.load(file, mmap_mode="r") for file in files}

    def __len__(self) -> int:
        """Frames, copies counted."""
        return len(self.arrays["tokens"])

    def films(self) -> int:
        """Films, copies counted."""
        return len(np.unique(self.arrays["film"]))

    def clip_ends(self, frames: int, stride: int = 1) -> np.ndarray:
        """(M,) rows at which a clip of `frames` consecutive frames ends."""
        film = np.asarray(self.arrays["film"])
        starts = np.flatnonzero(np.diff(film, prepend=-1))
        place = np.arange(len(film)) - np.repeat(starts, np.diff([*starts, len(film)]))
        first = frames - 1
        return np.flatnonzero((place >= first) & ((place - first) % stride == 0))

    def batch(self, ends: np.ndarray, frames: int, image_size: tuple[int, int]) -> EncodedBatch:
        """Clips that end at these rows, with the labels of their last frames."""
        rows = ends[:, None] + np.arange(1 - frames, 1)
        times = torch.from_numpy(self.arrays["time"][rows])

        def at(name: str) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(self.arrays[name][ends]))

        count = sum(name.startswith("estimates_") for name in self.arrays)
        blank = torch.zeros(1).expand(len(ends), 3, *image_size)
        return EncodedBatch(
            label=HandTarget(**{name: at(f"label_{name}") for name in _LABELS}),
            clips=EncodedClips(
                tokens=torch.from_numpy(self.arrays["tokens"][rows]),
                times=times - times[:, -1:],
                estimates=tuple(at(f"estimates_{number}") for number in range(count)),
                view=CropView(images=blank, **{name: at(f"view_{name}") for name in _VIEW}),
            ),
        )


class CachedClips(IterableDataset):
    """Endless batches of shuffled clips from a cache, the same for the same seed.

    skip_batches: batches a resumed run has consumed already, which come as None.
    """

    def __init__(
        self,
        cache: TokenCache,
        *,
        frames: int,
        stride: int,
        batch_size: int,
        image_size: tuple[int, int],
        seed: int,
        steps: int,
        rank: int = 0,
        world_size: int = 1,
        skip_batches: int = 0,
    ) -> None:
        self.cache, self.frames, self.image_size = cache, frames, image_size
        self.batch_size, self.seed, self.steps = batch_size, seed, steps
        self.rank, self.world_size, self.skip_batches = rank, world_size, skip_batches
        self.ends = cache.clip_ends(frames, stride)
        if not len(self.ends):
            raise ValueError(
                f"no film of the training data has {frames} consecutive frames (data.clip.frames); "
                f"take shorter clips, or data with sequences."
            )

    def __len__(self) -> int:
        """Nominal steps."""
        return self.steps

    def __iter__(self) -> Iterator[EncodedBatch | None]:
        """Batches of this rank."""
        for number, rows in enumerate(self._rows()):
            known = number < self.skip_batches
            yield None if known else self.cache.batch(rows, self.frames, self.image_size)

    def _rows(self) -> Iterator[np.ndarray]:
        rest, epoch = np.empty(0, np.int64), 0
        each = self.batch_size * self.world_size
        while True:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.ends)
            rest, epoch = np.concatenate([rest, order]), epoch + 1
            while len(rest) >= each:
                yield rest[self.rank : each : self.world_size]
                rest = rest[each:]


@torch.no_grad()
def _encode(
    folder: Path, model: HandMeshModel, shards: Data, copies: int, console: Console
) -> None:
    """Writes one .npy an array, rows in the order films come."""
    model.eval()
    room = max(1, copies) * count_hands(shards)
    writer, film = _Writer(folder, room), 0
    for _ in range(max(1, copies)):
        stretches = track(_stretches(shards), description="encoding films", console=console)
        for run in stretches:
            batch = collate_runs([run], len(run.frames))
            data = model.data_preprocessor(_single_frames(batch), copies > 0)
            view = data["inputs"].frames
            query = model.queries(view)
            rows = {
                "tokens": query.token.float(),
                "film": torch.full((len(run.frames),), film),
                "time": run.times,
                **{f"estimates_{n}": value.float() for n, value in enumerate(query.estimates)},
                **{f"view_{name}": getattr(view, name) for name in _VIEW},
                **{f"label_{name}": getattr(data["data_samples"], name) for name in _LABELS},
            }
            writer.write(rows)
            film += 1
    writer.close()


def _single_frames(batch: FrameBatch) -> FrameBatch:
    """Every frame of the batch as a clip of one, so that each keeps its own label."""
    count = len(batch.frames)
    rows, times = torch.arange(count)[:, None], torch.zeros(count, 1, dtype=torch.float64)
    return dataclasses.replace(batch, rows=rows, times=times)


def _stretches(shards: Data) -> Iterator[Run]:
    """Films, long ones in stretches; what cannot be decoded is left out as a stream would."""
    for source in as_sources(shards).values():
        for item in read_items(source, source.urls, [], films):
            for start in range(0, len(item.slots), FILM_FRAMES):
                run = Item(item.sample, item.slots[start : start + FILM_FRAMES]).run()
                if isinstance(run, Run):
                    yield run


class _Writer:
    """Arrays on disk that grow row by row up to `room` rows."""

    def __init__(self, folder: Path, room: int) -> None:
        self.folder, self.room, self.used = folder, room, 0
        self.arrays: dict[str, np.memmap] = {}

    def write(self, rows: Mapping[str, Tensor]) -> None:
        count = len(rows["tokens"])
        for name, value in rows.items():
            found = value.detach().cpu().numpy()
            if name not in self.arrays:
                shape = (self.room, *found.shape[1:])
                self.arrays[name] = open_memmap(
                    self.folder / f"{name}.all", mode="w+", dtype=found.dtype, shape=shape
                )
            self.arrays[name][self.used : self.used + count] = found
        self.used += count

    def close(self) -> None:
        """Cuts the arrays to what was written and gives them their names."""
        for name, array in self.arrays.items():
            np.save(self.folder / f"{name}.npy", array[: self.used])
            (self.folder / f"{name}.all").unlink()


def _name(key: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:12]
