"""HO-3D v2 and v3 as released: OpenGL axes, MANO's joint order, absolute poses in pickles.

Source of the layout: the data set's documentation (Hampali et al., CVPR 2020).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.contracts import HandAsset, SkippedSample
from zoo.data.converters.depth import HO3D_UNIT, from_two_bytes, read_depth
from zoo.data.converters.hands import (
    CLIP_FRAMES,
    View,
    blank,
    clip_of,
    put_box,
    put_camera,
    put_joints,
    runs_of,
    timed,
)
from zoo.data.converters.mano_labels import ManoLabels, mano_meta
from zoo.data.converters.release import Release, Rows, describe, part_of, read_json, read_sized
from zoo.data.schema import BadSample, ClipSample
from zoo.data.schema_depth import told_unit
from zoo.mano.topology import OPENPOSE_FROM_MANO
from zoo.mano.unpickler import BlockedPickle, read_arrays

OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0])
FPS = 30.0
OFFICIAL = {  # lines of train.txt and evaluation.txt
    ("v2", "train"): 66_034,
    ("v2", "evaluation"): 11_524,
    ("v3", "train"): 83_325,
    ("v3", "evaluation"): 20_137,
}
RELEASE = Release(
    dataset="ho3d",
    title="HO-3D",
    home="https://www.tugraz.at/index.php?id=40231",
    license="academic-nc-noredist",
    terms="Licence: academic, non-commercial, no redistribution and no modification.",
    citation="Hampali, Rad, Oberweger and Lepetit, HOnnotate, CVPR 2020.",
)
_PARTS = {"train-part": "train", "val-part": "train"}
_SUFFIXES = {".png": "v2", ".jpg": "v3"}


@dataclass(frozen=True)
class _Open:
    """What reading a frame needs to know of the release."""

    source: Path
    split: str
    official: str
    version: str
    suffix: str
    joints: Mapping[str, Any]  # by "<sequence>/<frame>", of evaluation frames
    vertices: Mapping[str, Any]

    @property
    def shard(self) -> str:
        return str(self.source / f"{self.official}.txt")


class HO3D:
    """Converter of HO-3D: runs of consecutive frames of one camera, one right hand.

    Frames come from the txt lists, since folders also hold frames nobody annotated. Of evaluation
    frames the wrist and the official box are known, and all joints and the mesh where
    `evaluation_xyz.json` and `evaluation_verts.json` lie beside the lists. `train-part` and
    `val-part` halve the training takes, never the cameras of one take.

    hand: the right MANO hand, to take poses and betas; None leaves them out.
    max_fit_mm: fits farther than this from the joints on average are not taken.
    clip_frames: pictures a sample holds at most.
    depth: keep the depth pictures, their two channels made one; frames without one stay.
    """

    release = RELEASE
    splits = ("train", "evaluation", *_PARTS)
    aliases: ClassVar[Mapping[str, str]] = {"training": "train", "test": "evaluation"}

    def __init__(
        self,
        *,
        hand: HandAsset | None = None,
        max_fit_mm: float = 5.0,
        clip_frames: int = CLIP_FRAMES,
        depth: bool = False,
    ) -> None:
        self.labels = None if hand is None else ManoLabels(hand=hand, max_fit_mm=max_fit_mm)
        self.clip_frames, self.depth = clip_frames, depth

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every listed frame of a split.

        source: the folder with `train`, `evaluation`, `train.txt` and `evaluation.txt`.

        Raises:
            ValueError: where the list is not there, or is no list of "<sequence>/<frame>".
        """
        official = _PARTS.get(split, split)
        listed = read_list(source / f"{official}.txt")
        found = _open(source, split, official, listed)
        frames = [name for name in listed if part_of(split, _PARTS, take_of(name))]
        pieces = [
            (sequence, names[first : first + self.clip_frames])
            for sequence, names in _sequences(frames)
            for first in range(0, len(names), self.clip_frames)
        ]

        def read(index: int, skipped: list[SkippedSample]) -> list[ClipSample]:
            return runs_of(
                pieces[index][1],
                lambda name: self._view(found, name),
                lambda run: self._clip(found, pieces[index][0], run),
                skipped,
                shard=found.shard,
            )

        told = OFFICIAL[found.version, official] if split == official else None
        return Rows(len(pieces), read, len(frames), told, frames=self.clip_frames)

    def _view(self, found: _Open, name: str) -> View:
        sequence, _, frame = name.partition("/")
        key = f"ho3d/{found.split}/{sequence}/0_{frame}"
        labels = read_labels(
            found.source / found.official / sequence / "meta" / f"{frame}.pkl", key
        )
        if labels.get("handJoints3D") is None or labels.get("camMat") is None:
            raise BadSample("the frame is not annotated", key=key, field="handJoints3D")
        file = f"{found.official}/{sequence}/rgb/{frame}{found.suffix}"
        if not (found.source / file).is_file():  # a folder may hold pictures of either version
            other = next(s for s in _SUFFIXES if s != found.suffix)
            if (found.source / file).with_suffix(other).is_file():
                file = file.removesuffix(found.suffix) + other
        picture, size = read_sized(found.source / file, key=key)
        arrays = blank(int(frame))
        intrinsics = np.asarray(labels["camMat"], float).reshape(3, 3)
        put_camera(arrays, intrinsics)
        listed = found.joints.get(name)
        joints, valid = joints_of(labels["handJoints3D"] if listed is None else listed)
        put_joints(arrays, joints, intrinsics, key=key, valid=valid)
        put_box(arrays, size, key=key, box=labels.get("handBoundingBox"))
        if name in found.vertices:
            vertices = np.asarray(found.vertices[name], float) * OPENCV_FROM_OPENGL
            arrays["verts"] = vertices.astype(np.float32).reshape(1, 1, 778, 3)
            arrays["has_verts"] = np.ones((1, 1), np.uint8)
        if self.labels and labels.get("handPose") is not None:
            self._write_fit(arrays, labels)
        depth = None
        if self.depth:
            deep = found.source / found.official / sequence / "depth" / f"{frame}.png"
            depth = read_depth(deep, from_two_bytes, size=size, key=key)
        return View(int(frame), arrays, picture, file, size, depth)

    def _write_fit(self, arrays: Mapping[str, np.ndarray], labels: Mapping[str, Any]) -> None:
        pose = np.asarray(labels["handPose"], float).ravel()
        flip = Rotation.from_matrix(np.diag(OPENCV_FROM_OPENGL))
        root = (flip * Rotation.from_rotvec(pose[:3])).as_rotvec()
        self.labels.write(
            arrays,
            side="right",
            rotvec=np.r_[root, pose[3:]],
            betas=np.asarray(labels["handBeta"], float),
            wrist=lambda wrist: OPENCV_FROM_OPENGL * (wrist + np.ravel(labels["handTrans"])),
        )

    def _clip(self, found: _Open, sequence: str, run: Sequence[View]) -> ClipSample:
        evaluated = found.official == "evaluation"
        meta = describe(
            RELEASE,
            split=found.split,
            hands=["right"],
            picture=(run[0].file, *run[0].size),
            dataset_version=found.version,
            sequence_id=sequence,
            camera_id="0",
            source_take=take_of(sequence),
            intr_type="real",
            bbox={
                "kind": "tight",
                "expand": None,
                "source": "official" if evaluated else "kp2d",
            },
            kp3d={"origin": "mano", "tips": "ho3d"},
            fit_error_kind="joints_mm" if self.labels else None,
            mano=mano_meta(self.labels, fit="HOnnotate", betas="per_subject"),
            **(told_unit(HO3D_UNIT) if self.depth else {}),
        )
        key = f"ho3d/{found.split}/{sequence}/0_{run[0].number}"
        return timed(clip_of(run, key=key, meta=meta), fps=FPS)


def read_list(path: Path) -> list[str]:
    """The frames "<sequence>/<frame>" of a split.

    Raises:
        ValueError: where the file is not there, or holds other lines.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; is HO-3D completely unpacked?")
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    odd = [line for line in lines if not re.fullmatch(r"[^/.\s]+/\d+", line)]
    if odd or not lines:
        raise ValueError(f"{path}: {odd[:1] or 'nothing'} where lines <sequence>/<frame> belong.")
    return lines


def read_labels(path: Path, key: str) -> Mapping[str, Any]:
    """The dictionary of a frame's pickle, read as data.

    Raises:
        BadSample: where it is not there, damaged, or names anything that would have to be run.
    """
    try:
        labels = read_arrays(path.read_bytes())
    except OSError:
        raise BadSample("the annotation is not there", key=key, field="meta") from None
    except BlockedPickle as blocked:
        reason = f"the pickle asks for {blocked}, which no label needs; nothing was run"
        raise BadSample(reason, key=key, field="meta") from None
    except Exception as error:  # a damaged pickle fails in as many ways as it has bytes
        raise BadSample("the annotation is damaged", key=key, field="meta") from error
    if not isinstance(labels, dict):
        raise BadSample("the annotation is no dictionary", key=key, field="meta")
    return labels


def joints_of(listed: Any) -> tuple[np.ndarray, np.ndarray]:
    """(21, 3) m, OpenCV axes and OpenPose order, and which are known, of 21 joints or the wrist."""
    points = np.asarray(listed, float).reshape(-1, 3) * OPENCV_FROM_OPENGL
    if len(points) == 21:
        return points[list(OPENPOSE_FROM_MANO)], np.ones(21, bool)
    joints, valid = np.zeros((21, 3)), np.zeros(21, bool)
    joints[0], valid[0] = points[0], True
    return joints, valid


def take_of(name: str) -> str:
    """Cameras of one take are told apart by a last digit: ABF10 to ABF14 are the take ABF1."""
    sequence = name.partition("/")[0]
    return sequence[:-1] if re.search(r"\d\d$", sequence) else sequence


def _open(source: Path, split: str, official: str, listed: Sequence[str]) -> _Open:
    sequence, _, frame = listed[0].partition("/")
    folder = source / official / sequence / "rgb"
    suffix = next((s for s in _SUFFIXES if (folder / f"{frame}{s}").is_file()), None)
    if suffix is None:  # this one is missing; any picture tells the version
        suffix = ".jpg" if next(folder.glob("*.jpg"), None) else ".png"
    tables: dict[str, dict[str, Any]] = {"xyz": {}, "verts": {}}
    for kind, table in tables.items():
        path = source / f"{official}_{kind}.json"
        if official == "evaluation" and path.is_file():
            rows = read_json(path)
            if len(rows) != len(listed):
                raise ValueError(f"{path} has {len(rows)} rows, {official}.txt {len(listed)}.")
            table.update(zip(listed, rows, strict=True))
    version = _SUFFIXES[suffix]
    return _Open(source, split, official, version, suffix, tables["xyz"], tables["verts"])


def _sequences(frames: Sequence[str]) -> list[tuple[str, list[str]]]:
    ordered = sorted(frames, key=lambda n: (n.partition("/")[0], int(n.partition("/")[2])))
    grouped = groupby(ordered, key=lambda name: name.partition("/")[0])
    return [(sequence, list(names)) for sequence, names in grouped]
