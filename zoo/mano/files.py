"""Opens a hand model from disk: the official pickle, its npz relatives, or our own archive."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contracts import HandAsset
from zoo.mano.procedural import NAME as CLAYHAND
from zoo.mano.procedural.archive import ARCHIVE
from zoo.mano.topology import PARENTS
from zoo.mano.unpickler import BlockedPickle, read_npz, read_pickle

GET_IT = (
    "Register at https://mano.is.tue.mpg.de, download 'Models & Code' and give the file "
    "models/MANO_RIGHT.pkl in it."
)
_ENVIRONMENT = "MANO_DIR"
_CACHE = Path("~/.cache/zoo/mano")
_FOLDERS = ("", "models", "mano", "mano_v1_2/models")
_FILE_NAMES = ("MANO_RIGHT.pkl", "MANO_RIGHT.npz", "mano.npz")

# HandAsset field -> (name in MANO's files, shape).
_FIELDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "v_template": ("v_template", (778, 3)),
    "faces": ("f", (1538, 3)),
    "weights": ("weights", (778, 16)),
    "posedirs": ("posedirs", (778, 3, 135)),
    "shapedirs": ("shapedirs", (778, 3, 10)),
    "joint_regressor": ("J_regressor", (16, 778)),
    "parents": ("kintree_table", (16,)),
    "hands_mean": ("hands_mean", (45,)),
    "hands_components": ("hands_components", (45, 45)),
}
_INTEGER = {"faces", "parents"}


class WrongHandFile(ValueError):
    """A file that is not the right hand of MANO's layout; says what it is and what to do."""


def find(name: str = "mano", folder: str | Path | None = None) -> Path:
    """The file of a hand: where the caller says, else in $MANO_DIR, else in ~/.cache/zoo/mano.

    name: "mano", or "clayhand" for the hand this package brings.
    folder: a file, or a folder that holds MANO_RIGHT.pkl as the official archive lays it out.
    Errors: WrongHandFile listing every place that was searched.
    """
    if name == CLAYHAND:
        return ARCHIVE
    if name != "mano":
        raise WrongHandFile(f"No hand is called {name!r}; known are 'mano' and {CLAYHAND!r}.")
    searched = list(_places(folder))
    for place in searched:
        for file in [place, *(place / sub / file for sub in _FOLDERS for file in _FILE_NAMES)]:
            if file.is_file():
                return file
    raise WrongHandFile(
        f"No MANO_RIGHT.pkl in {', '.join(map(str, searched))}. {GET_IT} Put it into {_CACHE}, "
        f"or set ${_ENVIRONMENT} to its folder; without a licence, use {CLAYHAND!r}."
    )


def _places(folder: str | Path | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder).expanduser()
        return  # a place given by name is never silently replaced by another
    if os.environ.get(_ENVIRONMENT):
        yield Path(os.environ[_ENVIRONMENT]).expanduser()
    yield _CACHE.expanduser()


def load(path: str | Path) -> HandAsset:
    """The right hand a file holds, checked; nothing the file names is executed.

    path: MANO_RIGHT.pkl (chumpy is not needed), the same arrays as npz in smplx's names, or an
        archive written by `save`.
    Errors: WrongHandFile saying what was found and what to do.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WrongHandFile(f"{path}: no such file. {GET_IT}")
    entries = _read_npz(path) if zipfile.is_zipfile(path) else _read_pickle(path)
    arrays = _fields(path, entries)
    _refuse_left(path, arrays)
    name = str(entries["name"]) if "name" in entries else "mano"
    return HandAsset(name=name, **arrays)


def save(asset: HandAsset, path: str | Path) -> None:
    """Writes a hand as an archive that `load` reads without any unpickling.

    path: ends in ".npz". A licensed hand stays licensed in this form.
    """
    arrays = {field: getattr(asset, field) for field in _FIELDS}
    np.savez_compressed(Path(path), name=np.array(asset.name), **arrays)


def hand_of_zeros() -> HandAsset:
    """A hand all of whose points stay at its origin: what UTNet goes on with without a hand."""
    arrays = _fields(ARCHIVE, _read_npz(ARCHIVE))
    size = {"v_template": 0.0, "posedirs": 0.0, "shapedirs": 0.0}
    return HandAsset(
        name="zeros", **{name: array * size.get(name, 1) for name, array in arrays.items()}
    )


def _read_npz(path: Path) -> Mapping[str, Any]:
    try:
        return read_npz(path)
    except BlockedPickle as error:
        raise WrongHandFile(
            f"{path}: a pickle in it asks for {error}, which no hand needs; nothing was run."
        ) from error
    except ValueError as error:
        raise WrongHandFile(f"{path}: not an npz of arrays ({error}). {GET_IT}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise WrongHandFile(f"{path}: a damaged npz ({error}); copy it again.") from error


def _read_pickle(path: Path) -> Mapping[str, Any]:
    try:
        entries = read_pickle(path.read_bytes())
    except BlockedPickle as error:
        raise WrongHandFile(
            f"{path}: the pickle asks for {error}, which no MANO file needs; nothing was run. "
            f"{GET_IT}"
        ) from error
    except Exception as error:  # a damaged pickle fails in as many ways as it has bytes
        raise WrongHandFile(
            f"{path}: not a readable pickle, or cut short after {path.stat().st_size} bytes "
            f"({type(error).__name__}: {error}). {GET_IT}"
        ) from error
    if not isinstance(entries, dict):
        raise WrongHandFile(
            f"{path}: the pickle holds a {type(entries).__name__}, not MANO's dictionary. {GET_IT}"
        )
    return entries


def _fields(path: Path, entries: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The asset's arrays, found under either spelling and checked against MANO's shapes."""
    arrays = {}
    for field, (official, shape) in _FIELDS.items():
        key = field if field in entries else official
        if key not in entries:
            raise WrongHandFile(
                f"{path}: has no {official!r} (it holds {', '.join(sorted(map(str, entries)))})"
                f"{_guess(entries)}. {GET_IT}"
            )
        array = np.asarray(entries[key])
        array = array[0] if key == "kintree_table" and array.ndim == 2 else array
        if array.shape != shape:
            raise WrongHandFile(
                f"{path}: {key!r} has shape {array.shape}, a MANO hand has {shape}"
                f"{_guess(entries)}. {GET_IT}"
            )
        arrays[field] = array.astype(np.int64 if field in _INTEGER else np.float64)
    arrays["parents"][0] = -1  # files say 4294967295 for "none"
    _refuse_nonsense(path, arrays)
    return arrays


def _guess(entries: Mapping[str, Any]) -> str:
    """What the file probably is, from its vertex count."""
    known = {6890: "an SMPL or SMPL+H body", 10475: "an SMPL-X body", 5023: "a FLAME head"}
    count = len(np.atleast_1d(np.asarray(entries.get("v_template", ()), dtype=object)))
    return f": this is {known[count]}" if count in known else ""


def _refuse_nonsense(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    found = None
    if tuple(arrays["parents"]) != PARENTS:
        found = f"joints hang on {arrays['parents'].tolist()}, MANO's on {list(PARENTS)}"
    elif not all(np.isfinite(array).all() for array in arrays.values()):
        found = "an array holds numbers that are not finite"
    elif np.abs(arrays["weights"].sum(1) - 1).max() > 1e-3:
        found = "skinning weights do not sum to 1"
    elif arrays["faces"].min() < 0 or arrays["faces"].max() >= 778:
        found = "a face names a vertex that is not there"
    if found:
        raise WrongHandFile(f"{path}: {found}. {GET_IT}")


def _refuse_left(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    joints = arrays["joint_regressor"] @ arrays["v_template"]
    if joints[4, 0] > joints[0, 0]:  # a right hand's middle finger points along -x
        raise WrongHandFile(
            f"{path}: this is the left hand. The zoo models right hands only and mirrors left "
            "pictures; give MANO_RIGHT.pkl, which lies beside it."
        )
