"""DexYCB as released: eight cameras, PCA poses, labels of frames without a hand among the rest.

Source of the layout: the data set's documentation (Chao et al., CVPR 2021).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml

from zoo.contracts import HandAsset, SkippedSample
from zoo.data.converters.depth import MILLIMETRE, as_released, read_depth
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
from zoo.data.converters.release import Release, Rows, describe, read_picture
from zoo.data.schema import BadSample, ClipSample
from zoo.data.schema_depth import told_unit

CAMERAS = (
    "836212060125", "839512060362", "840412060917", "841412060263",
    "932122060857", "932122060861", "932122061900", "932122062010",
)  # fmt: skip
SUBJECTS = 10
SEQUENCES = 100  # of each subject; the splits count them in sorted order
SIZE, FPS = (640, 480), 30.0
OFFICIAL = {"s0_train": 465_504}
RELEASE = Release(
    dataset="dexycb",
    title="DexYCB",
    home="https://dex-ycb.github.io",
    license="CC-BY-NC-4.0",
    terms="Licence: usually quoted as CC BY-NC 4.0; read the data set's page.",
    citation="Chao et al., DexYCB: A Benchmark for Capturing Hand Grasping, CVPR 2021.",
)


@dataclass(frozen=True)
class _Film:
    """One camera's pictures of one sequence."""

    folder: Path
    subject: str
    sequence: str
    camera: str
    meta: Mapping[str, Any]

    @property
    def take(self) -> str:
        return f"{self.subject}/{self.sequence}"

    def numbers(self) -> list[int]:
        """Frames that have a picture or labels; what has one alone is counted as left out."""
        files = (*self.folder.glob("color_*.jpg"), *self.folder.glob("labels_*.npz"))
        return sorted({int(path.stem.rpartition("_")[2]) for path in files})


class DexYCB:
    """Converter of DexYCB: runs of consecutive frames of one camera with the one hand in sight.

    Splits are `<setup>_<part>`: s0 (default), s1 (unseen subjects), s2 (unseen cameras), s3 (unseen
    grasps). They choose whole sequences by their rank among the subject's hundred, never frames.
    Poses are coefficients, turned into rotations with the hand's own mean and components.

    hand: the right MANO hand, to take poses and betas; None leaves them out. Left hands were
        fitted with an uncorrected left model and the right hand's betas; they are put at the
        labelled wrist, and taken only where the mirrored right model fits.
    max_fit_mm: fits farther than this from the joints on average are not taken.
    clip_frames: pictures a sample holds at most.
    depth: keep the depth pictures, in mm and aligned to colour; frames without one stay.
    """

    release = RELEASE
    splits = tuple(f"s{k}_{part}" for k in range(4) for part in ("train", "val", "test"))
    aliases: ClassVar[Mapping[str, str]] = {part: f"s0_{part}" for part in ("train", "val", "test")}

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
        """Every picture of the split's sequences and cameras that are unpacked.

        source: the folder with the subjects' folders and `calibration`.

        Raises:
            ValueError: where there is no subject, one has not 100 sequences, or calibration lacks.
        """
        films = list_films(source, split)
        pieces, listed = [], 0
        for film in films:
            numbers = film.numbers()
            listed += len(numbers)
            pieces += [
                (film, numbers[first : first + self.clip_frames])
                for first in range(0, len(numbers), self.clip_frames)
            ]

        def read(index: int, skipped: list[SkippedSample]) -> list[ClipSample]:
            film, numbers = pieces[index]
            return runs_of(
                numbers,
                lambda number: self._view(source, split, film, number),
                lambda run: self._clip(split, film, run),
                skipped,
                shard=str(film.folder),
            )

        return Rows(len(pieces), read, listed, OFFICIAL.get(split), frames=self.clip_frames)

    def _view(self, source: Path, split: str, film: _Film, number: int) -> View:
        key = f"dexycb/{split}/{film.subject}_{film.sequence}/{film.camera}_{number}"
        labels = read_labels(film.folder / f"labels_{number:06d}.npz", key)
        joints = labels["joint_3d"].astype(float).reshape(21, 3)
        if (joints == -1).all():  # their sign for "no hand", before anything else is read
            raise BadSample("no hand is labelled in the frame", key=key, field="joint_3d")
        file = film.folder / f"color_{number:06d}.jpg"
        picture = read_picture(file, width=SIZE[0], height=SIZE[1], key=key)
        side, arrays = film.meta["mano_sides"][0], blank(number)
        intrinsics = read_intrinsics(source, film.camera)
        put_camera(arrays, intrinsics, _from_rig(source, film))
        put_joints(arrays, joints, intrinsics, key=key)
        put_box(arrays, SIZE, key=key)
        pose = labels["pose_m"].astype(float).ravel()
        if self.labels and pose.any():
            self.labels.write(
                arrays,
                side=side,
                rotvec=np.r_[pose[:3], self.labels.from_components(pose[3:48], side)],
                betas=read_betas(source, film.meta["mano_calib"][0]),
                wrist=lambda own: own + pose[48:] if side == "right" else joints[0],
            )
        depth = None
        if self.depth:
            deep = film.folder / f"aligned_depth_to_color_{number:06d}.png"
            depth = read_depth(deep, as_released, size=SIZE, key=key)
        return View(number, arrays, picture, str(file.relative_to(source)), SIZE, depth)

    def _clip(self, split: str, film: _Film, run: Sequence[View]) -> ClipSample:
        side = film.meta["mano_sides"][0]
        betas = "per_subject" if side == "right" else "other_hand"
        meta = describe(
            RELEASE,
            split=split,
            hands=[side],
            picture=(run[0].file, *run[0].size),
            dataset_version="20210415",
            sequence_id=film.sequence,
            camera_id=film.camera,
            subject_id=film.subject,
            source_take=film.take,
            split_by="camera" if split.startswith("s2") else "take",
            intr_type="real",
            bbox={"kind": "tight", "expand": None, "source": "kp2d"},
            kp3d={"origin": "mano", "tips": "manopth"},
            fit_error_kind="joints_mm" if self.labels else None,
            mano=mano_meta(
                self.labels, fit="DexYCB", left="unfixed" if side == "left" else "na", betas=betas
            ),
            **(told_unit(MILLIMETRE) if self.depth else {}),
        )
        name = f"{film.subject}_{film.sequence}/{film.camera}_{run[0].number}"
        return timed(clip_of(run, key=f"dexycb/{split}/{name}", meta=meta), fps=FPS)


def is_in(split: str) -> Callable[[int, int, int], bool]:
    """Whether a split has (subject 1 to 10, rank of the sequence, rank of the camera)."""
    setup, _, part = split.partition("_")
    if setup == "s0":
        wanted = {"val": range(1, 3), "test": range(3, 11)}
        return lambda subject, sequence, _: (
            sequence % 5 != 4 if part == "train" else sequence % 5 == 4 and subject in wanted[part]
        )
    if setup == "s1":
        subjects = {"train": {1, 2, 3, 4, 5, 6, 10}, "val": {7}, "test": {8, 9}}[part]
        return lambda subject, *_: subject in subjects
    if setup == "s2":
        cameras = {"train": range(6), "val": range(6, 7), "test": range(7, 8)}[part]
        return lambda _subject, _sequence, camera: camera in cameras
    grasps = {"val": {3, 19}, "test": {7, 11, 15}}
    kept_out = {3, 7, 11, 15, 19}
    return lambda _subject, sequence, _camera: (
        sequence // 5 not in kept_out if part == "train" else sequence // 5 in grasps[part]
    )


def list_films(source: Path, split: str) -> list[_Film]:
    """Every camera of every sequence of a split, in the release's order.

    Raises:
        ValueError: where there is no subject, or one has not 100 sequences to be ranked.
    """
    subjects = sorted(p for p in source.glob("*-subject-*") if p.is_dir())
    if not subjects:
        raise ValueError(f"{source} holds no folder 20200709-subject-01 or the like; see {HELP}")
    chosen, films = is_in(split), []
    for folder in subjects:
        number = int(re.search(r"subject-(\d+)", folder.name)[1])
        sequences = sorted(p for p in folder.iterdir() if p.is_dir())
        if len(sequences) != SEQUENCES:
            raise ValueError(
                f"{folder} has {len(sequences)} sequences, not {SEQUENCES}; the splits rank them, "
                "so unpack the subject completely (its meta.yml files at least)."
            )
        for rank, sequence in enumerate(sequences):
            cameras = [c for k, c in enumerate(CAMERAS) if chosen(number, rank, k)]
            present = [c for c in cameras if (sequence / c).is_dir()]
            if present:
                meta = _read_yaml(sequence / "meta.yml")
                films += [_Film(sequence / c, folder.name, sequence.name, c, meta) for c in present]
    return films


HELP = RELEASE.home


def read_labels(path: Path, key: str) -> Mapping[str, np.ndarray]:
    """The arrays of a frame that are used; nothing in the file is run.

    Raises:
        BadSample: where the file is not there, damaged, or lacks one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            labels = {name: file[name] for name in ("joint_3d", "pose_m")}
    except FileNotFoundError:
        raise BadSample("the frame has no labels", key=key, field="labels") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadSample("the labels are damaged", key=key, field="labels") from error
    if labels["joint_3d"].size != 63 or labels["pose_m"].size != 51:
        raise BadSample("the labels have another shape", key=key, field="labels")
    return labels


@cache
def read_intrinsics(source: Path, camera: str) -> np.ndarray:
    """(3, 3) px, of the colour picture."""
    told = _read_yaml(source / "calibration" / "intrinsics" / f"{camera}_640x480.yml")["color"]
    rows = [[told["fx"], 0, told["ppx"]], [0, told["fy"], told["ppy"]], [0, 0, 1]]
    return np.array(rows, float)


@cache
def read_betas(source: Path, calibration: str) -> np.ndarray:
    """(10,) of a subject's hand."""
    told = _read_yaml(source / "calibration" / f"mano_{calibration}" / "mano.yml")
    return np.asarray(told["betas"], float)


def _from_rig(source: Path, film: _Film) -> np.ndarray | None:
    """(4, 4) m, points of the rig into this camera; the files tell the way back."""
    path = source / "calibration" / f"extrinsics_{film.meta['extrinsics']}" / "extrinsics.yml"
    if not path.is_file():
        return None
    to_rig = np.eye(4)
    to_rig[:3] = np.asarray(_read_yaml(path)["extrinsics"][film.camera], float).reshape(3, 4)
    return np.linalg.inv(to_rig)


@cache
def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; is DexYCB completely unpacked?") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not whole ({error}); unpack it again.") from None
