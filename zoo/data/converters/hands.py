"""One hand in one picture as arrays, and pictures joined to runs: what most converters share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contracts import SkippedSample
from zoo.data.converters.release import box_around
from zoo.data.schema import COLUMNS, OPTIONAL, BadSample, ClipSample, absent_arrays

CLIP_FRAMES = 32  # pictures a sample holds at most


@dataclass(frozen=True)
class View:
    """The hands of one picture: arrays (H, 1, ...) as in the schema, and the encoded picture."""

    number: int  # of the frame in its sequence
    arrays: Mapping[str, np.ndarray]
    picture: bytes
    file: str  # path in the release
    size: tuple[int, int]  # width, height, px
    depth: bytes | None = None  # its depth picture, in the unit the sample's meta tells


def blank(number: int = -1, *, hands: int = 1) -> dict[str, np.ndarray]:
    """Arrays of hands in one picture, nothing labelled yet but that they are there."""
    arrays = absent_arrays(hands=hands, frames=1)
    arrays["present"][:] = 1
    arrays["frame_index"][0] = number
    return arrays


def put_camera(
    arrays: Mapping[str, np.ndarray],
    intrinsics: np.ndarray,
    from_world: np.ndarray | None = None,
) -> None:
    """Stores K (3, 3) px and, where known, the 4x4 camera-from-world (m)."""
    arrays["K"][0], arrays["has_K"][0] = intrinsics, 1
    if from_world is not None:
        arrays["cam_from_world"][0], arrays["has_extr"][0] = from_world, 1


def put_joints(
    arrays: Mapping[str, np.ndarray],
    joints: np.ndarray,
    intrinsics: np.ndarray,
    *,
    key: str,
    hand: int = 0,
    valid: np.ndarray | None = None,
    keypoints: np.ndarray | None = None,
) -> None:
    """Stores joints and where the camera sees them.

    joints: (21, 3) m, camera. valid: (21,), None for all. keypoints: (21, 2) px where the release
        has its own.
    Raises BadSample for a joint that is not in front of the camera, or is no number.
    """
    valid = np.ones(21, bool) if valid is None else np.asarray(valid, bool)
    if not np.isfinite(joints[valid]).all() or not (joints[valid, 2] > 1e-6).all():
        raise BadSample("a joint is not in front of the camera", key=key, field="kp3d")
    if keypoints is None:
        image = joints[valid] @ np.asarray(intrinsics, float).T
        keypoints = np.zeros((21, 2))
        keypoints[valid] = image[:, :2] / image[:, 2:]
    at = (hand, 0)
    arrays["kp3d"][at][valid], arrays["kp2d"][at][valid] = joints[valid], keypoints[valid]
    arrays["kp3d_conf"][at] = arrays["kp2d_conf"][at] = valid


def put_box(
    arrays: Mapping[str, np.ndarray],
    size: tuple[int, int],
    *,
    key: str,
    hand: int = 0,
    box: np.ndarray | None = None,
) -> None:
    """Stores a box (4,) px, x0 y0 x1 y1; None takes the tight one of the labelled keypoints.

    Raises BadSample for a box without area, or wholly outside the picture of `size` (w, h).
    """
    at = (hand, 0)
    if box is None:
        box = box_around(arrays["kp2d"][at][arrays["kp2d_conf"][at] > 0])
    box = np.asarray(box, float)
    if not np.isfinite(box).all() or (box[2:] <= box[:2]).any():
        raise BadSample("the hand box has no area", key=key, field="bbox_xyxy")
    if (box[:2] >= np.array(size) - 0.5).any() or (box[2:] <= -0.5).any():
        raise BadSample("the hand is outside the picture", key=key, field="bbox_xyxy")
    arrays["bbox_xyxy"][at], arrays["has_bbox"][at] = box, 1


def clip_of(views: Sequence[View], *, key: str, meta: Mapping[str, Any]) -> ClipSample:
    """One sample of consecutive pictures; `meta` is of any of them (`release.describe`)."""
    schema = {**COLUMNS, **OPTIONAL}
    arrays = {
        name: np.concatenate(
            [view.arrays[name] for view in views], axis=schema[name].axes.index("T")
        )
        for name in views[0].arrays
    }
    frames, suffixes = [], []
    for index, view in enumerate(views):
        suffix = Path(view.file).suffix.lower()
        (width, height), member = view.size, f"f{index:04d}{suffix}"
        told = {"member": member, "file": view.file, "width": width, "height": height}
        frames.append({**told, "source_to_stored": np.eye(3).tolist()})
        suffixes.append(suffix.lstrip("."))
    pictures = tuple(view.picture for view in views)
    depths = tuple(view.depth for view in views)
    return ClipSample(
        key,
        {**meta, "frames": frames},
        arrays,
        pictures,
        tuple(suffixes),
        depths=depths if any(depths) else (),
    )


def runs_of(
    numbers: Iterable[Any],
    read: Callable[[Any], View],
    write: Callable[[Sequence[View]], ClipSample],
    skipped: list[SkippedSample],
    *,
    shard: str,
    step: int = 1,
) -> list[ClipSample]:
    """Samples without gaps: a frame that is missing or cannot be used ends a run, and no more.

    numbers: what `read` takes, in order. step: of frame numbers that follow one another.
    """
    runs: list[list[View]] = []
    for number in numbers:
        try:
            view = read(number)
        except BadSample as bad:
            skipped.append(SkippedSample(key=bad.key, shard=shard, reason=bad.reason))
            continue
        if not runs or view.number != runs[-1][-1].number + step:
            runs.append([])
        runs[-1].append(view)
    return [write(run) for run in runs]


def timed(sample: ClipSample, *, fps: float) -> ClipSample:
    """The sample with times made of frame numbers at a frame rate, whole nanoseconds."""
    numbers = sample.arrays["frame_index"]
    stamps = np.round(numbers.astype(np.float64) * (1e9 / fps)).astype(np.int64)
    time = {"source": "frame_rate", "fps": fps}
    return dataclasses.replace(
        sample,
        arrays={**sample.arrays, "timestamp_ns": stamps},
        meta={**sample.meta, "time": time},
    )
