"""Reads the frozen arrays of clayhand, once for a process and with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

ARCHIVE = Path(__file__).with_name("clayhand.npz")


@cache
def read(path: Path = ARCHIVE) -> Mapping[str, np.ndarray]:
    """Every array of the archive by name, read-only."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    for array in arrays.values():
        array.flags.writeable = False
    return MappingProxyType(arrays)
