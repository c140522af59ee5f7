"""Files that are either whole or not there: what every writer of results goes through."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np


def write_bytes(path: Path | str, content: bytes, *, overwrite: bool = False) -> Path:
    """The path, after `content` stands there completely: written beside it, then renamed.

    Raises:
        ValueError: when the file exists and may not be overwritten.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise ValueError(
            f"{path}: there already; name another folder (--out), or replace it (--overwrite)."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def write_png(path: Path | str, image: np.ndarray, *, overwrite: bool = False) -> Path:
    """The path of a PNG holding (h, w, 3) uint8 RGB.

    Raises:
        ValueError: when the file exists and may not be overwritten.
    """
    good, content = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    assert good, "a uint8 RGB array always encodes"
    return write_bytes(path, content.tobytes(), overwrite=overwrite)


def software_version() -> str:
    """Version of the installed program, or word that it runs from an uninstalled checkout."""
    try:
        return version("hand-mesh-zoo")
    except PackageNotFoundError:
        return "uninstalled checkout"
