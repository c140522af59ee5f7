"""What a run of the bug bench has found so far, on disk, so that one that stopped goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent
SOURCES = ("benchmarks", "configs", "registry", "tests/bugs", "zoo")


class Records:
    """One JSON file for each fault and each healthy config looked at, under a folder.

    A record made by other code counts for nothing: what it says may no longer be so. Without a
    folder nothing is kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def recall(self, kind: str, name: str) -> dict[str, Any] | None:
        """What this code found before, or None."""
        if self.folder is None:
            return None
        try:
            record = json.loads(self._file(kind, name).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return record if record.get("code") == fingerprint() else None

    def keep(self, kind: str, name: str, found: Mapping[str, Any]) -> None:
        """Writes a record, whole or not at all."""
        if self.folder is None:
            return
        file = self._file(kind, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".part")
        record = {**found, "code": fingerprint()}
        unfinished.write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(unfinished, file)

    def _file(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{name}.json"


@cache
def fingerprint() -> str:
    """A name for all the code that decides what the bench finds, as it is on disk."""
    files = sorted(file for part in SOURCES for file in (ROOT / part).rglob("*.py"))
    return digest([*files], extra=(torch.__version__,))


def digest(files: Iterable[Path], *, extra: Iterable[str] = ()) -> str:
    """Twelve digits that change when a file or its place does."""
    total = hashlib.sha256("\n".join(extra).encode())
    for file in files:
        total.update(str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file).encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:12]
