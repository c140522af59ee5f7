"""FreiHAND keypoints in COCO's JSON layout: 2D alone, no camera, right hands.

Source of the layout: COCO's data format page; the release itself is Zimmermann et al., ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.data.converters.release import (
    Release,
    Rows,
    box_around,
    describe,
    read_json,
    read_picture,
)
from zoo.data.schema import BadSample, ClipSample, absent_arrays

NUM_POSES = 32560  # pictures k * NUM_POSES + p show pose p before another background
RELEASE = Release(
    dataset="freihand",
    title="FreiHAND",
    home="https://lmb.informatik.uni-freiburg.de/projects/freihand",
    license="academic-nc-noredist",
    terms="Licence: research only, no commercial use, no right to pass the pictures on.",
    citation="Zimmermann, Ceylan, Yang, Russell, Argus and Brox, FreiHAND, ICCV 2019.",
)


class FreiHandCoco:
    """Converter of FreiHAND's COCO-style files: a sample a picture, one right hand, T = 1.

    Keypoints are OpenPose's 21 already and are checked to be by the category's names. There is no
    camera, no depth and no MANO; whether a point is hidden is not told.

    box: "official" stores the annotated box, "keypoints" the tight box of the keypoints.
    """

    release = RELEASE
    splits = ("train", "val", "test")
    aliases: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, box: str = "official") -> None:
        if box not in ("official", "keypoints"):
            raise ValueError(f"freihand_coco.box is 'official' or 'keypoints', not {box!r}")
        self.box = box

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every picture of a split.

        source: a folder with one `*<split>*.json`, or that file; pictures are named from its
            folder.

        Raises:
            ValueError: where the file is not there or its keypoints are not in OpenPose's order.
        """
        path = find_file(Path(source), split)
        data = read_json(path)
        check_order(data.get("categories", ()), path)
        annotations = {entry["image_id"]: entry for entry in data["annotations"]}

        def make(image: Mapping[str, Any]) -> ClipSample:
            key = f"freihand/{split}/{image['id'] % NUM_POSES:08d}/0_{image['id']}"
            if image["id"] not in annotations:
                raise BadSample("the picture has no annotation", key=key, field="annotations")
            return self._sample(path.parent, image, annotations[image["id"]], split, key)

        return Rows.one_each(data["images"], make, shard=str(path))

    def _sample(
        self,
        folder: Path,
        image: Mapping[str, Any],
        annotation: Mapping[str, Any],
        split: str,
        key: str,
    ) -> ClipSample:
        triples = np.asarray(annotation["keypoints"], np.float64).reshape(-1, 3)
        if len(triples) != 21:
            raise BadSample("a hand has 21 keypoints, another number is listed", key=key)
        valid = triples[:, 2] > 0
        if valid.sum() < 3:
            raise BadSample("fewer than three keypoints are labelled", key=key, field="keypoints")
        width, height = image["width"], image["height"]
        picture = read_picture(folder / image["file_name"], width=width, height=height, key=key)
        arrays = absent_arrays(hands=1, frames=1)
        for name in ("present", "has_bbox"):
            arrays[name][0, 0] = 1
        arrays["kp2d"][0, 0][valid] = triples[valid, :2]
        arrays["kp2d_conf"][0, 0] = valid
        arrays["bbox_xyxy"][0, 0], bbox = self._box(annotation, triples[valid, :2])
        arrays["frame_index"][0] = image["id"]
        pose = str(image["id"] % NUM_POSES)
        meta = describe(
            RELEASE,
            split=split,
            hands=["right"],
            picture=(image["file_name"], width, height),
            dataset_version="v2",
            sequence_id=pose,
            camera_id="0",
            source_take=pose,
            bbox=bbox,
            kp3d={"origin": None, "tips": None},
        )
        suffix = Path(image["file_name"]).suffix.lower().lstrip(".")
        return ClipSample(key, meta, arrays, (picture,), (suffix,))

    def _box(
        self, annotation: Mapping[str, Any], points: np.ndarray
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """(4,) px, and what kind of box it is."""
        if self.box == "keypoints":
            return box_around(points), {"kind": "tight", "expand": None, "source": "kp2d"}
        x, y, width, height = annotation["bbox"]
        box = np.array([x, y, x + width, y + height])
        return box, {"kind": "padded", "expand": None, "source": "official"}


def find_file(source: Path, split: str) -> Path:
    """The annotation file a folder or path means.

    Raises:
        ValueError: where there is none, or more than one.
    """
    if source.is_file():
        return source
    files = sorted(source.glob(f"*{split}*.json"))
    if len(files) != 1:
        raise ValueError(
            f"{source} holds {len(files)} files *{split}*.json where one is needed; name the "
            "annotation file itself, its pictures lie beside it."
        )
    return files[0]


def check_order(categories: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Passes keypoints named wrist, then thumb, index, middle, ring, little, base to tip.

    Raises:
        ValueError: where the names tell another order.
    """
    fingers = ("thumb", "fore", "middle", "ring", "pinky")
    wanted = ("wrist", *(f"{finger}{k}" for finger in fingers for k in (1, 2, 3, 4)))
    for category in categories:
        names = [name.replace("_", "").replace("finger", "") for name in category["keypoints"]]
        if tuple(names) != wanted:
            raise ValueError(
                f"{path}: the keypoints are named {', '.join(category['keypoints'][:6])}, ...; "
                "this converter reads wrist, thumb1 to thumb4, forefinger1, ... pinky_finger4."
            )
