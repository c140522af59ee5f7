"""handclip-1: how a run of frames with its hands lies in a tar, and how it becomes Frames."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from scipy.spatial.transform import Rotation

from zoo.contracts import Frame, HandTarget
from zoo.data.pictures import SUFFIXES, decode_picture
from zoo.data.schema_camera import check_camera
from zoo.data.schema_depth import check_depths, depth_members, depth_of, read_depths
from zoo.geometry.camera import assumed_intrinsics

SCHEMA = "handclip-1"
META, ARRAYS = "meta.json", "ann.st"


class BadSample(ValueError):
    """A sample that cannot be used; says which tar, key and field, and why."""

    def __init__(self, reason: str, *, shard: str = "", key: str = "", field: str = "") -> None:
        """All four may be read back as attributes."""
        super().__init__(f"{shard or 'sample'}: {key}: {field}: {reason}" if key else reason)
        self.reason, self.shard, self.key, self.field = reason, shard, key, field


class Column(NamedTuple):
    """One array of the schema: its axes (H hands, T frames), type, and value where absent."""

    axes: tuple[str | int, ...]
    dtype: type
    absent: float = 0
    flag: str | None = None  # the array that says where this one holds


COLUMNS: Mapping[str, Column] = {
    "present": Column(("H", "T"), np.uint8),
    "bbox_xyxy": Column(("H", "T", 4), np.float32, flag="has_bbox"),
    "has_bbox": Column(("H", "T"), np.uint8),
    "kp2d": Column(("H", "T", 21, 2), np.float32, flag="kp2d_conf"),
    "kp2d_conf": Column(("H", "T", 21), np.float32),
    "kp2d_vis": Column(("H", "T", 21), np.int8, absent=-1),
    "kp3d": Column(("H", "T", 21, 3), np.float32, flag="kp3d_conf"),
    "kp3d_conf": Column(("H", "T", 21), np.float32),
    "mano_global": Column(("H", "T", 3), np.float32, flag="has_mano_pose"),
    "mano_pose": Column(("H", "T", 45), np.float32, flag="has_mano_pose"),
    "has_mano_pose": Column(("H", "T"), np.uint8),
    "mano_betas": Column(("H", "T", 10), np.float32, flag="has_mano_betas"),
    "has_mano_betas": Column(("H", "T"), np.uint8),
    "mano_transl": Column(("H", "T", 3), np.float32, flag="has_mano_transl"),
    "has_mano_transl": Column(("H", "T"), np.uint8),
    "fit_error": Column(("H", "T"), np.float32, absent=np.nan),
    "K": Column(("T", 3, 3), np.float32, flag="has_K"),
    "has_K": Column(("T",), np.uint8),
    "cam_from_world": Column(("T", 4, 4), np.float32, flag="has_extr"),
    "has_extr": Column(("T",), np.uint8),
    "frame_index": Column(("T",), np.int64, absent=-1),
    "timestamp_ns": Column(("T",), np.int64, absent=-1),
}
OPTIONAL: Mapping[str, Column] = {
    "verts": Column(("H", "T", 778, 3), np.float32, flag="has_verts"),
    "has_verts": Column(("H", "T"), np.uint8),
}
_EVERY = {**COLUMNS, **OPTIONAL}
_CHECKED = tuple(name for name, c in _EVERY.items() if c.flag or name.endswith("_conf"))


@dataclass(frozen=True)
class ClipSample:
    """One camera, a run of T frames without gaps, H hand tracks: one sample of a tar."""

    key: str  # dataset/split/sequence/camera_first-frame, without dots
    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]  # as in COLUMNS; bbox, kp2d and K in px of the stored picture
    pictures: tuple[bytes, ...]  # T encoded pictures
    suffixes: tuple[str, ...]  # "jpg", "png" or "webp", one a picture
    shard: str = ""
    depths: tuple[bytes | None, ...] = ()  # T 16-bit PNGs in units of meta's depth.unit_m, or none

    def slots(self) -> list[tuple[int, int]]:
        """Every (hand, frame) that carries a label, frame by frame."""
        labelled = self.arrays["has_bbox"].astype(bool) | (self.arrays["kp2d_conf"] > 0).any(-1)
        labelled &= self.arrays["present"].astype(bool)
        return [(int(hand), int(frame)) for frame, hand in np.argwhere(labelled.T)]

    def bad(self, field: str, reason: str) -> BadSample:
        """The error to raise about one field of this sample."""
        return BadSample(reason, shard=self.shard, key=self.key, field=field)


def absent_arrays(*, hands: int, frames: int) -> dict[str, np.ndarray]:
    """Every required array, full of its value for "nothing is known"."""
    sizes = {"H": hands, "T": frames}
    return {
        name: np.full([sizes.get(a, a) for a in column.axes], column.absent, column.dtype)
        for name, column in COLUMNS.items()
    }


def encode(sample: ClipSample) -> dict[str, bytes]:
    """The members of a sample's tar entries, name to bytes, in the order they are written.

    Raises BadSample where the sample breaks the schema, so that no shard holds such a one.
    """
    if "." in sample.key or not sample.key:
        raise sample.bad("key", "a key may hold no dots and may not be empty")
    _check_layout(sample)
    _check_absent_is_zero(sample)
    for hand, frame in sample.slots():
        _check_finite(sample, hand, frame)
    order = [name for name in _EVERY if name in sample.arrays]
    arrays = {name: np.ascontiguousarray(sample.arrays[name]) for name in order}
    members = {META: json.dumps(dict(sample.meta), sort_keys=True).encode()}
    members[ARRAYS] = save_arrays(arrays)
    for index, (picture, suffix) in enumerate(zip(sample.pictures, sample.suffixes, strict=True)):
        members[f"f{index:04d}.{suffix}"] = picture
    members |= depth_members(sample)
    return {f"{sample.key}.{name}": data for name, data in members.items()}


def parse(members: Mapping[str, Any], shard: str = "") -> ClipSample:
    """A tar's members as a ClipSample, shapes checked, pictures still encoded.

    members: `__key__`, and bytes by name, as webdataset groups them.
    """
    key = str(members.get("__key__", ""))
    blank = ClipSample(key, {}, {}, (), (), shard)
    for name in (META, ARRAYS):
        if name not in members:
            raise blank.bad(name, "this member is missing")
    try:
        meta = json.loads(members[META])
    except ValueError as error:
        raise blank.bad(META, f"not JSON ({error})") from error
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        raise blank.bad(f"{META}: schema", f"only {SCHEMA!r} can be read")
    try:
        arrays = load_arrays(members[ARRAYS])
    except (SafetensorError, KeyError, ValueError) as error:
        raise blank.bad(ARRAYS, f"not a safetensors file ({error})") from error
    found = sorted(name for name in members if re.fullmatch(r"f\d{4}\.\w+", name))
    pictures = tuple(members[name] for name in found)
    suffixes, depths = tuple(n.split(".")[1] for n in found), read_depths(members, len(pictures))
    sample = ClipSample(key, meta, arrays, pictures, suffixes, shard, depths)
    _check_layout(sample)
    return sample


def decode(members: Mapping[str, Any], shard: str = "") -> list[Frame]:
    """One Frame per (hand, frame) that carries a label; raises BadSample at the first bad one."""
    sample = parse(members, shard)
    return [decode_slot(sample, hand, frame) for hand, frame in sample.slots()]


def decode_slot(sample: ClipSample, hand: int, frame: int, *, reduce: int = 1) -> Frame:
    """One hand in one picture, with its label in that picture's pixels and camera.

    A quantity that is not labelled is zero with validity 0. Left hands stay left. Where no camera
    was measured, `intrinsics` is the guess HaMeR makes and `has_intrinsics` is 0. With `reduce` the
    image alone is smaller, see `zoo.data.shrink`.
    """
    _check_finite(sample, hand, frame)
    check_camera(sample, hand, frame)
    side = sample.meta["hands"][hand].get("side")
    if side not in ("left", "right"):
        raise sample.bad(f"hands[{hand}].side", f"{side!r} is neither 'left' nor 'right'")
    try:
        image = decode_picture(sample.pictures[frame], reduce=reduce)
    except ValueError as error:
        raise sample.bad(f"f{frame:04d}", str(error)) from error
    height, width = image.shape[:2]
    told = sample.meta["frames"][frame]
    if reduce > 1 and (width, height) == tuple(-(-told[n] // reduce) for n in ("width", "height")):
        width, height = told["width"], told["height"]
    # A foreign release may not say the size of a picture it has not decoded.
    if told and (told.get("width"), told.get("height")) != (width, height):
        size = f"{told.get('width')}x{told.get('height')}"
        raise sample.bad(f"f{frame:04d}", f"the picture is {width}x{height}, the label says {size}")
    suffix = f"#{hand}.{frame}" if sample.arrays["present"].size > 1 else ""
    return Frame(
        image=torch.from_numpy(image).permute(2, 0, 1),
        intrinsics=torch.from_numpy(_intrinsics(sample.arrays, frame, width, height)),
        hand_box=torch.from_numpy(_hand_box(sample, hand, frame, width, height)),
        is_left=side == "left",
        label=_label(sample.arrays, hand, frame),
        key=sample.key + suffix,
        source=str(sample.meta.get("dataset", "unknown")),
        depth=depth_of(sample, frame, (height, width)),
    )


def _label(arrays: Mapping[str, np.ndarray], hand: int, frame: int) -> HandTarget:
    at = (hand, frame)
    has_mano = bool(arrays["has_mano_pose"][at] and arrays["has_mano_betas"][at])
    rotmats = np.zeros((16, 3, 3), np.float32)
    if has_mano:
        rotvecs = np.concatenate([arrays["mano_global"][at], arrays["mano_pose"][at]])
        rotmats[:] = Rotation.from_rotvec(rotvecs.reshape(16, 3).astype(np.float64)).as_matrix()
    joints_valid = arrays["kp3d_conf"][at].clip(0, 1)
    keypoints_valid = arrays["kp2d_conf"][at].clip(0, 1)
    has_verts = "verts" in arrays and bool(arrays["has_verts"][at])
    return HandTarget(
        rotmats=torch.from_numpy(rotmats),
        betas=torch.from_numpy(arrays["mano_betas"][at] * np.float32(has_mano)),
        has_mano=torch.tensor(float(has_mano)),
        joints=torch.from_numpy(arrays["kp3d"][at] * (joints_valid > 0)[:, None]),
        joints_valid=torch.from_numpy(joints_valid),
        keypoints=torch.from_numpy(arrays["kp2d"][at] * (keypoints_valid > 0)[:, None]),
        keypoints_valid=torch.from_numpy(keypoints_valid),
        has_intrinsics=torch.tensor(float(arrays["has_K"][frame])),
        vertices=torch.from_numpy(arrays["verts"][at].copy()) if has_verts else None,
        vertices_valid=torch.tensor(1.0) if has_verts else None,
    )


def _intrinsics(
    arrays: Mapping[str, np.ndarray], frame: int, width: int, height: int
) -> np.ndarray:
    if arrays["has_K"][frame]:
        return arrays["K"][frame].copy()
    return assumed_intrinsics(torch.tensor([[height, width]], dtype=torch.float32))[0].numpy()


def _hand_box(sample: ClipSample, hand: int, frame: int, width: int, height: int) -> np.ndarray:
    """(4,) px: the stored box, or the tight box of the labelled keypoints where there is none."""
    arrays, field = sample.arrays, "bbox_xyxy"
    if arrays["has_bbox"][hand, frame]:
        box = arrays["bbox_xyxy"][hand, frame].copy()
    else:
        field = "kp2d"
        points = arrays["kp2d"][hand, frame][arrays["kp2d_conf"][hand, frame] > 0]
        if not len(points):
            raise sample.bad(field, f"hand {hand} has neither a box nor keypoints in frame {frame}")
        box = np.concatenate([points.min(0), points.max(0)])
    if box[2] <= box[0] or box[3] <= box[1]:
        raise sample.bad(field, f"the box {box.tolist()} (x0 y0 x1 y1) has no area")
    if box[0] >= width - 0.5 or box[1] >= height - 0.5 or box[2] <= -0.5 or box[3] <= -0.5:
        raise sample.bad(field, f"the box {box.tolist()} lies outside the {width}x{height} picture")
    return box


def _check_layout(sample: ClipSample) -> None:
    """Every array there, of the right shape and type, and as many pictures as frames."""
    hands, frames = sample.meta.get("hands"), sample.meta.get("frames")
    for name, value in (("hands", hands), ("frames", frames)):
        entries = value if isinstance(value, Sequence) else ()
        if not entries or not all(isinstance(entry, Mapping) for entry in entries):
            raise sample.bad(f"{META}: {name}", "must be a list of objects, at least one")
    if len(sample.pictures) != len(frames):
        found = f"{len(sample.pictures)} pictures for {len(frames)} frames"
        raise sample.bad("f0000", f"{found}; the pictures are members f0000.jpg, f0001.jpg, ...")
    if unknown := set(sample.suffixes) - set(SUFFIXES):
        raise sample.bad("f0000", f"pictures are {', '.join(SUFFIXES)}, not {sorted(unknown)}")
    check_depths(sample)
    sizes = {"H": len(hands), "T": len(frames)}
    for name, column in _EVERY.items():
        array = sample.arrays.get(name)
        if array is None:
            if name in COLUMNS or (column.flag or f"has_{name}") in sample.arrays:
                raise sample.bad(name, "this array is missing")
            continue
        shape = tuple(sizes.get(axis, axis) for axis in column.axes)
        if array.shape != shape or array.dtype != column.dtype:
            wanted = f"{np.dtype(column.dtype)} {shape}"
            raise sample.bad(name, f"is {array.dtype} {array.shape}, must be {wanted}")


def _check_finite(sample: ClipSample, hand: int, frame: int) -> None:
    for name in _CHECKED:
        array = sample.arrays.get(name)
        if array is None:
            continue
        values = array[hand, frame] if _EVERY[name].axes[0] == "H" else array[frame]
        if not np.isfinite(values).all():
            raise sample.bad(name, f"NaN or infinity for hand {hand} in frame {frame}")


def _check_absent_is_zero(sample: ClipSample) -> None:
    for name, column in _EVERY.items():
        if column.flag and name in sample.arrays:
            hidden = sample.arrays[column.flag] == 0
            if sample.arrays[name][hidden].any():
                raise sample.bad(name, f"must be 0 wherever {column.flag} is 0")
