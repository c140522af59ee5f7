"""Counts what shards hold by depth, focal length, box, pose, side and source, in one pass."""

from __future__ import annotations

import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.data.laws import LabelledHand
from zoo.data.schema import BadSample
from zoo.data.shards import read_samples, resolve_shards


@dataclass(frozen=True)
class Quantity:
    """A number of a hand, and the bins it is counted in; None where it is not labelled."""

    name: str
    title: str
    unit: str
    edges: np.ndarray
    measure: Callable[[LabelledHand], float | None]


@dataclass
class Statistics:
    """Histograms by source; a number beyond the last edge counts in the last bin."""

    histograms: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)  # quantity, source
    values: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    sides: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    labels: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    licenses: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    broken: list[BadSample] = field(default_factory=list)

    @property
    def sources(self) -> list[str]:
        """Most hands first."""
        return sorted(self.sides, key=lambda source: -sum(self.sides[source].values()))


def depth(hand: LabelledHand) -> float | None:
    """m, of the wrist."""
    return float(hand["kp3d"][0, 2]) if hand["kp3d_conf"][0] > 0 else None


def focal(hand: LabelledHand) -> float | None:
    """Longer sides of the picture."""
    longest = max(hand.picture.get("width") or 0, hand.picture.get("height") or 0)
    return float(hand["K"][0, 0] / longest) if hand["has_K"] and longest else None


def box_share(hand: LabelledHand) -> float | None:
    """The longer side of the box, percent of the longer side of the picture."""
    longest = max(hand.picture.get("width") or 0, hand.picture.get("height") or 0)
    if not hand["has_bbox"] or not longest:
        return None
    box = hand["bbox_xyxy"]
    return 100 * float((box[2:] - box[:2]).max() / longest)


def box_pixels(hand: LabelledHand) -> float | None:
    """px, the longer side of the box."""
    box = hand["bbox_xyxy"]
    return float((box[2:] - box[:2]).max()) if hand["has_bbox"] else None


def pose(hand: LabelledHand) -> float | None:
    """Degrees, the mean angle of the fifteen finger joints."""
    if not hand["has_mano_pose"]:
        return None
    return float(np.degrees(np.linalg.norm(hand["mano_pose"].reshape(15, 3), axis=1).mean()))


def palm_away(hand: LabelledHand) -> float | None:
    """Degrees between the palm's normal and the line of sight; 0 shows the palm, 180 the back."""
    if not (hand["kp3d_conf"][[0, 5, 17]] > 0).all():
        return None
    wrist, index, little = hand["kp3d"][[0, 5, 17]].astype(np.float64)
    # from the hand towards whoever sees its palm
    normal = np.cross(index - wrist, little - wrist) * (1 if hand.side == "right" else -1)
    sight = -(wrist + index + little)
    cosine = normal @ sight / max(np.linalg.norm(normal) * np.linalg.norm(sight), 1e-12)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


QUANTITIES = (
    Quantity("depth", "Depth of the wrist", "m", np.linspace(0, 2, 41), depth),
    Quantity("focal", "Focal length", "picture sides", np.linspace(0, 6, 31), focal),
    Quantity("box", "Hand box", "% of the picture", np.linspace(0, 100, 41), box_share),
    Quantity("box_px", "Hand box", "px", np.linspace(0, 1000, 41), box_pixels),
    Quantity("pose", "Mean angle of a finger joint", "degrees", np.linspace(0, 90, 31), pose),
    Quantity("palm", "Palm against line of sight", "degrees", np.linspace(0, 180, 37), palm_away),
)
_LABELS: Mapping[str, Callable[[LabelledHand], bool]] = {
    "2D": lambda hand: bool((hand["kp2d_conf"] > 0).any()),
    "3D": lambda hand: bool((hand["kp3d_conf"] > 0).any()),
    "MANO": lambda hand: bool(hand["has_mano_pose"] and hand["has_mano_betas"]),
    "camera": lambda hand: bool(hand["has_K"]),
    "box": lambda hand: bool(hand["has_bbox"]),
}


def collect(
    shards: str | Sequence[str], *, progress: Callable[[int], None] | None = None
) -> Statistics:
    """Every labelled hand of the shards, counted; pictures are not decoded.

    progress: called with the samples of each shard.
    Raises ValueError where a shard is missing or nothing matches.
    """
    found = Statistics()
    for shard in resolve_shards(shards):
        count = 0
        try:
            for sample in read_samples(shard):
                count += 1
                for slot in sample.slots():
                    _add(found, LabelledHand(sample, *slot))
        except BadSample as bad:
            found.broken.append(bad)
        except (tarfile.TarError, OSError, EOFError) as error:
            found.broken.append(BadSample(f"cut off ({error})", shard=shard, key="?"))
        if progress:
            progress(count)
    for quantity in QUANTITIES:
        low, high = quantity.edges[[0, -1]]
        found.histograms[quantity.name] = {
            source: np.histogram(np.clip(values, low, high), quantity.edges)[0]
            for source in found.sources
            if (values := found.values.get((quantity.name, source)))
        }
    return found


def _add(found: Statistics, hand: LabelledHand) -> None:
    source = hand.source
    found.sides[source][hand.side] += 1
    found.licenses[source].add(str(hand.sample.meta.get("license", "not told")))
    for name, holds in _LABELS.items():
        found.labels[source][name] += holds(hand)
    for quantity in QUANTITIES:
        value = quantity.measure(hand)
        if value is not None and np.isfinite(value):
            found.values[quantity.name, source].append(value)
