"""Checkpoints that are never half-written, resume exactly and load without executing anything.

mmengine's own file holds pickled HistoryBuffers and numpy state, which torch's safe loader
refuses; here everything but tensors and plain Python is translated before it is saved, so
`weights_only=True` reads every checkpoint we write.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.fileio import LocalBackend
from mmengine.fileio.backends import register_backend
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from safetensors.torch import load_file

ATOMIC = {"backend": "atomic"}
CONVERTED = "model.safetensors"  # what `zoo weights convert` calls its weights


class CheckpointNotWritten(OSError):
    """The disk refused a checkpoint; the ones before it are intact."""


class CheckpointUnreadable(ValueError):
    """A file that is not a checkpoint this program can load safely."""


class AtomicBackend(LocalBackend):
    """mmengine's local files, written beside their place and renamed into it."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        target = Path(filepath)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        try:
            with open(partial, "wb") as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise CheckpointNotWritten(
                f"{target}: the checkpoint ({len(obj) / 1e6:.0f} MB) could not be written: "
                f"{error.strerror or error}. Earlier checkpoints are intact; make room and go on "
                f"with --resume."
            ) from error


register_backend("atomic", AtomicBackend, force=True)


class ExactResume(Hook):
    """Puts all random state into the checkpoint and back, and keeps validation out of it.

    Order matters: on resume mmengine advances the data loader, which draws from the global
    generator, so the state is restored at the first iteration and not before.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None
        self._before_validation: dict[str, Any] | None = None

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["random_state"] = random_state()
        checkpoint["message_hub"] = _plain_message_hub(checkpoint["message_hub"])

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self._loaded = checkpoint.get("random_state")
        if "message_hub" in checkpoint:
            checkpoint["message_hub"] = _message_hub_from_plain(checkpoint["message_hub"])

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        if self._loaded is not None:
            restore_random_state(self._loaded)
            self._loaded = None

    def before_val_epoch(self, runner) -> None:
        self._before_validation = random_state()

    def after_val_epoch(self, runner, metrics=None) -> None:
        if self._before_validation is not None:
            restore_random_state(self._before_validation)
            self._before_validation = None


def random_state() -> dict[str, Any]:
    """Every global generator's state as tensors and plain numbers."""
    kind, keys, position, has_gauss, cached = np.random.get_state()
    version, internal, gauss = random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "python": [version, list(internal), gauss],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Sets what `random_state` returned."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


def load(path: str | Path) -> dict[str, Any]:
    """A checkpoint's content on the CPU; executes nothing from the file.

    Of a safetensors file that is its weights alone, as `state_dict`.

    Raises CheckpointUnreadable for a missing, truncated or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        near = sorted(str(p) for p in path.parent.glob("*.pth"))
        hint = (
            f"Checkpoints there: {', '.join(near)}." if near else "No checkpoint is in its folder."
        )
        raise CheckpointUnreadable(f"{path}: no such file. {hint}")
    try:
        if path.suffix == ".safetensors":
            return {"state_dict": load_file(path)}
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different class for every way a file can be wrong
        reason = str(error).strip().split("\n")[0][:160]
        raise CheckpointUnreadable(
            f"{path} is not a checkpoint that loads safely ({reason}). Give a checkpoint written "
            f"by `zoo train`."
        ) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointUnreadable(
            f"{path} holds no 'state_dict': it was not written by zoo train."
        )
    return content


def latest(folder: str | Path) -> tuple[Path, int] | None:
    """The newest complete checkpoint of a run and its step, or None.

    Read from the file names: a kill can empty mmengine's `last_checkpoint` note, never a
    checkpoint, which appears under its name only when it is whole.
    """
    steps = {}
    for path in Path(folder).glob("iter_*.pth"):
        match = re.fullmatch(r"iter_(\d+)\.pth", path.name)
        if match:
            steps[int(match[1])] = path
    return (steps[max(steps)], max(steps)) if steps else None


def _plain_message_hub(hub: dict[str, Any]) -> dict[str, Any]:
    scalars = {}
    for name, buffer in hub["log_scalars"].items():
        history, counts = buffer.data
        scalars[name] = [torch.from_numpy(np.array(history)), torch.from_numpy(np.array(counts))]
    info = {name: _plain(value) for name, value in hub["runtime_info"].items() if name != "cfg"}
    return {"log_scalars": scalars, "runtime_info": info, "resumed_keys": dict(hub["resumed_keys"])}


def _message_hub_from_plain(hub: dict[str, Any]) -> dict[str, Any]:
    scalars = {
        name: HistoryBuffer(history.cpu().numpy(), counts.cpu().numpy())
        for name, (history, counts) in hub["log_scalars"].items()
    }
    keys = {
        k: v for k, v in hub["resumed_keys"].items() if k in scalars or k in hub["runtime_info"]
    }
    return {"log_scalars": scalars, "runtime_info": hub["runtime_info"], "resumed_keys": keys}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
