"""Writes a rendered data set as shards that are the same for the same seed, however it is run."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from zoo.data.pictures import encode_depth, encode_jpeg
from zoo.data.schema import ClipSample
from zoo.data.schema_depth import told_unit
from zoo.data.shards import (
    ShardIndex,
    fingerprint,
    index_shard,
    remove_stale_parts,
    write_index,
    write_shard,
    write_whole,
)
from zoo.data.synthetic.appearance import draw_look
from zoo.data.synthetic.hand import PosableHand
from zoo.data.synthetic.labels import sample_of
from zoo.data.synthetic.props import draw_props
from zoo.data.synthetic.render import NUM_BACKGROUNDS, SPARE, Renderer
from zoo.data.synthetic.scene import draw_scene
from zoo.data.synthetic.sensor import sensed
from zoo.mano.procedural import PosePrior, load
from zoo.mano.procedural.archive import ARCHIVE

GENERATOR = "clayhand-render-1"  # changes whenever the same code and seed give other samples
DATASET = "dataset.json"
SHARD_PICTURES = 256
SPLITS = ("train", "val")
Depth = Literal["exact", "sensor"]


@cache
def generator() -> str:
    """What draws the samples: this code's version and the hand it draws, by its content.

    A cache of rendered hands belongs to one of these; another hand's labels would not fit.
    """
    return f"{GENERATOR}-{hashlib.sha256(ARCHIVE.read_bytes()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Recipe:
    """What decides every sample of a data set."""

    count: int
    image_size: int
    seed: int
    split: tuple[float, float]
    sequences: float
    clip_frames: int
    generator: str = field(default_factory=generator)
    depth: Depth | None = None

    def told(self) -> dict[str, Any]:
        """The entry of dataset.json; silent on depth where there is none, as it always was."""
        return {k: v for k, v in asdict(self).items() if k != "depth" or v is not None}


@dataclass(frozen=True)
class _Shard:
    """One shard to write: everything its samples depend on."""

    recipe: Recipe
    split: int
    number: int
    pictures: int

    @property
    def path(self) -> Path:
        return Path(SPLITS[self.split]) / f"{self.number:06d}.tar"


def write_dataset(
    folder: str | os.PathLike,
    *,
    count: int,
    image_size: int = 160,
    seed: int = 0,
    split: tuple[float, float] = (0.9, 0.1),
    sequences: float = 0.0,
    clip_frames: int = 8,
    depth: Depth | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> dict:
    """Shards `folder`/train/*.tar and `folder`/val/*.tar of rendered hands, and a dataset.json.

    The same seed gives the same samples whatever `jobs`. Shards that are already there are kept,
    so a killed run goes on where it stopped. Raises ValueError where the folder holds another set.

    count: pictures in both splits together. split: their shares, train then val.
    sequences: share of the pictures that belong to clips of `clip_frames` consecutive frames.
    depth: adds depth pictures, "exact" or as a "sensor" sees them; nothing else changes by it.
    progress: called with the number of pictures of each shard that is there.
    returns: what dataset.json says: recipe, counts, fingerprints.
    """
    recipe = Recipe(count, image_size, seed, tuple(split), sequences, clip_frames, depth=depth)
    _check(recipe)
    folder = Path(folder)
    _claim(folder, recipe)
    remove_stale_parts(folder)
    shards = list(_plan(recipe))
    missing = []
    for shard in shards:
        if not (folder / shard.path).is_file():
            missing.append(shard)
        elif progress:
            progress(shard.pictures)
    for shard in _run(folder, missing, jobs):
        if progress:
            progress(shard.pictures)
    return _finish(folder, recipe, shards)


def draw_sample(recipe: Recipe, split: int, shard: int, index: int, frames: int) -> ClipSample:
    """One sample of a data set, by where it stands; needs no other sample to be drawn."""
    origin = np.random.SeedSequence([recipe.seed, split, shard, index])
    rngs = (np.random.default_rng(child) for child in origin.spawn(3))
    of_labels, of_pictures, of_depth = rngs
    scene = draw_scene(of_labels, _hand(), _prior(), frames=frames, image_size=recipe.image_size)
    look = draw_look(of_pictures, backgrounds=NUM_BACKGROUNDS, spare=SPARE)
    renderer = _renderer(recipe.image_size, recipe.seed)
    props = draw_props(of_pictures, scene, look, renderer.body, _hand(), _prior())
    pictures = [
        encode_jpeg(renderer.picture(scene, t, look, props, of_pictures), quality=look.quality)
        for t in range(frames)
    ]
    name = SPLITS[split]
    key = f"synthetic/{name}/{shard:06d}/{index:04d}"
    sample = sample_of(scene, pictures, key=key, split=name, image_size=recipe.image_size)
    if recipe.depth is None:
        return sample
    maps = [renderer.depth(scene, t, look, props) for t in range(frames)]
    if recipe.depth == "sensor":
        maps = [sensed(depth, of_depth) for depth in maps]
    depths = tuple(encode_depth(depth) for depth in maps)
    return replace(sample, meta={**sample.meta, **told_unit()}, depths=depths)


def _write(folder: Path, shard: _Shard) -> _Shard:
    cv2.setNumThreads(1)
    recipe = shard.recipe
    clips = int(recipe.sequences * shard.pictures / recipe.clip_frames + 1e-9)
    singles = shard.pictures - clips * recipe.clip_frames
    lengths = np.array([recipe.clip_frames] * clips + [1] * singles)
    order = np.random.default_rng([recipe.seed, shard.split, shard.number])
    samples = (
        draw_sample(recipe, shard.split, shard.number, index, int(frames))
        for index, frames in enumerate(order.permutation(lengths))
    )
    write_shard(folder / shard.path, samples)
    return shard


def _run(folder: Path, shards: list[_Shard], jobs: int) -> Iterator[_Shard]:
    """Shards as they are done."""
    if jobs <= 1 or len(shards) <= 1:
        yield from (_write(folder, shard) for shard in shards)
        return
    first = shards[0]
    draw_sample(first.recipe, first.split, first.number, 0, 1)  # numba compiles once, not in each
    with ProcessPoolExecutor(min(jobs, len(shards)), mp_context=_context()) as pool:
        for done in as_completed([pool.submit(_write, folder, shard) for shard in shards]):
            yield done.result()


def _context() -> multiprocessing.context.BaseContext:
    """A way to start processes: never a fork of this one, in which torch's threads may hold locks.

    Where there is a fork server, it imports what rendering needs once for all.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _plan(recipe: Recipe) -> Iterator[_Shard]:
    val = round(recipe.count * recipe.split[1] / sum(recipe.split))
    for split, pictures in enumerate((recipe.count - val, val)):
        for number, first in enumerate(range(0, pictures, SHARD_PICTURES)):
            yield _Shard(recipe, split, number, min(SHARD_PICTURES, pictures - first))


def _claim(folder: Path, recipe: Recipe) -> None:
    """Leave the recipe in the folder, or make sure that it is the one already there."""
    path = folder / DATASET
    if path.is_file():
        found = json.loads(path.read_text()).get("recipe") or {}
        wanted = json.loads(json.dumps(recipe.told()))
        if found != wanted:
            other = [k for k in wanted | found if found.get(k) != wanted.get(k)]
            raise ValueError(
                f"{folder} already holds a data set with another {', '.join(other)}; "
                "choose another folder, or delete it to write it anew."
            )
    elif any(folder.glob("*/*.tar")):
        raise ValueError(f"{folder} holds shards without a {DATASET}; choose an empty folder.")
    else:
        _leave(folder, {"recipe": recipe.told(), "complete": False})


def _finish(folder: Path, recipe: Recipe, shards: list[_Shard]) -> dict:
    splits = {}
    for number, name in enumerate(SPLITS):
        mine = [folder / shard.path for shard in shards if shard.split == number]
        if not mine:
            continue
        entries: dict[str, ShardIndex] = {path.name: index_shard(str(path)) for path in mine}
        write_index(folder / name, entries)
        splits[name] = {
            "shards": len(mine),
            "samples": sum(entry.samples for entry in entries.values()),
            "frames": sum(entry.frames for entry in entries.values()),
            "fingerprint": fingerprint([str(path) for path in mine]),
        }
    told = {"schema": "handclip-1", "recipe": recipe.told(), "complete": True, "splits": splits}
    told["command"] = _command(recipe)
    _leave(folder, told)
    return told


def _leave(folder: Path, told: dict) -> None:
    write_whole(folder / DATASET, json.dumps(told, indent=1).encode())


def _command(recipe: Recipe) -> str:
    train, val = recipe.split
    clips = f" --sequences {recipe.sequences} --clip-frames {recipe.clip_frames}"
    depth = f" --depth {recipe.depth}" if recipe.depth else ""
    return (
        f"zoo data synth FOLDER --count {recipe.count} --image-size {recipe.image_size} "
        f"--seed {recipe.seed} --split {train} {val}{clips if recipe.sequences else ''}{depth}"
    )


def _check(recipe: Recipe) -> None:
    if recipe.count < 1:
        raise ValueError(f"count is {recipe.count}; a data set needs at least one picture.")
    if recipe.depth not in (None, "exact", "sensor"):
        raise ValueError(f"depth is {recipe.depth!r}; it is exact, sensor or None for no depth.")
    if recipe.image_size < 32:
        raise ValueError(f"image_size is {recipe.image_size} px; hands need 32 px or more.")
    if min(recipe.split) < 0 or not sum(recipe.split):
        raise ValueError(f"split is {recipe.split}; pass two shares such as 0.9 and 0.1.")
    if not 0 <= recipe.sequences <= 1 or recipe.clip_frames < 2:
        raise ValueError(
            f"sequences is {recipe.sequences} of clips of {recipe.clip_frames} frames; "
            "pass a share from 0 to 1 and at least 2 frames."
        )


@cache
def _hand() -> PosableHand:
    return PosableHand(load())


@cache
def _prior() -> PosePrior:
    return PosePrior.load()


@cache
def _renderer(image_size: int, seed: int) -> Renderer:
    return Renderer(image_size=image_size, seed=seed)
