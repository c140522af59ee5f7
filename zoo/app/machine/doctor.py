"""`zoo doctor`: what this machine has, what is missing, and what brings it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from zoo.app.data.shards import cache_folder
from zoo.app.machine.sizing import weights_at_hand
from zoo.mano import files


@dataclass(frozen=True)
class Finding:
    """One row: a thing, whether it is there, what was found and what to do."""

    name: str
    state: str
    found: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Every row, cheapest first; nothing is downloaded or changed."""
    yield _packages()
    yield _device()
    yield _bf16()
    yield _mano()
    yield _pretrained()
    yield _shards()
    yield _disk()
    yield from _extras()


def _packages() -> Finding:
    names = ("torch", "transformers", "mmengine", "smplx", "webdataset", "kornia", "timm")
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", "missing", ", ".join(missing), "pip install -e .")
    return Finding("packages", "ok", ", ".join(found))


def _device() -> Finding:
    cores = f"{len(os.sched_getaffinity(0))} CPU cores"
    if not torch.cuda.is_available():
        return Finding("device", "missing", f"no CUDA device, {cores}", "tiny trains on the CPU")
    name = torch.cuda.get_device_name()
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Finding(
        "device", "ok", f"{torch.cuda.device_count()} x {name} ({memory:.0f} GiB), {cores}"
    )


def _bf16() -> Finding:
    if torch.cuda.is_available():
        ready = torch.cuda.is_bf16_supported()
        return Finding("bf16", "ok" if ready else "missing", "on the CUDA device")
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    fast = "avx512_bf16" in flags or "amx_bf16" in flags
    found = "in hardware" if fast else "emulated by this CPU"
    return Finding("bf16", "ok" if fast else "missing", found, "" if fast else "--precision fp32")


def _mano() -> Finding:
    try:
        path = files.find("mano")
    except ValueError:
        advice = "from mano.is.tue.mpg.de, then $MANO_DIR; without it clayhand is used"
        return Finding("MANO file", "missing", "MANO_RIGHT.pkl", advice)
    return Finding("MANO file", "ok", str(path))


def _pretrained() -> Finding:
    name = "facebook/dinov2-large"
    if weights_at_hand(name):
        return Finding("pretrained", "ok", name)
    return Finding("pretrained", "missing", name, f"hf download {name}; tiny needs none")


def _shards() -> Finding:
    found = sorted(cache_folder().glob("synthetic-*/dataset.json"))
    if not found:
        return Finding("shards", "missing", str(cache_folder()), "zoo train renders them once")
    return Finding("shards", "ok", ", ".join(path.parent.name for path in found))


def _disk() -> Finding:
    place = cache_folder()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    return Finding("disk", "ok" if free > 5 else "missing", f"{free:.0f} GiB free for the cache")


def _extras() -> Iterator[Finding]:
    for extra, module in (("track", "aim"), ("export", "onnx"), ("detect", "onnxruntime")):
        if importlib.util.find_spec(module) is None:
            yield Finding(f"extra {extra}", "missing", module, f"pip install -e '.[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "ok", module)
