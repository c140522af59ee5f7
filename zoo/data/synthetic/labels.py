"""Writes a scene and its pictures down in the schema's arrays, as the hand it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.data.schema import SCHEMA, ClipSample, absent_arrays
from zoo.data.synthetic.scene import Scene

_MIRROR_POINT = np.array([-1.0, 1, 1])
_MIRROR_ROTVEC = np.array([1.0, -1, -1])


def sample_of(
    scene: Scene, pictures: Sequence[bytes], *, key: str, split: str, image_size: int
) -> ClipSample:
    """The tar sample of a scene; `pictures` already show the left hand where it is one."""
    return ClipSample(
        key=key,
        meta=_meta(scene, split=split, image_size=image_size, key=key),
        arrays=arrays_of(scene, image_size),
        pictures=tuple(pictures),
        suffixes=("jpg",) * len(pictures),
    )


def arrays_of(scene: Scene, image_size: int) -> dict[str, np.ndarray]:
    """The schema's arrays of a scene, H = 1; a left hand is the mirror image of the right one."""
    point = _MIRROR_POINT if scene.is_left else np.ones(3)
    turn = _MIRROR_ROTVEC if scene.is_left else np.ones(3)
    intrinsics, keypoints = scene.intrinsics.copy(), scene.keypoints
    if scene.is_left:
        intrinsics[0, 2] = image_size - 1 - intrinsics[0, 2]
        keypoints = [image_size - 1, 0] + keypoints * [-1, 1]
    frames = len(keypoints)
    arrays = absent_arrays(hands=1, frames=frames)
    values = {
        "kp3d": scene.joints * point,
        "kp2d": keypoints,
        "bbox_xyxy": np.concatenate([keypoints.min(1), keypoints.max(1)], -1),
        "mano_global": scene.rotvecs[:, 0] * turn,
        "mano_pose": (scene.rotvecs[:, 1:] * turn).reshape(frames, 45),
        "mano_betas": scene.betas,
        "mano_transl": scene.transl * point,
    }
    for name, value in values.items():
        arrays[name][0] = value
    arrays["K"][:] = intrinsics
    for name in ("present", "has_bbox", "kp2d_conf", "kp3d_conf", "has_mano_pose"):
        arrays[name][:] = 1
    for name in ("has_mano_betas", "has_mano_transl", "has_K"):
        arrays[name][:] = 1
    arrays["frame_index"][:] = np.arange(frames)
    arrays["timestamp_ns"][:] = scene.timestamps
    return arrays


def _meta(scene: Scene, *, split: str, image_size: int, key: str) -> Mapping[str, Any]:
    side = "left" if scene.is_left else "right"
    hand = {"side": side, "side_valid": True, "track_id": 0, "source_index": 0}
    picture = {"file": None, "width": image_size, "height": image_size, "source_to_stored": None}
    frames = [{"member": f"f{t:04d}.jpg"} | picture for t in range(len(scene.transl))]
    clock = "frame_rate" if scene.frame_rate else "none"
    return {
        "schema": SCHEMA,
        "dataset": "synthetic",
        "dataset_version": "clayhand-1",
        "split": split,
        "license": "Apache-2.0",
        "sequence_id": key,
        "camera_id": "0",
        "subject_id": None,
        "source_take": key,
        "hands": [hand | {"person_id": 0, "pair": None}],
        "frames": frames,
        "time": {"source": clock, "fps": scene.frame_rate},
        "intr_type": "synthetic",
        "camera_model": "pinhole",
        "bbox": {"kind": "tight", "expand": None, "source": "kp2d"},
        "mano": {
            "left_shapedirs": "fixed",
            "betas": "per_subject",
            "transl": "smplx",
            "fit": "clayhand",
        },
        "kp3d": {"origin": "synthetic", "tips": "smplx"},
        "fit_error_kind": None,
    }
