"""Hands of COCO-WholeBody: keypoints and boxes in pictures of everyday life, 2D alone.

Source of the layout: the data set's documentation (Jin et al., ECCV 2020).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.data.converters.hands import View, blank, clip_of, put_box
from zoo.data.converters.release import Release, Rows, describe, read_json, read_picture
from zoo.data.schema import COLUMNS, BadSample, ClipSample

RELEASE = Release(
    dataset="coco_wholebody",
    title="COCO-WholeBody hands",
    home="https://github.com/jin-s13/COCO-WholeBody",
    license="labels-research-nc",
    terms="Licence: labels for research, non-commercial; pictures under Flickr's terms.",
    citation="Jin et al., Whole-Body Human Pose Estimation in the Wild, ECCV 2020.",
)
SIDES = ("left", "right")


class CocoWholeBody:
    """Converter of COCO-WholeBody: a sample a picture with all its labelled hands, T = 1.

    A hand counts where it is called valid and one of its keypoints is labelled. Confidences are
    the release's, at most 1; boxes are its own. There is no camera, no depth and no MANO.
    """

    release = RELEASE
    splits = ("train", "val")
    aliases: ClassVar[Mapping[str, str]] = {"train2017": "train", "val2017": "val"}

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every picture of a split in which a hand is labelled.

        source: the folder with `coco_wholebody_<split>_v1.0.json`, in it or in `annotations`, and
            with `<split>2017`, in it or in `images`; pictures may also lie in it directly.

        Raises:
            ValueError: where the annotation is not there.
        """
        path = next(
            (p for p in sorted(source.rglob(f"coco_wholebody_{split}_v1.0.json"))),
            source / f"coco_wholebody_{split}_v1.0.json",
        )
        data = read_json(path)
        hands: dict[int, list[tuple[int, str, Mapping[str, Any]]]] = defaultdict(list)
        for person in data["annotations"]:
            for side in SIDES:
                points = person.get(f"{side}hand_kpts") or ()
                if person.get(f"{side}hand_valid") and any(v > 0 for v in points[2::3]):
                    hands[person["image_id"]].append((person["id"], side, person))
        images = [image for image in data["images"] if image["id"] in hands]
        folder = _pictures(source, path.parent, split, [image["file_name"] for image in images])

        def make(image: Mapping[str, Any]) -> ClipSample:
            return _sample(folder, image, hands[image["id"]], split)

        return Rows.one_each(images, make, shard=str(path))


def _pictures(source: Path, beside: Path, split: str, names: Sequence[str]) -> Path:
    """The folder that pictures are named from: the first that holds one of the first names."""
    within = (f"{split}2017", f"images/{split}2017", "images", split, ".")
    folders = [source / name for name in within] + [beside]
    return next(
        (f for f in folders if any((f / name).is_file() for name in names[:20])), folders[0]
    )


def _sample(
    folder: Path,
    image: Mapping[str, Any],
    hands: Sequence[tuple[int, str, Mapping[str, Any]]],
    split: str,
) -> ClipSample:
    key = f"coco_wholebody/{split}/{image['id']:012d}/0_0"
    size = (image["width"], image["height"])
    picture = read_picture(folder / image["file_name"], width=size[0], height=size[1], key=key)
    kept, arrays = _hands(hands, size, key)
    meta = describe(
        RELEASE,
        split=split,
        hands=[side for _, side in kept],
        picture=(image["file_name"], *size),
        dataset_version="v1.0",
        sequence_id=str(image["id"]),
        camera_id="0",
        source_take=str(image["id"]),
        bbox={"kind": "tight", "expand": None, "source": "official"},
        kp3d={"origin": None, "tips": None},
    )
    partner = {hand: index for index, hand in enumerate(kept)}
    for hand, (person, side) in zip(meta["hands"], kept, strict=True):
        other = partner.get((person, "right" if side == "left" else "left"))
        hand.update(person_id=person, pair=other)
    view = View(0, arrays, picture, image["file_name"], size)
    return clip_of([view], key=key, meta=meta)


def _hands(
    hands: Sequence[tuple[int, str, Mapping[str, Any]]], size: tuple[int, int], key: str
) -> tuple[list[tuple[int, str]], dict[str, np.ndarray]]:
    """Person and side of each usable hand, and the arrays of all of them."""
    kept, arrays, reason = [], {}, "no hand of the picture can be used"
    for person, side, entry in hands:
        one = blank()
        try:
            _write(one, entry, side, size, key)
        except BadSample as bad:
            reason = bad.reason
            continue
        kept.append((person, side))
        for name, array in one.items():
            of_hands = COLUMNS[name].axes[0] == "H"
            arrays[name] = (
                np.concatenate([arrays[name], array]) if of_hands and name in arrays else array
            )
    if not kept:
        raise BadSample(reason, key=key, field="hands")
    return kept, arrays


def _write(
    arrays: Mapping[str, np.ndarray],
    entry: Mapping[str, Any],
    side: str,
    size: tuple[int, int],
    key: str,
) -> None:
    triples = np.asarray(entry[f"{side}hand_kpts"], float).reshape(-1, 3)
    if len(triples) != 21 or not np.isfinite(triples).all():
        raise BadSample("a hand has 21 finite keypoints, this one has not", key=key)
    known = triples[:, 2] > 0
    arrays["kp2d"][0, 0][known] = triples[known, :2]
    arrays["kp2d_conf"][0, 0] = triples[:, 2].clip(0, 1)
    told = np.asarray(entry.get(f"{side}hand_box") or (), float)
    if told.shape != (4,):
        raise BadSample("a hand has no box of four numbers", key=key, field="bbox_xyxy")
    x, y, width, height = told
    put_box(arrays, size, key=key, box=np.array([x, y, x + width, y + height]))
