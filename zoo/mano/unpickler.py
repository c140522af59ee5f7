"""Reads pickles and npz files as data: arrays come out, nothing they name is ever run."""

from __future__ import annotations

import collections
import io
import math
import pickle
import zipfile
from os import PathLike
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct, scalar

# What numpy's own pickles name, under the module paths of numpy 1 and 2.
_NUMPY = {"_reconstruct": _reconstruct, "scalar": scalar, "ndarray": np.ndarray, "dtype": np.dtype}
_NUMPY_MODULES = {"numpy", "numpy.core.multiarray", "numpy._core.multiarray"}
# A few kB may claim any size; no hand, label file or statistics is near these.
_MOST_BYTES, _MOST_ENTRIES = 4 << 30, 10_000_000
_SPARSE = {"csc_matrix", "csr_matrix", "csc_array", "csr_array"}


class BlockedPickle(ValueError):
    """The pickle names something that is no data; its text is the name."""


def read_pickle(content: bytes) -> Any:
    """What a MANO pickle holds, with chumpy nodes and sparse matrices turned into arrays.

    Errors: BlockedPickle naming the refused class; pickle's own errors on damaged content.
    """
    return _resolve(_HandUnpickler(io.BytesIO(content), encoding="latin1").load())


def read_arrays(content: bytes) -> Any:
    """What a pickle of numpy arrays, numbers, texts and plain containers holds.

    Errors: BlockedPickle naming the refused class; pickle's own errors on damaged content.
    """
    return _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()


def read_npz(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """Every array of an npz; those of Python objects are read by `read_arrays`.

    Errors: BlockedPickle naming the refused class; ValueError, OSError or zipfile.BadZipFile on a
    damaged file, or one that would unpack to more than 4 GiB.
    """
    with zipfile.ZipFile(path) as archive:
        if (size := sum(entry.file_size for entry in archive.infolist())) > _MOST_BYTES:
            raise ValueError(f"unpacked it would have {size >> 30} GiB, which none of these has")
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name.removesuffix(".npy"): _read_npy(archive.read(name)) for name in members}


def _read_npy(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    old = version == (1, 0)
    header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    if not dtype.hasobject:
        return np.load(io.BytesIO(content), allow_pickle=False)
    found = read_arrays(stream.read())
    if not isinstance(found, np.ndarray) or found.shape != shape:
        raise ValueError("an array of objects is not what its header says")
    return found


class _Node:
    """A chumpy expression or a scipy matrix, as the attributes it was saved with."""

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)


class _Chumpy(_Node):
    """chumpy.ch.Ch holds an array `x`; chumpy.reordering.Select picks entries of another node."""

    def array(self) -> np.ndarray:
        saved = self.__dict__
        if "x" in saved:
            return np.asarray(_resolve(saved["x"]))
        if {"a", "idxs"} <= saved.keys():
            picked = np.asarray(_resolve(saved["a"])).ravel()[np.asarray(saved["idxs"])]
            return picked.reshape(saved.get("preferred_shape", picked.shape))
        raise BlockedPickle(f"an unknown chumpy node with fields {sorted(saved)}")


class _Sparse(_Node):
    """A compressed scipy matrix; columns are the long axis unless the class says rows."""

    by_rows = False

    def array(self) -> np.ndarray:
        saved = self.__dict__
        shape = tuple(int(n) for n in saved.get("_shape", saved.get("shape")))
        starts, entries = np.asarray(saved["indptr"]), np.asarray(saved["data"])
        if math.prod(shape) > _MOST_ENTRIES or len(starts) == 0 or starts[-1] != len(entries):
            raise ValueError(f"a sparse matrix of shape {shape} is not what its entries say")
        major = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        dense = np.zeros(shape if self.by_rows else shape[::-1])
        np.add.at(dense, (major, np.asarray(saved["indices"])), entries)
        return dense if self.by_rows else dense.T


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in _NUMPY_MODULES and name in _NUMPY:
            return _NUMPY[name]
        if name == "_frombuffer" and module in ("numpy.core.numeric", "numpy._core.numeric"):
            # Fresh functions each time: a hostile file may spoil them but not ours.
            return lambda *saved: _array_of_bytes(*saved)
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 spells bytes
            return lambda text, _encoding: text.encode("latin1")
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        raise BlockedPickle(f"{module}.{name}")


class _HandUnpickler(_ArrayUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Fresh classes each time, as above.
        if module.split(".")[0] == "chumpy":
            return type(name, (_Chumpy,), {})
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return type(name, (_Sparse,), {"by_rows": name.startswith("csr")})
        if name == "_reconstructor" and module in ("copyreg", "copy_reg"):
            return lambda node, _base, _state: _new_node(node)
        if name == "object" and module in ("builtins", "__builtin__"):
            return object
        return super().find_class(module, name)


def _array_of_bytes(content, dtype, shape, order, axes=None) -> np.ndarray:
    """How protocol 5 spells an array; an array of objects cannot be made this way."""
    flat = np.frombuffer(content, np.dtype(dtype))
    return flat.reshape(shape, order=order) if axes is None else flat.reshape(shape).transpose(axes)


def _new_node(node: Any) -> _Node:
    if not (isinstance(node, type) and issubclass(node, _Node)):
        raise BlockedPickle(f"an object of {node!r}")
    return node.__new__(node)


def _resolve(value: Any) -> Any:
    if isinstance(value, (_Chumpy, _Sparse)):
        return value.array()
    if isinstance(value, dict):
        return {key: _resolve(item) for key, item in value.items()}
    return value
