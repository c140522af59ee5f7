"""FreiHAND as released: one right hand a picture, each pose before four backgrounds.

Source of the layout: the data set's readme (Zimmermann et al., ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.contracts import HandAsset
from zoo.data.converters.freihand_coco import RELEASE
from zoo.data.converters.hands import View, blank, clip_of, put_box, put_camera, put_joints
from zoo.data.converters.mano_labels import ManoLabels, mano_meta
from zoo.data.converters.release import Rows, describe, part_of, read_json, read_sized
from zoo.data.schema import BadSample, ClipSample

BACKGROUNDS = ("gs", "hom", "sample", "auto")  # picture k * poses + p: pose p, background k
OFFICIAL = {"training": 4 * 32560, "evaluation": 3960}
_PARTS = {"train-part": "training", "val-part": "training"}


class FreiHand:
    """Converter of FreiHAND: a sample a picture, one right hand, T = 1.

    Joints are OpenPose's 21 in metres already. Keypoints and box come from projecting them, and
    whether a point is hidden is not told. `train-part` and `val-part` halve the training poses,
    never the backgrounds of one pose.

    hand: the right MANO hand, to take poses and betas; None leaves them out.
    max_fit_mm: fits farther than this from the joints on average are not taken.
    """

    release = RELEASE
    splits = ("training", "evaluation", *_PARTS)
    aliases: ClassVar[Mapping[str, str]] = {"train": "training", "test": "evaluation"}

    def __init__(self, *, hand: HandAsset | None = None, max_fit_mm: float = 6.0) -> None:
        self.labels = None if hand is None else ManoLabels(hand=hand, max_fit_mm=max_fit_mm)

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every picture of a split, background by background.

        source: the folder with `training`, `evaluation` and the JSON files beside them. Without
            `evaluation_xyz.json`, which came later, `evaluation` has pictures and cameras alone,
            to answer and hand in; the box is then the picture.

        Raises:
            ValueError: where a file is not there, or files tell different numbers of poses.
        """
        official = _PARTS.get(split, split)
        tables = {"K": read_json(source / f"{official}_K.json")}
        wanted = {
            "xyz": True,
            "mano": self.labels is not None,
            "verts": official == "evaluation",  # of training they are MANO's own and 2 GB of text
        }
        for name in (name for name, asked in wanted.items() if asked):
            path = source / f"{official}_{name}.json"
            if path.is_file() or (name == "xyz" and official != "evaluation"):
                tables[name] = read_json(path)
        lengths = {name: len(table) for name, table in tables.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"{source}: the files tell of different numbers of poses: {lengths}")
        poses, backgrounds = lengths["K"], 1 if official == "evaluation" else len(BACKGROUNDS)
        items = [
            picture
            for picture in range(poses * backgrounds)
            if part_of(split, _PARTS, _take(official, picture % poses))
        ]

        def make(picture: int) -> ClipSample:
            pose, background = picture % poses, picture // poses
            entry = {name: table[pose] for name, table in tables.items()}
            name = f"{official}/rgb/{picture:08d}.jpg"
            key = f"freihand/{split}/{pose:08d}/{background}_{picture}"
            return self._sample(source, name, entry, key, split, _take(official, pose))

        told = OFFICIAL[official] if split == official else None
        return Rows.one_each(items, make, shard=str(source / official), official=told)

    def _sample(
        self, source: Path, name: str, entry: Mapping[str, Any], key: str, split: str, take: str
    ) -> ClipSample:
        picture, size = read_sized(source / name, key=key)
        number = int(Path(name).stem)
        arrays = blank(number)
        try:
            intrinsics = np.asarray(entry["K"], float).reshape(3, 3)
            joints = np.asarray(entry["xyz"], float).reshape(21, 3) if "xyz" in entry else None
        except (TypeError, ValueError):
            raise BadSample("K or xyz has another shape", key=key, field="K") from None
        put_camera(arrays, intrinsics)
        if joints is None:
            whole = np.array([0, 0, size[0] - 1, size[1] - 1])
            put_box(arrays, size, key=key, box=whole)
        else:
            put_joints(arrays, joints, intrinsics, key=key)
            put_box(arrays, size, key=key)
        if self.labels and joints is not None and "mano" in entry:
            parameters = np.asarray(entry["mano"], float).ravel()
            self.labels.write(
                arrays,
                side="right",
                rotvec=np.r_[parameters[:3], self.labels.absolute(parameters[3:48], "right")],
                betas=parameters[48:58],
                wrist=lambda _: joints[0],  # the stored root is joint 9, to 0.3 mm; xyz is exact
            )
        if "verts" in entry:
            arrays["verts"] = np.asarray(entry["verts"], np.float32).reshape(1, 1, 778, 3)
            arrays["has_verts"] = np.ones((1, 1), np.uint8)
        view = View(number, arrays, picture, name, size)
        meta = self._meta(name, size, split, take)
        if joints is None:
            meta |= {"bbox": {"kind": "padded", "expand": None, "source": "picture"}}
        return clip_of([view], key=key, meta=meta)

    def _meta(self, name: str, size: tuple[int, int], split: str, take: str) -> dict[str, Any]:
        return describe(
            RELEASE,
            split=split,
            hands=["right"],
            picture=(name, *size),
            dataset_version="v2",
            sequence_id=take,
            camera_id="0",
            source_take=take,
            intr_type="real",
            bbox={"kind": "tight", "expand": None, "source": "kp2d"},
            kp3d={"origin": "mano", "tips": "freihand"},
            fit_error_kind="joints_mm" if self.labels else None,
            mano=mano_meta(self.labels, fit="FreiHAND"),
        )


def _take(official: str, pose: int) -> str:
    """Poses are counted anew in each official split, so the split is part of the name."""
    return f"{official}/{pose}"
