"""InterHand2.6M as released: world millimetres, 42 joints from tip to base, many cameras.

Source of the layout: the data set's documentation (Moon et al., ECCV 2020), annotation v1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.contracts import HandAsset
from zoo.data.converters.interhand_mano import FittedHand, ManoFits
from zoo.data.converters.mano_labels import ManoLabels, mano_meta
from zoo.data.converters.release import (
    Release,
    Rows,
    box_around,
    describe,
    read_json,
    read_picture,
)
from zoo.data.schema import BadSample, ClipSample, absent_arrays

# Row j of OpenPose's 21 is entry OPENPOSE_FROM_INTERHAND[j] of one hand: tip to base, wrist last.
OPENPOSE_FROM_INTERHAND = (
    20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16,
)  # fmt: skip
FIRST_JOINT = {"right": 0, "left": 21}
MM = 0.001
OFFICIAL = {"train": 1_361_062, "val": 380_125, "test": 849_160}  # pictures, v1.0 at 5 fps
RELEASE = Release(
    dataset="interhand26m",
    title="InterHand2.6M",
    home="https://mks0601.github.io/InterHand2.6M",
    license="CC-BY-NC-4.0",
    terms="Licence: CC-BY-NC 4.0, non-commercial, with attribution.",
    citation="Moon, Yu, Wen, Shiratori and Lee, InterHand2.6M, ECCV 2020.",
)


@dataclass(frozen=True)
class _Camera:
    rotation: np.ndarray  # (3, 3) world -> camera
    position: np.ndarray  # (3,) m, world
    intrinsics: np.ndarray  # (3, 3) px

    def see(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) m world -> (N, 3) m camera, OpenCV axes."""
        return (points - self.position) @ self.rotation.T

    def from_world(self) -> np.ndarray:
        """(4, 4) m, points of the world into this camera."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        matrix[:3, 3] = -self.rotation @ self.position
        return matrix


class InterHand26M:
    """Converter of InterHand2.6M: a sample a picture, one or two hands each, T = 1.

    Keypoints are the projected joints, since the release has none; a hand's joints count where
    annotated, and only while its wrist is (the release's own rule). The box is tight around them.

    hand: the right MANO hand, to take the NeuralAnnot fits where they are unpacked too; None
        leaves MANO labels out. The left hand is its mirror image, as the fits were made.
    max_fit_mm: fits farther than this from the joints on average are not taken.
    min_inside: a hand with fewer joints inside the picture is left out.
    """

    release = RELEASE
    splits = ("train", "val", "test")
    aliases: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, *, hand: HandAsset | None = None, max_fit_mm: float = 15.0, min_inside: int = 5
    ) -> None:
        self.fits = None if hand is None else ManoFits(hand=hand, max_fit_mm=max_fit_mm)
        self.min_inside = min_inside

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every picture of a split.

        source: the folder that holds `annotations` and `images`, or a folder with the JSON files
            `*_data.json`, `*_camera.json`, `*_joint_3d.json` and the pictures they name.

        Raises:
            ValueError: where one of the annotation files is not there.
        """
        files = find_files(Path(source), split)
        data = read_json(files["data"])
        cameras, joints = read_json(files["camera"]), read_json(files["joint_3d"])
        mano = read_json(files["mano"]) if self.fits and "mano" in files else {}
        annotations = {entry["image_id"]: entry for entry in data["annotations"]}

        def make(image: Mapping[str, Any]) -> ClipSample:
            key = _key(image, split)
            if annotations.get(image["id"]) is None:
                raise BadSample("the picture has no annotation", key=key, field="data")
            world = _lookup(joints, image, key)
            camera = _camera(cameras, image, key)
            fits = (mano.get(str(image["capture"])) or {}).get(str(image["frame_idx"])) or {}
            return self._sample(files["images"], image, split, key, world, camera, fits)

        shard, official = str(files["data"]), OFFICIAL.get(split)
        return Rows.one_each(data["images"], make, shard=shard, official=official)

    def _sample(
        self,
        images: Path,
        image: Mapping[str, Any],
        split: str,
        key: str,
        world: Mapping[str, Any],
        camera: _Camera,
        fits: Mapping[str, Any],
    ) -> ClipSample:
        size = (image["width"], image["height"])
        points, valid = joints_of(world)
        seen = {side: _Hand.seen(points[side], valid[side], camera) for side in FIRST_JOINT}
        hands = {side: hand for side, hand in seen.items() if self._usable(hand, size)}
        if not hands:
            raise BadSample("no hand has enough joints in the picture", key=key, field="joint_3d")
        picture = read_picture(images / image["file_name"], width=size[0], height=size[1], key=key)
        arrays = absent_arrays(hands=len(hands), frames=1)
        arrays["K"][0], arrays["has_K"][0] = camera.intrinsics, 1
        arrays["cam_from_world"][0], arrays["has_extr"][0] = camera.from_world(), 1
        arrays["frame_index"][0] = image["frame_idx"]
        for index, (side, hand) in enumerate(hands.items()):
            hand.write(arrays, index)
            if self.fits and fits.get(side):
                fit = FittedHand.read(fits[side], side)
                self.fits.write(arrays, index, fit, camera.rotation, camera.position)
        meta = _meta(image, split, list(hands), size, labels=self.fits and self.fits.labels)
        suffix = Path(image["file_name"]).suffix.lower().lstrip(".")
        return ClipSample(key, meta, arrays, (picture,), (suffix,))

    def _usable(self, hand: _Hand, size: tuple[int, int]) -> bool:
        inside = ((hand.keypoints > -0.5) & (hand.keypoints < np.array(size) - 0.5)).all(1)
        ahead = (hand.joints[hand.valid, 2] > 0).all()
        return bool(ahead) and int((inside & hand.valid).sum()) >= self.min_inside


@dataclass(frozen=True)
class _Hand:
    joints: np.ndarray  # (21, 3) m, camera, OpenPose order
    keypoints: np.ndarray  # (21, 2) px
    valid: np.ndarray  # (21,) bool

    @classmethod
    def seen(cls, points: np.ndarray, valid: np.ndarray, camera: _Camera) -> _Hand:
        joints = np.where(valid[:, None], camera.see(points), [0.0, 0.0, 1.0])
        image = joints @ camera.intrinsics.T
        return cls(joints, image[:, :2] / image[:, 2:], valid)

    def write(self, arrays: Mapping[str, np.ndarray], index: int) -> None:
        at, valid = (index, 0), self.valid
        arrays["present"][at] = arrays["has_bbox"][at] = 1
        arrays["kp3d"][at][valid] = self.joints[valid]
        arrays["kp2d"][at][valid] = self.keypoints[valid]
        arrays["kp3d_conf"][at] = arrays["kp2d_conf"][at] = valid
        arrays["bbox_xyxy"][at] = box_around(self.keypoints[valid])


def find_files(source: Path, split: str) -> dict[str, Path]:
    """Annotation files by kind, and the folder pictures are named from.

    Raises:
        ValueError: where one is not there, or several could be meant.
    """
    within = (f"annotations/{split}", "annotations/all", "annotations", split, ".")
    places = [source / name for name in within]  # of releases 1.0 and 0.0, and of parts of them
    folder = next((p for p in places if any(p.glob(f"*{split}*_data.json"))), None)
    folder = folder or next((p for p in (places[0], source) if p.is_dir()), source)
    images = source / "images" / split
    found = {"images": images if images.is_dir() else folder}
    for kind, ending in (
        ("data", "data"),
        ("camera", "camera"),
        ("joint_3d", "joint_3d"),
        ("mano", "MANO_NeuralAnnot"),
    ):
        files = sorted(folder.glob(f"*{split}*_{ending}.json"))
        if len(files) > 1:
            raise ValueError(f"{folder} holds several *{split}*_{ending}.json; leave one of them.")
        if files:
            found[kind] = files[0]
        elif kind != "mano":
            raise ValueError(
                f"{folder} holds no *{split}*_{ending}.json; unpack InterHand2.6M's annotations "
                f"to {source}/annotations/{split} and its pictures to {source}/images/{split}."
            )
    return found


def joints_of(world: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Points (21, 3) m, world, and validity (21,) of either hand, in OpenPose order."""
    points = np.asarray(world["world_coord"], np.float64).reshape(42, 3) * MM
    valid = np.asarray(world["joint_valid"]).reshape(42) > 0
    order = np.array(OPENPOSE_FROM_INTERHAND)
    rows = {side: first + order for side, first in FIRST_JOINT.items()}
    sided = {side: valid[row] & valid[row[0]] for side, row in rows.items()}
    return {side: points[row] for side, row in rows.items()}, sided


def _lookup(joints: Mapping[str, Any], image: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    try:
        return joints[str(image["capture"])][str(image["frame_idx"])]
    except KeyError:
        raise BadSample(
            "no 3D joints are listed for the picture", key=key, field="joint_3d"
        ) from None


def _camera(cameras: Mapping[str, Any], image: Mapping[str, Any], key: str) -> _Camera:
    try:
        capture, name = cameras[str(image["capture"])], str(image["camera"])
        position, rotation = capture["campos"][name], capture["camrot"][name]
        (fx, fy), (cx, cy) = capture["focal"][name], capture["princpt"][name]
    except KeyError:
        raise BadSample("the camera is not listed", key=key, field="camera") from None
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    return _Camera(np.asarray(rotation, float), np.asarray(position, float) * MM, intrinsics)


def _key(image: Mapping[str, Any], split: str) -> str:
    take = f"{image['capture']}_{image['seq_name']}".replace(".", "-").replace("/", "-")
    return f"interhand26m/{split}/{take}/{image['camera']}_{image['frame_idx']}"


def _meta(
    image: Mapping[str, Any],
    split: str,
    sides: list[str],
    size: tuple[int, int],
    *,
    labels: ManoLabels | None,
) -> dict[str, Any]:
    take = f"{image['capture']}/{image['seq_name']}"
    return describe(
        RELEASE,
        split=split,
        hands=sides,
        picture=(image["file_name"], *size),
        dataset_version="v1.0",
        sequence_id=take,
        camera_id=str(image["camera"]),
        subject_id=str(image.get("subject")),
        source_take=take,
        intr_type="real",
        bbox={"kind": "tight", "expand": None, "source": "kp2d"},
        kp3d={"origin": "triangulated", "tips": None},
        fit_error_kind="joints_mm" if labels else None,
        mano=mano_meta(labels, fit="NeuralAnnot", left="fixed"),
    )
