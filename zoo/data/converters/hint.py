"""HInt: hands in internet and first-person films, keypoints with their occlusion, 2D alone.

Source of the layout: the data set's documentation (Pavlakos et al., CVPR 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.data.converters.hands import View, blank, clip_of, put_box
from zoo.data.converters.release import Release, Rows, box_around, describe, read_json, read_sized
from zoo.data.pictures import SUFFIXES
from zoo.data.schema import BadSample, ClipSample

OFFICIAL = {
    "TRAIN_newdays_img": 9_666,
    "TRAIN_epick_img": 2_780,
    "TRAIN_ego4d_img": 11_652,
    "VAL_newdays_img": 550,
    "VAL_epick_img": 625,
    "VAL_ego4d_img": 514,
    "VAL_ego4d_seq": 2_320,
    "TEST_newdays_img": 1_754,
    "TEST_epick_img": 1_906,
    "TEST_ego4d_img": 1_714,
    "TEST_ego4d_seq": 6_953,
}
RELEASE = Release(
    dataset="hint",
    title="HInt",
    home="https://github.com/ddshan/hint",
    license="labels-mit-pictures-of-their-sources",
    terms="Licence: labels MIT; pictures under Hands23, EPIC-KITCHENS VISOR and Ego4D terms.",
    citation="Pavlakos et al., Reconstructing Hands in 3D with Transformers, CVPR 2024.",
)
SIDES = {"l": "left", "r": "right"}
_PARTS = ("train", "val", "test")


class HInt:
    """Converter of HInt: a sample a picture, one hand, T = 1.

    The side is told by the file's name alone. Keypoints that are not in the picture carry no
    label; occluded ones carry one and are called so. There is no camera, no depth and no MANO.
    `train`, `val` and `test` take every folder of that part that is there.
    """

    release = RELEASE
    splits = (*_PARTS, *OFFICIAL)
    aliases: ClassVar[Mapping[str, str]] = {}

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every picture with an annotation beside it.

        source: the folder that holds `TEST_newdays_img` and the like, itself or in a folder of it
            (`HInt_annotation_partial`), or one of them.

        Raises:
            ValueError: where no folder of the split is there.
        """
        wanted = [
            name for name in OFFICIAL if name == split or name.lower().startswith(f"{split}_")
        ]
        folders = [folder for name in wanted for folder in _places(source, name)]
        if not folders:
            raise ValueError(f"{source} holds none of {', '.join(wanted)}; unpack HInt there.")
        files = [file for folder in folders for file in sorted(folder.glob("*.json"))]

        def make(file: Path) -> ClipSample:
            return _sample(source, file, split)

        official = sum(OFFICIAL[name] for name in wanted)
        return Rows.one_each(files, make, shard=str(source), official=official)


def _places(source: Path, name: str) -> list[Path]:
    """Where a folder of the release may have been unpacked: at most one."""
    here = [source] if source.name == name else [source / name, *sorted(source.glob(f"*/{name}"))]
    return [folder for folder in here if folder.is_dir()][:1]


def _sample(source: Path, file: Path, split: str) -> ClipSample:
    folder, stem = file.parent.name, file.stem
    key = f"hint/{split}/{folder}/{stem.replace('.', '-')}"
    side = SIDES.get(stem.rpartition("_")[2])
    if side is None:
        raise BadSample("the file's name ends in neither _l nor _r", key=key, field="side")
    beside = [file.with_name(f"{stem}.{suffix}") for suffix in SUFFIXES]
    path = next((path for path in beside if path.is_file()), beside[0])
    (picture, size), arrays = read_sized(path, key=key), blank()
    bbox = _write(arrays, file, size, key)
    name = f"{folder}/{path.name}"
    meta = describe(
        RELEASE,
        split=split,
        hands=[side],
        picture=(name, *size),
        sequence_id=stem,
        camera_id=folder,
        source_take=f"{folder}/{stem}",
        bbox=bbox,
        kp3d={"origin": None, "tips": None},
    )
    return clip_of([View(0, arrays, picture, name, size)], key=key, meta=meta)


def _write(
    arrays: Mapping[str, np.ndarray], file: Path, size: tuple[int, int], key: str
) -> dict[str, Any]:
    """The labels of the one hand; returns what kind of box was found."""
    try:
        (entry,) = read_json(file)
        points = np.asarray(entry["keypoints"], float)[:, :2].reshape(21, 2)
        exists = np.asarray(entry.get("existence", np.ones(21))).reshape(21) > 0
        hidden = np.asarray(entry.get("occlusion", np.zeros(21))).reshape(21) > 0
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise BadSample("the annotation is not of one hand", key=key, field="json") from error
    exists &= np.isfinite(points).all(1)
    if exists.sum() < 3:
        raise BadSample("fewer than three keypoints are labelled", key=key, field="keypoints")
    arrays["kp2d"][0, 0][exists] = points[exists]
    arrays["kp2d_conf"][0, 0] = exists
    arrays["kp2d_vis"][0, 0] = np.where(exists, 1 - hidden, -1)
    told = np.asarray(entry.get("bbox") or [box_around(points[exists])], float).reshape(-1, 4)
    put_box(arrays, size, key=key, box=told[0])
    source = "official" if entry.get("bbox") else "kp2d"
    return {"kind": "tight", "expand": None, "source": source}
