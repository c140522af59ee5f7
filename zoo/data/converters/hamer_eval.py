"""HaMeR's evaluation files to shards of ours: an npz of boxes and labels, beside its pictures.

Source of the layout: the released files (Pavlakos et al., CVPR 2024), as readers of them tell it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.data.converters.hamer import write_hand
from zoo.data.converters.hands import View, blank, clip_of
from zoo.data.converters.release import Release, Rows, describe, read_sized
from zoo.data.hamer_labels import BOX_UNIT
from zoo.data.hamer_npz import LABELS, read_rows
from zoo.data.schema import BadSample, ClipSample

PADDED = ("freihand_val", "ho3d_val")  # boxes that hold the padding already; HInt's are tight
HINT = tuple(
    f"TEST_{part}_img_{which}"
    for part in ("newdays", "epick", "ego4d")
    for which in ("all", "vis", "occ")
)
RELEASE = Release(
    dataset="hamer_eval",
    title="HaMeR's evaluation files",
    home="https://github.com/geopavlakos/hamer",
    license="noncommercial",
    terms="Licence: those of the data sets inside (FreiHAND, HO-3D, HInt).",
    citation="Pavlakos et al., Reconstructing Hands in 3D with Transformers, CVPR 2024.",
)


class HamerEvaluation:
    """Converter of HaMeR's npz files: a sample a row, one hand, T = 1.

    The box is the file's, in the pixels it tells, padded (FreiHAND, HO-3D) or tight (HInt). Flags
    and confidences are stored as given; arrays of Python objects are read as data.
    """

    release = RELEASE
    splits = (*PADDED, *HINT)
    aliases: ClassVar[Mapping[str, str]] = {}

    def rows(self, source: Path, *, split: str) -> Rows:
        """Every row of `<split>.npz`.

        source: the folder of the npz files. The pictures lie in it, beside it, or in a folder of
            either, so that the file's `imgname` leads to them.

        Raises:
            ValueError: where the file is missing or damaged, or no picture it names is found.
        """
        file = source / f"{split}.npz"
        rows = read_rows(file)
        names = [n.decode() if isinstance(n, bytes) else str(n) for n in rows["imgname"]]
        folder = _pictures(source, names)

        def make(row: int) -> ClipSample:
            hand = {ours: rows[theirs][row] for theirs, ours in LABELS.items() if theirs in rows}
            size = np.broadcast_to(np.asarray(rows["scale"][row], float), (2,)) / BOX_UNIT
            hand |= {"center": rows["center"][row], "scale": size}
            return _sample(folder, names[row], hand, split, row)

        return Rows.one_each(range(len(names)), make, shard=str(file))


def _pictures(source: Path, names: Sequence[str]) -> Path:
    around = [source, *sorted(source.iterdir()), source.parent, *sorted(source.parent.iterdir())]
    for folder in around:
        if any((folder / name).is_file() for name in names[:20]):
            return folder
    raise ValueError(
        f"No picture is found: neither {source} nor a folder in it or beside it holds "
        f"{names[0] if names else 'any'}; unpack or link the data set there."
    )


def _sample(folder: Path, name: str, hand: Mapping[str, Any], split: str, row: int) -> ClipSample:
    key = f"hamer_eval/{split}/{row:06d}/0_0"
    picture, size = read_sized(folder / name, key=key)
    arrays = blank()
    try:
        write_hand(arrays, 0, hand)
        side = "right" if float(np.asarray(hand.get("right", 1))) else "left"
    except (TypeError, ValueError) as error:
        raise BadSample(str(error), key=key, field="npz") from error
    kind = "padded" if split in PADDED else "tight"
    meta = describe(
        RELEASE,
        split=split,
        hands=[side],
        picture=(name, *size),
        sequence_id=name,
        camera_id="0",
        bbox={"kind": kind, "expand": None, "source": "official"},
        kp3d={"origin": None, "tips": None},
        mano={"left_shapedirs": "na", "betas": "per_frame", "transl": "none", "fit": "HaMeR"},
        hamer_key=f"{split}/{row:06d}",
    )
    return clip_of([View(-1, arrays, picture, name, size)], key=key, meta=meta)
