"""Tests shards against what must hold for any hand in any data set: units, axes, order, sides."""

from __future__ import annotations

import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.contracts import Finding, HandAsset
from zoo.data.clip_laws import (
    CLIP_LAWS,
    ClipLaw,
    fit_of,
    left_model,
    missing_pictures,
    mixed_left_models,
)
from zoo.data.joint_order import best_order
from zoo.data.laws import LAWS, LabelledHand, Law
from zoo.data.posed_labels import PosedLabels
from zoo.data.schema import BadSample, ClipSample, decode_slot
from zoo.data.shards import read_samples, resolve_shards
from zoo.mano import procedural

ORDER_MARGIN = 0.97  # another order must draw a skeleton this much shorter to be believed
ENOUGH_HANDS = 20  # fewer may hold their fingers so that another order looks shorter
FIT_LIMIT_MM = 0.5
_LISTED = 5  # names a finding spells out
_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class CheckReport:
    """What was found, worst first, and how much was looked at."""

    findings: tuple[Finding, ...]
    counts: dict[str, Any]  # by data set: samples, hands, left, right, with_3d, ..., per law


@dataclass
class _Tally:
    """How often a law was tested and broken in one data set."""

    checked: int = 0
    broken: int = 0
    worst: float = -np.inf
    where: str = ""
    limit: float = 0.0

    def add(self, value: float, limit: float, where: str) -> None:
        self.limit = max(limit, self.limit)
        self.checked += 1
        self.broken += not value <= limit  # NaN is never within a limit, and worse than any number
        if value > self.worst or np.isnan(value):
            self.worst, self.where = value, where


@dataclass
class _Seen:
    """Everything remembered of the samples looked at."""

    counts: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    tallies: dict[tuple[str, str], _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    distances: dict[str, np.ndarray] = field(default_factory=dict)
    splits: dict[tuple[str, str], set] = field(default_factory=lambda: defaultdict(set))
    left_models: dict[str, set] = field(default_factory=lambda: defaultdict(set))
    keys: Counter = field(default_factory=Counter)
    broken: list[BadSample] = field(default_factory=list)


def check_shards(
    shards: str | Sequence[str],
    *,
    assets: Sequence[HandAsset] | None = None,
    pictures: bool = True,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Findings about every labelled hand of the shards, and counts of what was looked at.

    Per hand: finite numbers, projection within 0.5 px, positive depth, bones of 1 to 12 cm, box
    around keypoints, plausible focal length and betas, fingers that bend as their side's do, and
    MANO labels that pose the labelled joints. Per data set: joint order by search over all orders
    of fingers, takes that are in two splits, repeated keys, increasing times.

    shards: a folder, glob or brace range, or a list of these.
    assets: hands whose MANO labels are posed and compared where a sample names one as its fit;
        None takes clayhand.
    pictures: decode every picture too.
    progress: called with the number of samples of each shard that was read.

    Raises:
        ValueError: where a shard is missing or nothing matches.
    """
    assets = (procedural.load(),) if assets is None else assets
    seen, fits = _Seen(), {asset.name: PosedLabels(asset) for asset in assets}
    for shard in resolve_shards(shards):
        before = sum(seen.keys.values())
        for sample in _readable(shard, seen.broken):
            _see(sample, seen, fits, pictures)
        if progress:
            progress(sum(seen.keys.values()) - before)
    for fit in fits.values():
        _compare(fit.compare(), seen)
    lost = missing_pictures(resolve_shards(shards))
    found = sorted(
        [*_findings(seen), *lost], key=lambda finding: _SEVERITIES.index(finding.severity)
    )
    return CheckReport(tuple(found), _told(seen))


def _readable(shard: str, broken: list[BadSample]) -> Iterator[ClipSample]:
    """The samples of a shard up to the first that cannot be read, which joins `broken`."""
    try:
        yield from read_samples(shard)
    except BadSample as bad:
        broken.append(bad)
    except (tarfile.ReadError, EOFError) as error:
        broken.append(BadSample(f"cut off or no tar ({error})", shard=shard, key="?"))


def _see(sample: ClipSample, seen: _Seen, fits: dict[str, PosedLabels], pictures: bool) -> None:
    source = str(sample.meta.get("dataset", "unknown"))
    counts = seen.counts[source]
    counts["samples"] += 1
    seen.keys[sample.key] += 1
    if take := sample.meta.get("source_take"):
        by_camera = sample.meta.get("split_by") == "camera"  # a protocol that divides takes so
        unit = f"{take}, camera {sample.meta.get('camera_id')}" if by_camera else str(take)
        seen.splits[source, unit].add(str(sample.meta.get("split")))
    for law in CLIP_LAWS:
        value = law.measure(sample)
        if value is not None:
            seen.tallies[source, law.id].add(value, law.limit, sample.key)
    if model := left_model(sample):
        seen.left_models[model].add(source)
    for index, frame in sample.slots():
        hand = LabelledHand(sample, index, frame)
        _count(hand, counts)
        for law in LAWS:
            value = law.measure(hand)
            if value is not None:
                seen.tallies[source, law.id].add(value, law.limit, hand.name)
        _see_order(hand, seen)
        fit = fits.get(fit_of(sample))
        if fit:
            _compare(fit.add(hand), seen)
        if pictures:
            try:
                decode_slot(sample, index, frame)
            except BadSample as bad:
                seen.broken.append(bad)


def _count(hand: LabelledHand, counts: Counter) -> None:
    counts["hands"] += 1
    counts[hand.side] += 1
    counts["with_3d"] += bool((hand["kp3d_conf"] > 0).any())
    counts["with_2d"] += bool((hand["kp2d_conf"] > 0).any())
    counts["with_mano"] += bool(hand["has_mano_pose"] and hand["has_mano_betas"])
    counts["with_camera"] += bool(hand["has_K"])


def _compare(distances: Iterable[tuple[LabelledHand, float]], seen: _Seen) -> None:
    for hand, distance in distances:
        told = (hand.sample.meta.get("mano") or {}).get("tolerance_mm")
        limit = FIT_LIMIT_MM if told is None else float(told)
        seen.tallies[hand.source, "data.mano"].add(distance, limit, hand.name)


def _see_order(hand: LabelledHand, seen: _Seen) -> None:
    """Adds the hand's distances, in units of its own extent, flat ones where there is no depth."""
    for name in ("kp3d", "kp2d"):
        points = hand[name].astype(np.float64)
        if (hand[f"{name}_conf"] > 0).all() and np.isfinite(points).all():
            distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
            scaled = distances / max(distances.max(), 1e-12)
            seen.distances[hand.source] = seen.distances.get(hand.source, 0) + scaled
            seen.counts[hand.source]["with_all_joints"] += 1
            return


_COLLECTIVE = (
    Law("data.mano", "error", FIT_LIMIT_MM, "mm", None, lambda _: "MANO labels pose other joints"),
)


def _findings(seen: _Seen) -> Iterator[Finding]:
    yield from _unreadable(seen.broken)
    for law in (*LAWS, *_COLLECTIVE, *CLIP_LAWS):
        for (source, name), tally in sorted(seen.tallies.items()):
            if name == law.id and tally.broken > law.allowed * tally.checked:
                yield _broken_law(law, source, tally)
    for source, distances in sorted(seen.distances.items()):
        yield from _order(source, distances, seen.counts[source]["with_all_joints"])
    yield from _leaks(seen.splits)
    yield from mixed_left_models(seen.left_models)
    repeated = [key for key, count in seen.keys.items() if count > 1]
    if repeated:
        yield Finding(
            id="data.keys",
            severity="error",
            path="data",
            message=f"{len(repeated)} keys stand for several samples: {_some(repeated)}.",
            evidence={"repeated": len(repeated)},
        )


def _broken_law(law: Law | ClipLaw, source: str, tally: _Tally) -> Finding:
    common = tally.broken > law.error_share * tally.checked
    return Finding(
        id=law.id,
        severity="error" if common else law.severity,
        path=f"data: {source}",
        message=f"{source}: {law.says(tally.worst)} ({tally.broken} of {tally.checked}; the worst "
        f"is {tally.worst:.4g} {law.unit} in {tally.where}, the limit {tally.limit:g}).",
        evidence={
            "checked": tally.checked,
            "broken": tally.broken,
            "worst": tally.worst if np.isfinite(tally.worst) else str(tally.worst),
            "where": tally.where,
            "limit": tally.limit,
        },
    )


def _unreadable(broken: Sequence[BadSample]) -> Iterator[Finding]:
    for reason, items in _grouped(broken).items():
        yield Finding(
            id="data.unreadable",
            severity="error",
            path=f"data: {items[0].shard}",
            message=f"{len(items)} sample(s) cannot be used: {reason} "
            f"({_some([f'{bad.shard}: {bad.key}' for bad in items])}). What stands in a shard "
            "behind a broken label or a cut was not looked at.",
            evidence={"samples": len(items)},
        )


def _grouped(broken: Sequence[BadSample]) -> dict[str, list[BadSample]]:
    groups: dict[str, list[BadSample]] = defaultdict(list)
    for bad in broken:
        groups[f"{bad.field}: {bad.reason}" if bad.field else bad.reason].append(bad)
    return groups


def _order(source: str, distances: np.ndarray, hands: int) -> Iterator[Finding]:
    name, gather, ratio = best_order(distances)
    if ratio < ORDER_MARGIN:
        yield Finding(
            id="data.order",
            severity="error" if hands >= ENOUGH_HANDS else "warning",
            path=f"data: {source}",
            message=f"{source}: the joints are not in OpenPose's order; listed as '{name}' the "
            f"skeleton of {hands} hands is {100 * (1 - ratio):.0f} % shorter. Gather rows "
            f"{gather.tolist()}.",
            evidence={"ratio": ratio, "hands": hands, "gather": gather.tolist()},
        )


def _leaks(splits: dict[tuple[str, str], set]) -> Iterator[Finding]:
    leaking: dict[str, list[str]] = defaultdict(list)
    for (source, take), found in splits.items():
        if len(found) > 1:
            leaking[source].append(f"{take} ({', '.join(sorted(found))})")
    for source, takes in sorted(leaking.items()):
        yield Finding(
            id="data.leak",
            severity="error",
            path=f"data: {source}",
            message=f"{source}: {len(takes)} takes are in more than one split: {_some(takes)}; "
            "a model is tested on what it was trained on.",
            evidence={"takes": len(takes)},
        )


def _told(seen: _Seen) -> dict[str, Any]:
    told = {source: dict(counts) for source, counts in sorted(seen.counts.items())}
    for (source, law), tally in sorted(seen.tallies.items()):
        if tally.checked:
            told[source][law] = {"checked": tally.checked, "broken": tally.broken}
    return told


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
