"""Whether a stream's memory grows with its data: over few shards and over many, in processes apart.

python -m zoo.app.data.stream_memory
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.data.shards import index_shard, resolve_shards, write_index
from zoo.data.streams import EvalStream, StreamLoader, TrainStream
from zoo.data.synthetic.write import write_dataset

BATCH = 16


def measure(
    *,
    shards: Sequence[int] = (10, 1000),
    shard: Path | None = None,
    batches: int = 200,
    workers: int = 2,
    repeats: int = 3,
) -> dict[str, Any]:
    """Resident MB of a loader's processes after `batches` batches, by the number of shards.

    Every shard is a link to the same one, which the stream cannot know. Each figure is the median
    of `repeats` processes that read nothing else.

    shard: the one; None renders 128 hands of 96 px.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        if shard is None:
            write_dataset(path / "one", count=128, image_size=96, seed=0, split=(1, 0))
            (shard,) = map(Path, resolve_shards(path / "one" / "train"))
        entry = index_shard(str(shard))
        setting = {"hands_a_shard": entry.frames, "shard_mb": entry.bytes / 1e6}
        setting |= {"batches": batches, "batch": BATCH, "workers": workers}
        for count in shards:
            (path / str(count)).mkdir()
            names = [f"{number:06d}.tar" for number in range(count)]
            for name in names:
                os.symlink(shard.resolve(), path / str(count) / name)
            write_index(path / str(count), dict.fromkeys(names, entry))
        megabytes = {
            kind: {
                count: statistics.median(
                    _apart(path / str(count), kind, batches=batches, workers=workers)
                    for _ in range(repeats)
                )
                for count in shards
            }
            for kind in ("train", "eval")
        }
    few, many = min(shards), max(shards)
    growth = {kind: found[many] / found[few] - 1 for kind, found in megabytes.items()}
    return {**setting, "mb": megabytes, "growth": growth}


def _apart(folder: Path, kind: str, *, batches: int, workers: int) -> float:
    """`read` in a process of its own."""
    asked = ["--read", str(folder), "--kind", kind, "--batches", batches, "--workers", workers]
    command = [sys.executable, "-m", "zoo.app.data.stream_memory", *map(str, asked)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def read(folder: Path, kind: str, *, batches: int, workers: int) -> float:
    """MB of this process and its workers with the last of so many batches still in hand."""
    stream = (
        TrainStream(folder, batch_size=BATCH, seed=0)
        if kind == "train"
        else EvalStream(folder, batch_size=BATCH)
    )
    loader = StreamLoader(stream, steps=batches, num_workers=workers)
    for number, _ in enumerate(itertools.islice(loader, batches), 1):
        if number == batches or number == len(loader):
            return resident_mb()
    raise ValueError(f"{folder} holds too few hands for a batch of {BATCH}.")


def resident_mb() -> float:
    """Memory of this process and those it started, MB (Linux); libraries are not counted."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return sum(_share(process) for process in ("self", *children)) / 1e3


def _share(process: str) -> float:
    """kB; what a worker has in common with its parent is divided among them.

    Pages of files are left out: other programs on the machine share those, and change the share.
    """
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    sizes = [float(x.split()[1]) for x in lines if x.startswith(("Pss_Anon:", "Pss_Shmem:"))]
    if len(sizes) != 2:
        raise ValueError(f"/proc/{process}/smaps_rollup tells no shares; this needs Linux 5.1.")
    return sum(sizes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--shard", type=Path, help="a tar of the zoo's; else one is rendered")
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="train", help=argparse.SUPPRESS)
    asked = vars(parser.parse_args(arguments))
    folder, kind = asked.pop("read"), asked.pop("kind")
    if folder is not None:
        print(read(folder, kind, batches=asked["batches"], workers=asked["workers"]))
        return
    print(json.dumps(measure(**asked), indent=1))


if __name__ == "__main__":
    main()
