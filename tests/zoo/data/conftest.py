"""Small made-up clips for every test of the data room."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from zoo.data.schema import ClipSample, absent_arrays
from zoo.data.shards import write_shard

HANDS, FRAMES, WIDTH, HEIGHT = 2, 3, 80, 60


def make_sample(seed=0, hands=HANDS, frames=FRAMES, suffix="png"):
    rng = np.random.default_rng(seed)
    arrays = absent_arrays(hands=hands, frames=frames)
    for name in ("present", "has_bbox", "has_mano_pose", "has_mano_betas", "has_mano_transl"):
        arrays[name][:] = 1
    arrays["has_K"][:] = 1
    arrays["K"][:] = [[100, 0, 40], [0, 100, 30], [0, 0, 1]]
    arrays["kp3d"] = rng.normal([0, 0, 0.6], 0.05, arrays["kp3d"].shape).astype(np.float32)
    image = arrays["kp3d"] @ arrays["K"][0].T
    arrays["kp2d"] = image[..., :2] / image[..., 2:]
    arrays["kp3d_conf"][:] = arrays["kp2d_conf"][:] = 1
    arrays["bbox_xyxy"][:] = [10, 5, 70, 50]
    for name in ("mano_global", "mano_pose", "mano_betas", "mano_transl"):
        arrays[name] = rng.normal(0, 0.5, arrays[name].shape).astype(np.float32)
    arrays["timestamp_ns"][:] = 10**18 + np.arange(frames) * 33_333_333
    images = rng.integers(0, 256, (frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
    meta = {
        "schema": "handclip-1",
        "dataset": "made_up",
        "hands": [{"side": side} for side in ("right", "left")[:hands]],
        "frames": [{"width": WIDTH, "height": HEIGHT}] * frames,
    }
    pictures = tuple(cv2.imencode(f".{suffix}", i[..., ::-1])[1].tobytes() for i in images)
    return ClipSample(
        f"made_up/train/s{seed}/0", meta, arrays, pictures, (suffix,) * frames
    ), images


@pytest.fixture(name="make_sample")
def _make_sample():
    """The maker of clips: (seed, hands, frames, suffix) -> (ClipSample, pictures)."""
    return make_sample


@pytest.fixture
def shards(tmp_path):
    """Five shards of seven one-hand pictures each, keys 0 to 34."""
    for shard in range(5):
        samples = [make_sample(7 * shard + n, hands=1, frames=1)[0] for n in range(7)]
        write_shard(tmp_path / f"{shard:02d}.tar", samples)
    return tmp_path
