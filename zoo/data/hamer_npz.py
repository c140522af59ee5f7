"""HaMeR's evaluation files: an npz of boxes and labels beside the pictures they speak of."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contracts import SkippedSample
from zoo.data.hamer_labels import centred_box, sample_of, upright, widened
from zoo.data.pictures import SUFFIXES
from zoo.data.schema import BadSample, ClipSample
from zoo.data.sources import skipped
from zoo.mano.unpickler import BlockedPickle, read_npz

LABELS = {
    "hand_keypoints_2d": "keypoints_2d",
    "hand_keypoints_3d": "keypoints_3d",
    "hand_pose": "hand_pose",
    "has_hand_pose": "has_hand_pose",
    "betas": "betas",
    "has_betas": "has_betas",
    "right": "right",
}


class HamerNpz:
    """Hands of `freihand_val.npz`, `ho3d_val.npz`, `TEST_*_img_*.npz` and files like them.

    A file gives each hand a box of `scale` px. With rescale=-1 (FreiHAND, HO-3D) it is padded
    already, and the crop's side is the longer one after widening to 192 : 256; with rescale=2
    (HInt) it is tight, and the side is twice the longer one. The box of a frame has that ratio and
    is `crop_expand` times smaller, so that the crop of the config has that side.

    file: the npz; arrays of Python objects in it are read as data, nothing in them is run.
    images: the folder that `imgname` starts from.
    rescale: -1 or a positive factor.
    weight: share of this source in a mixture.
    crop_expand: `augmentation.crop.expand` of the config.
    Raises ValueError where the file is missing, damaged, or asks for more than data.
    """

    def __init__(
        self,
        *,
        file: str | os.PathLike,
        images: str | os.PathLike,
        rescale: float = -1.0,
        weight: float = 1.0,
        crop_expand: float = 2.0,
    ) -> None:
        if rescale != -1 and not rescale > 0:
            raise ValueError(f"HamerNpz.rescale is -1 or a positive factor, not {rescale}")
        self.file, self.images = Path(file).expanduser(), Path(images).expanduser()
        self.urls, self.weight = [str(self.file)], weight
        self.rescale, self.crop_expand = rescale, crop_expand
        self._rows = read_rows(self.file)
        if not self.images.is_dir():
            raise ValueError(f"HamerNpz.images: {self.images} is no folder of pictures")

    def samples(
        self, url: str, broken: list[SkippedSample]
    ) -> Iterator[ClipSample | SkippedSample]:
        """One sample a row, in the file's order."""
        for row in range(self.count()):
            try:
                yield self._sample(row)
            except BadSample as bad:
                yield skipped(bad)

    def count(self) -> int:
        """Rows of the file."""
        return len(self._rows["imgname"])

    def fingerprint(self) -> str:
        """sha256 over the file and the rule of its boxes; the pictures are not read."""
        rule = f" {self.rescale}".encode()
        return hashlib.sha256(self.file.read_bytes() + rule).hexdigest()

    def _sample(self, row: int) -> ClipSample:
        name = self._rows["imgname"][row]
        name = name.decode() if isinstance(name, bytes) else str(name)
        key, suffix = f"{self.file.stem}/{row:06d}", Path(name).suffix[1:].lower()
        if suffix not in SUFFIXES:
            reason = f"{name!r} is not one of {', '.join(SUFFIXES)}"
            raise BadSample(reason, shard=str(self.file), key=key, field="imgname")
        labels = {ours: self._rows[key][row] for key, ours in LABELS.items() if key in self._rows}
        return sample_of(
            [labels],
            [self._box(row)],
            key=key,
            dataset=self.file.stem,
            pictures=_PictureFile(self.images / name, str(self.file), key),
            suffix=suffix,
            shard=str(self.file),
        )

    def _box(self, row: int) -> np.ndarray:
        size = np.broadcast_to(np.asarray(self._rows["scale"][row], float), (2,))
        side = widened(size).max() if self.rescale == -1 else self.rescale * size.max()
        center = np.asarray(self._rows["center"][row], float)
        return centred_box(center, upright(side / self.crop_expand))


class _PictureFile(Sequence):
    """The one picture of a sample, read when it is decoded and not before."""

    def __init__(self, path: Path, shard: str, key: str) -> None:
        self.path, self.shard, self.key = path, shard, key

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> bytes:
        if index != 0:
            raise IndexError(index)
        try:
            return self.path.read_bytes()
        except OSError as error:
            reason = f"{self.path} cannot be read ({error.strerror})"
            raise BadSample(reason, shard=self.shard, key=self.key, field="imgname") from error


def read_rows(file: Path) -> Mapping[str, Any]:
    """Every array of an evaluation file by name, equally long.

    Raises ValueError where it is missing or damaged, lacks boxes, or asks for more than data.
    """
    if not file.is_file():
        raise ValueError(f"{file}: no such file; HaMeR's are in hamer_evaluation_data.")
    try:
        rows = read_npz(file)
    except BlockedPickle as error:
        raise ValueError(
            f"{file}: a pickle in it asks for {error}, which no label needs; nothing was run."
        ) from error
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} is no readable npz ({error}); copy it again.") from error
    needed = {"imgname": (), "center": (2,), "scale": ()}
    for name, shape in needed.items():
        if name not in rows:
            raise ValueError(f"{file} has no {name!r}; it holds {', '.join(sorted(rows))}.")
        if shape and rows[name].shape[1:] != shape:
            raise ValueError(f"{file}: {name} has shape {rows[name].shape}, wanted (N, 2).")
    count = len(rows["imgname"])
    for name in ("center", "scale", *LABELS):
        if name in rows and len(rows[name]) != count:
            raise ValueError(f"{file}: {name} has {len(rows[name])} rows, imgname {count}.")
    return rows
