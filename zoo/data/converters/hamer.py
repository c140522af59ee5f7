"""HaMeR's training tars to shards of ours and back: the labels of a picture, none filtered away.

Source of the layout: the released tars (Pavlakos et al., CVPR 2024), as datasets' readers tell it.
"""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.contracts import SkippedSample
from zoo.data.converters.hands import View, blank, clip_of
from zoo.data.converters.release import Release, Rows, describe
from zoo.data.hamer_labels import BOX_UNIT, centred_box
from zoo.data.hamer_tars import hands_of, misfit
from zoo.data.pictures import SUFFIXES, decode_picture
from zoo.data.schema import BadSample, ClipSample
from zoo.data.shards import resolve_shards
from zoo.data.sources import tar_members

TAR_PICTURES = 1000  # of a released tar, about
DEFAULT_EXPAND = 2.0  # HaMeR's padding of a tight box
RELEASE = Release(
    dataset="hamer",
    title="HaMeR's training data",
    home="https://github.com/geopavlakos/hamer",
    license="noncommercial",
    terms="Licence: those of the data sets inside (FreiHAND, HO-3D, InterHand2.6M and others).",
    citation="Pavlakos et al., Reconstructing Hands in 3D with Transformers, CVPR 2024.",
)


class HamerTraining:
    """Converter of HaMeR's tars: a sample a picture with all its hands, T = 1.

    Flags and confidences are stored as given; the filters of HaMeR's loader act when a shard is
    exported and read again, or in the config's own source. Not kept: `detection.npz` masks.
    """

    release = RELEASE
    splits = ("train",)
    aliases: ClassVar[Mapping[str, str]] = {}

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every tar of a folder, or of the folders in it.

        Raises:
            ValueError: where there is no tar.
        """
        tars = sorted(source.rglob("*.tar")) if source.is_dir() else [source]
        urls = resolve_shards([str(tar) for tar in tars] or [str(source)])

        def read(index: int, skipped: list[SkippedSample]) -> list[ClipSample]:
            samples = []
            for members in tar_members(urls[index], skipped):
                try:
                    samples.append(_sample(members, urls[index], split))
                except BadSample as bad:
                    lost = SkippedSample(key=bad.key, shard=bad.shard, reason=bad.reason)
                    skipped.append(lost)
            return samples

        return Rows(len(urls), read, None, frames=TAR_PICTURES)


def _sample(members: Mapping[str, Any], url: str, split: str) -> ClipSample:
    told = str(members.get("__key__", ""))
    suffix = next((name for name in SUFFIXES if name in members), None)
    if suffix is None:
        raise BadSample("no picture", shard=url, key=told, field=".jpg")
    hands = hands_of(members, told, url)
    if not hands:
        raise BadSample("no hand is listed", shard=url, key=told, field="data.pyd")
    picture = members[suffix]
    try:
        height, width = decode_picture(picture).shape[:2]
        arrays = blank(hands=len(hands))
        for index, hand in enumerate(hands):
            write_hand(arrays, index, hand)
    except (TypeError, ValueError) as error:
        raise BadSample(str(error), shard=url, key=told, field="data.pyd") from error
    dataset, _, name = told.rpartition("/")
    dataset = dataset or Path(url).parent.name
    file = f"{name}.{suffix}"
    meta = describe(
        RELEASE,
        split=split,
        hands=["right" if float(np.asarray(h.get("right", 1))) else "left" for h in hands],
        picture=(file, width, height),
        sequence_id=told,
        camera_id="0",
        bbox={"kind": "padded", "expand": None, "source": "official"},
        kp3d={"origin": None, "tips": None},
        fit_error_kind="hamer_reprojection_loss",
        mano={"left_shapedirs": "na", "betas": "per_frame", "transl": "none", "fit": "HaMeR"},
        hamer_key=told,
    )
    meta["dataset"] = dataset
    for entry, hand in zip(meta["hands"], hands, strict=True):
        entry["person_id"], entry["pair"] = int(np.asarray(hand.get("personid", 0))), None
    key = told.replace(".", "-")
    return clip_of([View(-1, arrays, picture, file, (width, height))], key=key, meta=meta)


def write_hand(arrays: Mapping[str, np.ndarray], index: int, hand: Mapping[str, Any]) -> None:
    """Stores one hand as HaMeR's files tell it, flags and confidences as given.

    hand: HaMeR's keys; `center` px, `scale` in boxes of 200 px. Raises ValueError for an empty box
        or numbers that are not finite.
    """
    at = (index, 0)
    size = np.asarray(hand["scale"], float) * BOX_UNIT
    box = centred_box(np.asarray(hand["center"], float), size)
    if not np.isfinite(box).all() or (size <= 0).any():
        raise ValueError("the hand box has no area")
    arrays["bbox_xyxy"][at], arrays["has_bbox"][at] = box, 1
    for source, points, confidence in (
        ("keypoints_2d", "kp2d", "kp2d_conf"),
        ("keypoints_3d", "kp3d", "kp3d_conf"),
    ):
        if source in hand:
            labelled = np.asarray(hand[source], np.float32).reshape(21, -1)
            if not np.isfinite(labelled).all():
                raise ValueError(f"NaN or infinity in {source}")
            sure = labelled[:, -1].clip(0, None)
            arrays[confidence][at] = sure
            arrays[points][at] = labelled[:, :-1] * (sure > 0)[:, None]
    if "hand_pose" in hand and float(np.asarray(hand.get("has_hand_pose", 1))):
        pose = np.asarray(hand["hand_pose"], np.float32).reshape(48)
        arrays["mano_global"][at], arrays["mano_pose"][at] = pose[:3], pose[3:]
        arrays["has_mano_pose"][at] = 1
    if "betas" in hand and float(np.asarray(hand.get("has_betas", 1))):
        arrays["mano_betas"][at] = np.asarray(hand["betas"], np.float32).reshape(10)
        arrays["has_mano_betas"][at] = 1
    if hand.get("extra_info"):
        arrays["fit_error"][at] = misfit(hand)


def write_hamer_tar(path: str | os.PathLike, samples: Iterable[ClipSample]) -> int:
    """Leaves samples as HaMeR's loader wants them, and returns how many pictures that makes.

    Each frame becomes a picture of its own. What HaMeR's layout has no place for is lost: camera,
    time, translation, visibility. Boxes that are not padded are padded as HaMeR pads.
    """
    count = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            key = str(sample.meta.get("hamer_key") or sample.key)
            for frame, picture in enumerate(sample.pictures):
                hands = [_hand(sample, h, frame) for h, at in sample.slots() if at == frame]
                if not hands:
                    continue
                name = key if len(sample.pictures) == 1 else f"{key}_{frame:04d}"
                # protocol 2 names numpy's functions in a line, which older numpy knows by this name
                labels = pickle.dumps(hands, protocol=2)
                labels = labels.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
                members = {sample.suffixes[frame]: picture, "data.pyd": labels}
                for suffix, data in members.items():
                    entry = tarfile.TarInfo(f"{name}.{suffix}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
                count += 1
    return count


def _hand(sample: ClipSample, hand: int, frame: int) -> dict[str, Any]:
    at, arrays = (hand, frame), sample.arrays
    told = sample.meta.get("bbox") or {}
    expand = 1.0 if told.get("kind") == "padded" else told.get("expand") or DEFAULT_EXPAND
    box = arrays["bbox_xyxy"][at].astype(np.float64)
    if not arrays["has_bbox"][at]:
        points = arrays["kp2d"][at][arrays["kp2d_conf"][at] > 0]
        box = np.concatenate([points.min(0), points.max(0)]).astype(np.float64)
    loss = arrays["fit_error"][at]
    fitted = sample.meta.get("fit_error_kind") == "hamer_reprojection_loss" and np.isfinite(loss)
    info = {"fitting_loss": np.array({"reprojection_loss": float(loss)}, object)} if fitted else {}
    return {
        "keypoints_2d": np.c_[arrays["kp2d"][at], arrays["kp2d_conf"][at]],
        "keypoints_3d": np.c_[arrays["kp3d"][at], arrays["kp3d_conf"][at]],
        "center": (box[:2] + box[2:]) / 2,
        "scale": expand * (box[2:] - box[:2]) / BOX_UNIT,
        "hand_pose": np.r_[arrays["mano_global"][at], arrays["mano_pose"][at]],
        "betas": arrays["mano_betas"][at].copy(),
        "has_hand_pose": np.array(float(arrays["has_mano_pose"][at]), np.float32),
        "has_betas": np.array(float(arrays["has_mano_betas"][at]), np.float32),
        "right": np.array(float(sample.meta["hands"][hand]["side"] == "right"), np.float32),
        "personid": int(sample.meta["hands"][hand].get("person_id") or 0),
        "extra_info": info,
    }
