"""HOT3D-Clips: tars of 150 fisheye frames, two hands each as MANO parameters in the world.

Source of the layout: the data set's documentation (Banerjee et al., CVPR 2025).
"""

from __future__ import annotations

import dataclasses
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.contracts import HandAsset, SkippedSample
from zoo.data.converters.fisheye import Fisheye624, rectified
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
from zoo.data.converters.release import Release, Rows, describe
from zoo.data.pictures import decode_picture, encode_jpeg
from zoo.data.schema import BadSample, ClipSample

SIDES = ("left", "right")
FPS = 30.0
CLIP_LENGTH = 150
JPEG_QUALITY = 95
RELEASE = Release(
    dataset="hot3d",
    title="HOT3D-Clips",
    home="https://huggingface.co/datasets/bop-benchmark/hot3d",
    license="CC-BY-NC-SA-4.0",
    terms="Licence: sequences CC BY-SA, hand annotations CC BY-NC-SA, so labels stay NC-SA.",
    citation="Banerjee et al., HOT3D: Hand and Object Tracking in 3D, CVPR 2025.",
)


@dataclass
class _Clip:
    """A tar's members by frame, and what holds for all frames of one camera."""

    path: Path
    stream: str
    members: Mapping[str, bytes]
    betas: np.ndarray
    maps: dict[tuple, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    def json(self, frame: int, name: str, key: str) -> Any:
        try:
            return json.loads(self.members[f"{frame:06d}.{name}.json"])
        except KeyError:
            raise BadSample(f"{name} is missing", key=key, field=name) from None
        except ValueError:
            raise BadSample(f"{name} is not JSON", key=key, field=name) from None


class Hot3D:
    """Converter of HOT3D-Clips: one camera's run of frames, its left and right hand, rectified.

    The pictures are fisheye; they are made into those of a pinhole camera of the same size and
    middle scale, and K is of that. All 21 joints come from posing MANO, since the landmarks have
    no thumb base, so a hand model is needed. A hand outside the rectified picture is not present.

    hand: the right MANO hand.
    min_visibility: hands less visible, by the release's own modelling, are not present.
    clip_frames: pictures a sample holds at most.
    """

    release = RELEASE
    splits = ("train", "test")
    aliases: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        hand: HandAsset | None = None,
        min_visibility: float = 0.1,
        clip_frames: int = CLIP_FRAMES,
    ) -> None:
        self.labels = None if hand is None else ManoLabels(hand=hand, max_fit_mm=1.0)
        self.min_visibility, self.clip_frames = min_visibility, clip_frames

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every camera of every clip.

        source: the folder with `train_aria`, `train_quest3`, ... or with clip-*.tar themselves.

        Raises:
            ValueError: where there is no clip, or no hand to pose.
        """
        if self.labels is None:
            raise ValueError(
                "HOT3D stores MANO parameters and no joints that could serve instead; name the "
                "hand with --hand (MANO_RIGHT.pkl)."
            )
        tars = sorted(source.glob(f"{split}*/clip-*.tar")) or sorted(source.glob("clip-*.tar"))
        if not tars:
            raise ValueError(f"{source} holds no {split}*/clip-*.tar; download HOT3D-Clips there.")
        pieces = [(tar, *found) for tar in tars for found in _streams(tar).items()]
        listed = sum(count for *_, count in pieces)

        def read(index: int, skipped: list[SkippedSample]) -> list[ClipSample]:
            try:
                clip = _open(*pieces[index][:2])
            except BadSample as bad:
                lost = SkippedSample(key=bad.key, shard=bad.shard, reason=bad.reason)
                skipped += [lost] * pieces[index][2]
                return []
            numbers = sorted(
                int(name[:6])
                for name in clip.members
                if name[6:].startswith(f".image_{clip.stream}")
            )
            parts = range(0, len(numbers), self.clip_frames)
            return [
                sample
                for first in parts
                for sample in runs_of(
                    numbers[first : first + self.clip_frames],
                    lambda number: self._view(clip, number, split),
                    lambda run: self._clip(clip, run, split),
                    skipped,
                    shard=str(clip.path),
                )
            ]

        return Rows(len(pieces), read, listed, None, frames=CLIP_LENGTH)

    def _view(self, clip: _Clip, number: int, split: str) -> View:
        key = f"hot3d/{split}/{clip.path.stem}/{clip.stream}_{number}"
        camera = clip.json(number, "cameras", key).get(clip.stream)
        hands = clip.json(number, "hands", key)
        if camera is None:
            raise BadSample("the camera is not listed", key=key, field="cameras")
        name = next(n for n in clip.members if n.startswith(f"{number:06d}.image_{clip.stream}."))
        try:
            told = camera["calibration"]
            lens = Fisheye624.of(told["projection_params"])
            size = (int(told["image_width"]), int(told["image_height"]))
            from_world = np.linalg.inv(_pose(camera["T_world_from_camera"]))
            image = decode_picture(clip.members[name])
        except (KeyError, TypeError, ValueError) as error:
            raise BadSample(str(error), key=key, field="cameras") from None
        if image.shape[:2] != size[::-1]:
            raise BadSample("the picture has another size than told", key=key, field="picture")
        recipe = (tuple(told["projection_params"]), size)
        if recipe not in clip.maps:
            clip.maps[recipe] = lens.maps(size)
        picture = encode_jpeg(rectified(image, clip.maps[recipe]), quality=JPEG_QUALITY)
        arrays = blank(number, hands=2)
        put_camera(arrays, lens.pinhole(size), from_world)
        for index, side in enumerate(SIDES):
            try:
                self._write(arrays, clip, hands.get(side), side, index, size, key)
            except BadSample:
                _clear(arrays, index)
        if not arrays["present"].any():
            raise BadSample("no hand is in the picture", key=key, field="hands")
        self._note_time(clip, number)
        return View(number, arrays, picture, f"{clip.path.name}/{number:06d}.jpg", size)

    def _write(
        self,
        arrays: Mapping[str, np.ndarray],
        clip: _Clip,
        entry: Mapping[str, Any] | None,
        side: str,
        index: int,
        size: tuple[int, int],
        key: str,
    ) -> None:
        """One hand's joints, box and MANO; raises BadSample where it is not to be used."""
        seen = (entry or {}).get("visibilities_modeled") or {}
        if not (entry and entry.get("mano_pose")) or seen.get(clip.stream, 1) < self.min_visibility:
            raise BadSample("the hand is not there", key=key)
        wrist_xform = np.asarray(entry["mano_pose"]["wrist_xform"], float).ravel()
        from_world = arrays["cam_from_world"][0].astype(float)
        rotation = from_world[:3, :3]
        turned = Rotation.from_matrix(rotation) * Rotation.from_rotvec(wrist_xform[:3])
        fingers = self.labels.from_components(entry["mano_pose"]["thetas"], side)
        rotvec = np.r_[turned.as_rotvec(), fingers]
        joints = self.labels.posed(rotvec, clip.betas, side)
        wrist = rotation @ (joints[0] + wrist_xform[3:]) + from_world[:3, 3]
        intrinsics = arrays["K"][0]
        put_joints(arrays, joints - joints[0] + wrist, intrinsics, key=key, hand=index)
        put_box(arrays, size, key=key, hand=index)
        self.labels.write(
            arrays,
            side=side,
            rotvec=rotvec,
            betas=clip.betas,
            wrist=lambda _: wrist,
            hand=index,
        )

    def _note_time(self, clip: _Clip, number: int) -> None:
        """Keeps the camera's own clock, whole nanoseconds, where the release tells it."""
        told = clip.members.get(f"{number:06d}.info.json")
        info = json.loads(told) if told else {}
        stamps = info.get("image_timestamps_ns") or {}
        clip.info = info or clip.info
        if clip.stream in stamps:
            clip.times[number] = int(stamps[clip.stream])

    def _clip(self, clip: _Clip, run: Sequence[View], split: str) -> ClipSample:
        take = str(clip.info.get("sequence_id", clip.path.stem))
        meta = describe(
            RELEASE,
            split=split,
            hands=SIDES,
            picture=(run[0].file, *run[0].size),
            sequence_id=take,
            camera_id=clip.stream,
            subject_id=clip.info.get("participant_id"),
            source_take=take,
            intr_type="fixed_virtual",
            camera_model="rectified_from_fisheye624",
            bbox={"kind": "tight", "expand": None, "source": "kp2d"},
            kp3d={"origin": "mano", "tips": "smplx"},
            fit_error_kind="joints_mm",
            mano=mano_meta(self.labels, fit="HOT3D", left="fixed"),
        )
        key = f"hot3d/{split}/{clip.path.stem}/{clip.stream}_{run[0].number}"
        sample = timed(clip_of(run, key=key, meta=meta), fps=FPS)
        stamps = [clip.times.get(view.number) for view in run]
        if None in stamps:
            return sample
        arrays = {**sample.arrays, "timestamp_ns": np.array(stamps, np.int64)}
        time = {"source": "native_clock", "fps": FPS}
        return dataclasses.replace(sample, arrays=arrays, meta={**sample.meta, "time": time})


def _streams(tar: Path) -> dict[str, int]:
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


def _open(path: Path, stream: str) -> _Clip:
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as file:
            for member in file:
                if ".image_" not in member.name or f".image_{stream}." in member.name:
                    members[member.name] = file.extractfile(member).read()
        betas = json.loads(members["__hand_shapes.json__"])["mano"]
        return _Clip(path, stream, members, np.asarray(betas, float).reshape(10))
    except (tarfile.ReadError, EOFError):
        reason = "the tar is cut off"
    except (KeyError, TypeError, ValueError, AttributeError):
        reason = "the shape of the hands is missing"
    raise BadSample(reason, shard=str(path), key=path.stem, field="tar")


def _pose(told: Mapping[str, Any]) -> np.ndarray:
    """(4, 4) of a quaternion (w, x, y, z) and a translation (m)."""
    matrix = np.eye(4)
    turn = Rotation.from_quat(told["quaternion_wxyz"], scalar_first=True)
    matrix[:3, :3], matrix[:3, 3] = turn.as_matrix(), told["translation_xyz"]
    return matrix


def _clear(arrays: Mapping[str, np.ndarray], hand: int) -> None:
    """Takes every label of one hand away."""
    empty = blank(hands=1)
    for name, array in empty.items():
        if array.ndim >= 2 and array.shape[0] == 1 and name not in ("K", "cam_from_world"):
            arrays[name][hand] = 0 if name == "present" else array[0]
