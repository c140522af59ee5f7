"""Reads the files others published as data: tensors come out, nothing they name is ever run."""

from __future__ import annotations

import collections
import pathlib
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct, scalar
from safetensors.torch import load_file

_PLAIN = (bool, bytes, complex, dict, float, int, list, set, str, tuple)
# What the pickles of torch and numpy name, under the module paths they have had.
_REAL: dict[tuple[str, str], Any] = {
    **{("builtins", kind.__name__): kind for kind in _PLAIN},
    **{("__builtin__", kind.__name__): kind for kind in _PLAIN},
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "Counter"): collections.Counter,
    ("collections", "defaultdict"): collections.defaultdict,
    ("_codecs", "encode"): lambda text, _encoding: text.encode("latin1"),  # bytes, protocol 2
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    **{
        (f"numpy.{core}.multiarray", function.__name__): function
        for core in ("core", "_core")
        for function in (_reconstruct, scalar)
    },
    **{("pathlib", name): pathlib.PurePosixPath for name in ("PosixPath", "PurePosixPath")},
}
# Libraries whose objects describe how a model was trained; they become inert dictionaries.
_DESCRIPTIONS = ("yacs", "omegaconf", "pytorch_lightning", "lightning", "lightning_fabric")

# Where Accelerate leaves a model in the folder of a state, and where `zoo weights` does.
_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")


class UnreadableCheckpoint(ValueError):
    """A file that holds no tensors this program can read without running anything."""


class Description(dict):
    """A config object of a library that need not be installed, as the data it was saved with."""

    def __new__(cls, *_args: Any) -> Description:
        return super().__new__(cls)

    def __init__(self, *_args: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read(file: str | Path, *, pickled_config: bool = False) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU: a safetensors file, or one written by `torch.save`.

    pickled_config: also read files that hold config objects of yacs, OmegaConf or Lightning beside
        their tensors; those come back as `Description`, and nothing of them is imported or run.
    Errors: UnreadableCheckpoint, naming the first object that would have to be run.
    """
    file = Path(file).expanduser()
    if not file.is_file():
        raise UnreadableCheckpoint(f"{file}: no such file.")
    try:
        if file.suffix == ".safetensors":
            return {"state_dict": load_file(file)}
        content = _read_torch(file, pickled_config)
    except UnreadableCheckpoint:
        raise
    except Exception as error:  # torch raises a different class for every way a file can be wrong
        reason = str(error).strip().split("\n")[0][:160]
        raise UnreadableCheckpoint(
            f"{file}: cut short after {file.stat().st_size} bytes, or no checkpoint at all "
            f"({reason}); copy it again."
        ) from error
    if not isinstance(content, dict):
        raise UnreadableCheckpoint(
            f"{file}: holds a {type(content).__name__} and no dictionary of tensors."
        )
    return content


def weights_file(path: str | Path) -> Path:
    """The file of weights a path means: itself, or the one in a folder that a program saved.

    Errors: UnreadableCheckpoint for a folder that holds none of the names programs use.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    for name in _FOLDER_FILES:
        if (path / name).is_file():
            return path / name
    raise UnreadableCheckpoint(
        f"{path}: a folder without weights; one holds {', '.join(_FOLDER_FILES)}."
    )


def state_of(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors by name in what `read` gave, whether they lie at its top or under a key."""
    state = content.get("state_dict", content)
    if not isinstance(state, dict):
        return {}
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def plain(value: Any) -> Any:
    """A config as nested dictionaries, lists and values, whatever library's object it was."""
    if isinstance(value, Description):
        state = getattr(value, "state", None)
        if isinstance(state, dict):  # OmegaConf keeps nodes in _content and values in _val
            for key in ("_content", "_val"):
                if key in state:
                    return plain(state[key])
        value = dict(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _read_torch(file: Path, pickled_config: bool) -> Any:
    is_zip = zipfile.is_zipfile(file)
    asks_for = _asked_for(file) if is_zip else []
    if not asks_for:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=is_zip)
    foreign = [name for name in asks_for if name.split(".")[0] not in (*_DESCRIPTIONS, "typing")]
    dangerous = [name for name in foreign if tuple(name.rsplit(".", 1)) not in _REAL]
    if dangerous:
        raise UnreadableCheckpoint(
            f"{file}: the pickle asks for {dangerous[0]}, which no checkpoint needs; nothing was "
            "run. Do not trust where it came from."
        )
    if not pickled_config:
        known = [name for name in asks_for if name not in foreign] or asks_for
        raise UnreadableCheckpoint(
            f"{file}: besides tensors the pickle holds objects ({', '.join(known[:3])}); "
            "nothing was run. Add --pickled-config to read them as plain data."
        )
    return torch.load(
        file, map_location="cpu", weights_only=False, pickle_module=_AS_DATA, mmap=True
    )


def _asked_for(file: Path) -> list[str]:
    """What a pickle names besides tensors and plain values, read without running it."""
    return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # A fresh subclass each time: a hostile file may spoil it without spoiling ours.
        if module.split(".")[0] in _DESCRIPTIONS or (module, name) == ("typing", "Any"):
            return type(name, (Description,), {})
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if (module, name) not in _REAL:
            raise UnreadableCheckpoint(f"the pickle asks for {module}.{name}; nothing was run.")
        return _REAL[module, name]


# What torch.load wants of a pickle module; it reads old, unzipped files with `load` alone.
_AS_DATA = SimpleNamespace(__name__="pickle_as_data", Unpickler=_Unpickler)
