"""HaMeR's released training tars, read as they are: pictures, and pickled lists of their hands."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contracts import SkippedSample
from zoo.data.hamer_labels import BOX_UNIT, centred_box, sample_of
from zoo.data.pictures import SUFFIXES
from zoo.data.schema import BadSample, ClipSample
from zoo.data.shards import resolve_shards
from zoo.data.sources import skipped, tar_members
from zoo.mano.unpickler import BlockedPickle, read_arrays

_LABELS = "data.pyd"
_NEEDED = ("keypoints_2d", "center", "scale")


class HamerTars:
    """Hands of tars with `<key>.jpg` and `<key>.data.pyd`, filtered as HaMeR filters them.

    The pickles are read as data: arrays, numbers, texts, lists and dicts. One that asks for
    anything else is left out, and counted under the name of what it asked for. The stored boxes
    are padded already, so a crop of them is not expanded again. The filters are the released
    training's; None or 0 switches one off. They act in this order.

    shards: a folder, a glob, a brace range or a list of these.
    weight: share of this source in a mixture.
    crop_expand: `augmentation.crop.expand` of the config, which the stored boxes are divided by.
    min_confidence: a keypoint below it is not labelled.
    max_beta: the shape of a hand with a larger beta is not labelled.
    pose_needs_betas: a pose without a shape is not labelled, nor a shape without a pose.
    min_keypoints: a hand with so many labelled keypoints or fewer is left out.
    max_reprojection_loss: so is a hand whose fit was worse.
    count: hands in all tars, if known; else they are counted when they are asked for.
    """

    def __init__(
        self,
        *,
        shards: str | os.PathLike | Sequence[str | os.PathLike],
        weight: float = 1.0,
        crop_expand: float = 2.0,
        min_confidence: float | None = 0.3,
        max_beta: float | None = 3.0,
        pose_needs_betas: bool = True,
        min_keypoints: int = 4,
        max_reprojection_loss: float | None = 31000.0,
        count: int | None = None,
    ) -> None:
        self.urls, self.weight, self.crop_expand = resolve_shards(shards), weight, crop_expand
        self.min_confidence, self.max_beta = min_confidence, max_beta
        self.pose_needs_betas, self.min_keypoints = pose_needs_betas, min_keypoints
        self.max_reprojection_loss, self._count = max_reprojection_loss, count

    def samples(
        self, url: str, broken: list[SkippedSample]
    ) -> Iterator[ClipSample | SkippedSample]:
        """Every picture of a tar that has a hand left after the filters."""
        for members in tar_members(url, broken):
            try:
                sample = self._sample(members, url)
            except BadSample as bad:
                yield skipped(bad)
                continue
            if sample is not None:
                yield sample

    def count(self) -> int:
        """Hands left after the filters, or what the config says."""
        if self._count is None:
            found = (sample for url in self.urls for sample in self.samples(url, []))
            self._count = sum(len(s.slots()) if isinstance(s, ClipSample) else 1 for s in found)
        return self._count

    def fingerprint(self) -> str:
        """sha256 over names and sizes of the tars and over the filters; no tar is opened."""
        tars = [
            f"{Path(url).parent.name}/{Path(url).name} {os.path.getsize(url)}" for url in self.urls
        ]
        return hashlib.sha256("\n".join([*tars, *self._filters()]).encode()).hexdigest()

    def _filters(self) -> list[str]:
        names = ("min_confidence", "max_beta", "pose_needs_betas", "min_keypoints")
        return [f"{n} {getattr(self, n)}" for n in (*names, "max_reprojection_loss")]

    def _sample(self, members: Mapping[str, Any], url: str) -> ClipSample | None:
        key = str(members.get("__key__", ""))
        suffix = next((name for name in SUFFIXES if name in members), None)
        if suffix is None:
            raise BadSample("no picture", shard=url, key=key, field=".jpg")
        hands = hands_of(members, key, url)
        try:
            kept = [hand for hand in map(self._filtered, hands) if hand is not None]
            boxes = [self._box(hand) for hand in kept]
        except (TypeError, ValueError) as error:
            reason = f"something else stands where numbers should ({error})"
            raise BadSample(reason, shard=url, key=key, field=_LABELS) from error
        if not kept:
            return None
        return sample_of(
            kept,
            boxes,
            key=key,
            dataset=key.rpartition("/")[0] or "hamer",
            pictures=(members[suffix],),
            suffix=suffix,
            shard=url,
        )

    def _box(self, hand: Mapping[str, Any]) -> np.ndarray:
        center, scale = np.asarray(hand["center"], float), np.asarray(hand["scale"], float)
        return centred_box(center, scale * BOX_UNIT / self.crop_expand)

    def _filtered(self, hand: Mapping[str, Any]) -> dict[str, Any] | None:
        """A hand with what is too uncertain taken away, or None where too little is left."""
        keypoints = np.array(hand["keypoints_2d"], np.float32)
        if not np.isfinite(keypoints).all():
            raise ValueError("NaN or infinity in keypoints_2d")
        if self.min_confidence is not None:
            keypoints[keypoints[:, 2] < self.min_confidence, 2] = 0
        has_pose = bool(hand.get("has_hand_pose", "hand_pose" in hand))
        has_betas = bool(hand.get("has_betas", "betas" in hand))
        if has_betas and self.max_beta is not None:
            has_betas = bool((np.abs(hand["betas"]) <= self.max_beta).all())
        if self.pose_needs_betas:
            has_pose = has_betas = has_pose and has_betas
        if (keypoints[:, 2] > 0).sum() <= self.min_keypoints:
            return None
        if self.max_reprojection_loss is not None and misfit(hand) >= self.max_reprojection_loss:
            return None
        flags = {"has_hand_pose": has_pose, "has_betas": has_betas}
        return {**hand, "keypoints_2d": keypoints, **flags}


def hands_of(members: Mapping[str, Any], key: str, url: str) -> list[Mapping[str, Any]]:
    """The hands of a picture as HaMeR names their labels, with keypoints and box of right shape.

    Raises BadSample where they cannot be read as data.
    """

    def bad(reason: str) -> BadSample:
        return BadSample(reason, shard=url, key=key, field=_LABELS)

    if _LABELS not in members:
        raise bad("this member is missing")
    try:
        hands = read_arrays(members[_LABELS])
    except BlockedPickle as error:
        raise bad(f"the pickle asks for {error}, which no label needs; nothing was run") from error
    except Exception as error:  # a damaged pickle fails in as many ways as it has bytes
        raise bad(f"not a readable pickle ({type(error).__name__}: {error})") from error
    if not isinstance(hands, list | tuple) or not all(isinstance(hand, dict) for hand in hands):
        raise bad("not a list with one dict for each hand")
    for hand in hands:
        if missing := [name for name in _NEEDED if name not in hand]:
            raise bad(f"a hand has no {missing[0]!r}")
        shapes = [np.shape(hand[name]) for name in _NEEDED]
        if shapes != [(21, 3), (2,), (2,)]:
            raise bad(f"{', '.join(_NEEDED)} have shapes {shapes}, not (21, 3), (2,) and (2,)")
    return list(hands)


def misfit(hand: Mapping[str, Any]) -> float:
    """What the fit of a hand left unexplained; 0 where no fit is spoken of."""
    fit = (hand.get("extra_info") or {}).get("fitting_loss", {})
    fit = fit.item() if isinstance(fit, np.ndarray) and fit.size == 1 else fit
    return float(fit.get("reprojection_loss", 0.0)) if isinstance(fit, Mapping) else 0.0
