"""The tars of HOT3D-Clips: which belong to a split, and what lies in one of them."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.converters.release import read_json
from zoo.data.schema import BadSample

_SPLITS = "clip_splits.json"


@dataclass
class Clip:
    """A tar's members by frame, and what holds for all frames of one camera."""

    path: Path
    stream: str
    members: Mapping[str, bytes]
    betas: np.ndarray
    maps: dict[tuple, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    def json(self, frame: int, name: str, key: str) -> Any:
        """What `<frame>.<name>.json` holds; raises BadSample where that is not to be read."""
        try:
            return json.loads(self.members[f"{frame:06d}.{name}.json"])
        except KeyError:
            why = "; of test clips it is not published" if name == "hands" else ""
            raise BadSample(f"{name}.json is missing{why}", key=key, field=name) from None
        except ValueError:
            raise BadSample(f"{name} is not JSON", key=key, field=name) from None


def list_clips(source: Path, split: str) -> list[Path]:
    """The tars of a split, in the release's folders or all in one."""
    if tars := sorted(source.glob(f"{split}*/clip-*.tar")):
        return tars
    tars = sorted(source.glob("clip-*.tar")) or sorted(source.glob("*.tar"))
    listed = next((p for p in (source, source.parent) if (p / _SPLITS).is_file()), None)
    if listed is None:
        return tars
    told = read_json(listed / _SPLITS)
    wanted = {n for key, part in told.items() if key.startswith(split) for n in _numbers(part)}
    return [tar for tar in tars if (_numbers(tar.stem) or {None}) <= wanted]


def _numbers(told: Any) -> set[int]:
    """Every clip number in nested lists, objects and texts."""
    if isinstance(told, Mapping):
        return set().union(*map(_numbers, told.values()))
    if isinstance(told, list):
        return set().union(*map(_numbers, told))
    return {int(n) for n in re.findall(r"\d+", str(told))}


def streams_of(tar: Path) -> dict[str, int]:
    """Cameras of a clip, and how many pictures each has; none where the tar cannot be read."""
    found: dict[str, int] = {}
    try:
        with tarfile.open(tar) as file:
            for name in file.getnames():
                if ".image_" in name:
                    stream = name.partition(".image_")[2].rpartition(".")[0]
                    found[stream] = found.get(stream, 0) + 1
    except (tarfile.ReadError, EOFError):
        return found or {"?": 1}
    return dict(sorted(found.items()))


def open_clip(path: Path, stream: str) -> Clip:
    """One camera's pictures of a clip and all labels; raises BadSample for a damaged tar."""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as file:
            for member in file:
                if ".image_" not in member.name or f".image_{stream}." in member.name:
                    members[member.name] = file.extractfile(member).read()
        betas = json.loads(members["__hand_shapes.json__"])["mano"]
        return Clip(path, stream, members, np.asarray(betas, float).reshape(10))
    except (tarfile.ReadError, EOFError):
        reason = "the tar is cut off"
    except (KeyError, TypeError, ValueError, AttributeError):
        reason = "the shape of the hands is missing"
    raise BadSample(reason, shard=str(path), key=path.stem, field="tar")
