"""HaMeR's labels of a hand, in the zoo's own schema: what its tars and evaluation files share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.data.schema import SCHEMA, ClipSample, absent_arrays

BOX_UNIT = 200.0  # px of a box whose `scale` is 1
_ASPECT = 192 / 256  # w / h of the part of a crop that the network sees
_SHAPES = {"keypoints_2d": (21, 3), "keypoints_3d": (21, 4), "hand_pose": (48,), "betas": (10,)}


def sample_of(
    hands: Sequence[Mapping[str, Any]],
    boxes: Sequence[np.ndarray],
    *,
    key: str,
    dataset: str,
    pictures: Sequence[bytes],
    suffix: str,
    shard: str,
) -> ClipSample:
    """One picture with its hands, H = len(hands) and T = 1.

    hands: of each, HaMeR's keys; absent ones are not labelled. `hand_pose` is absolute. A pose
        without betas keeps its zeros as the label, which is what HaMeR trains it with.
    boxes: (4,) px of each hand, x0 y0 x1 y1.
    Raises BadSample for an array of another shape, or with numbers that are not finite.
    """
    arrays = absent_arrays(hands=len(hands), frames=1)
    meta = {
        "schema": SCHEMA,
        "dataset": dataset,
        "license": "noncommercial",
        "hands": [{"side": "right" if _number(h, "right", 1) else "left"} for h in hands],
        "frames": [{}],
        "intr_type": "none",
        "bbox": {"kind": "padded"},
    }
    sample = ClipSample(key, meta, arrays, pictures, (suffix,), shard)
    for i, (hand, box) in enumerate(zip(hands, boxes, strict=True)):
        _check(sample, hand, box)
        _write(arrays, i, hand, box)
    return sample


def centred_box(center: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(4,) px, x0 y0 x1 y1.

    center: (2,) px. size: (2,) px, w and h.
    """
    return np.concatenate([center - size / 2, center + size / 2])


def widened(size: np.ndarray) -> np.ndarray:
    """A box size (w, h) grown to the ratio 192 : 256, as HaMeR does outside training."""
    height = max(size[1], size[0] / _ASPECT)
    return np.array([height * _ASPECT, height])


def upright(side: float) -> np.ndarray:
    """The size (w, h) of ratio 192 : 256 whose longer side is `side`; widening keeps it."""
    return np.array([side * _ASPECT, side])


def _number(hand: Mapping[str, Any], name: str, default: float) -> float:
    return float(np.asarray(hand.get(name, default)))


def _check(sample: ClipSample, hand: Mapping[str, Any], box: np.ndarray) -> None:
    for name, shape in _SHAPES.items():
        if name not in hand:
            continue
        try:
            found = np.asarray(hand[name], np.float32)
        except (TypeError, ValueError) as error:
            raise sample.bad(name, f"holds no numbers ({error})") from error
        if found.shape != shape:
            raise sample.bad(name, f"has shape {found.shape}, must be {shape}")
        if not np.isfinite(found).all():
            raise sample.bad(name, "NaN or infinity")
    if not np.isfinite(box).all():
        raise sample.bad("scale", f"the box {np.asarray(box).tolist()} is not finite")


def _write(
    arrays: Mapping[str, np.ndarray], i: int, hand: Mapping[str, Any], box: np.ndarray
) -> None:
    arrays["present"][i] = arrays["has_bbox"][i] = 1
    arrays["bbox_xyxy"][i] = box
    for source, points, confidence in (
        ("keypoints_2d", "kp2d", "kp2d_conf"),
        ("keypoints_3d", "kp3d", "kp3d_conf"),
    ):
        if source in hand:
            labelled = np.asarray(hand[source], np.float32)
            sure = labelled[:, -1].clip(0, None)
            arrays[confidence][i] = sure
            arrays[points][i] = labelled[:, :-1] * (sure > 0)[:, None]
    if "hand_pose" in hand and _number(hand, "has_hand_pose", 1):
        pose = np.asarray(hand["hand_pose"], np.float32)
        arrays["has_mano_pose"][i] = arrays["has_mano_betas"][i] = 1
        arrays["mano_global"][i], arrays["mano_pose"][i] = pose[:3], pose[3:]
        if "betas" in hand and _number(hand, "has_betas", 1):
            arrays["mano_betas"][i] = hand["betas"]
