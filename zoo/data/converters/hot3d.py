"""HOT3D-Clips: tars of 150 fisheye frames, two hands each as MANO parameters in the world.

Source of the layout: the data set's documentation (Banerjee et al., CVPR 2025).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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
from zoo.data.converters.hot3d_clips import Clip, list_clips, open_clip, streams_of
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

        source: the folder with `train_aria`, `train_quest3`, ... or with clip-*.tar themselves,
            of which `clip_splits.json` beside them tells the split. Of most test clips the hands
            are not published; they are left out with that reason.

        Raises:
            ValueError: where there is no clip, or no hand to pose.
        """
        if self.labels is None:
            raise ValueError(
                "HOT3D stores MANO parameters and no joints that could serve instead; name the "
                "hand with --hand (MANO_RIGHT.pkl)."
            )
        tars = list_clips(source, split)
        if not tars:
            raise ValueError(f"{source} holds no {split}*/clip-*.tar; download HOT3D-Clips there.")
        pieces = [(tar, *found) for tar in tars for found in streams_of(tar).items()]
        listed = sum(count for *_, count in pieces)

        def read(index: int, skipped: list[SkippedSample]) -> list[ClipSample]:
            try:
                clip = open_clip(*pieces[index][:2])
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

    def _view(self, clip: Clip, number: int, split: str) -> View:
        key = f"hot3d/{split}/{clip.path.stem}/{clip.stream}_{number}"
        camera = (clip.json(number, "cameras", key) or {}).get(clip.stream)
        hands = clip.json(number, "hands", key) or {}
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
            told = hands.get(side) or {}
            pose = _pose_of(told["mano_pose"], key) if told.get("mano_pose") else None
            seen = (told.get("visibilities_modeled") or {}).get(clip.stream, 1)
            try:
                self._write(arrays, clip.betas, pose, seen, side, index, size, key)
            except BadSample:
                _clear(arrays, index)
        if not arrays["present"].any():
            raise BadSample("no hand is in the picture", key=key, field="hands")
        self._note_time(clip, number, key)
        return View(number, arrays, picture, f"{clip.path.name}/{number:06d}.jpg", size)

    def _write(
        self,
        arrays: Mapping[str, np.ndarray],
        betas: np.ndarray,
        pose: tuple[np.ndarray, np.ndarray] | None,
        seen: float,
        side: str,
        index: int,
        size: tuple[int, int],
        key: str,
    ) -> None:
        """One hand's joints, box and MANO; raises BadSample where it is not to be used."""
        if pose is None or seen < self.min_visibility:
            raise BadSample("the hand is not there", key=key)
        wrist_xform, thetas = pose
        from_world = arrays["cam_from_world"][0].astype(float)
        rotation = from_world[:3, :3]
        turned = Rotation.from_matrix(rotation) * Rotation.from_rotvec(wrist_xform[:3])
        fingers = self.labels.from_components(thetas, side)
        rotvec = np.r_[turned.as_rotvec(), fingers]
        joints = self.labels.posed(rotvec, betas, side)
        wrist = rotation @ (joints[0] + wrist_xform[3:]) + from_world[:3, 3]
        intrinsics = arrays["K"][0]
        put_joints(arrays, joints - joints[0] + wrist, intrinsics, key=key, hand=index)
        put_box(arrays, size, key=key, hand=index)
        self.labels.write(
            arrays,
            side=side,
            rotvec=rotvec,
            betas=betas,
            wrist=lambda _: wrist,
            hand=index,
        )

    def _note_time(self, clip: Clip, number: int, key: str) -> None:
        """Keeps the camera's own clock, whole nanoseconds, where the release tells it."""
        listed = f"{number:06d}.info.json" in clip.members
        info = (clip.json(number, "info", key) if listed else None) or {}
        stamps = info.get("image_timestamps_ns") or {}
        clip.info = info or clip.info
        if clip.stream in stamps:
            clip.times[number] = int(stamps[clip.stream])

    def _clip(self, clip: Clip, run: Sequence[View], split: str) -> ClipSample:
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


def _pose_of(told: Mapping[str, Any], key: str) -> tuple[np.ndarray, np.ndarray]:
    """(6,) root rotation and translation in the world, and (15,) coefficients of the fingers."""
    try:
        return (
            np.asarray(told["wrist_xform"], float).reshape(6),
            np.asarray(told["thetas"], float).reshape(15),
        )
    except (KeyError, TypeError, ValueError):
        reason = "mano_pose is not 15 thetas and a wrist_xform of 6 numbers"
        raise BadSample(reason, key=key, field="hands") from None


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
