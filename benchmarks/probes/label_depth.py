"""The law that ties depth maps to labels: a hand stands where its depth says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from benchmarks.probe import ProbeResult, Unrunnable
from benchmarks.subject import Subject, last_frames
from zoo.contracts import Finding

HANDS = 16
BEFORE, BEHIND = 0.10, 0.02  # m the surface may lie before a joint (other fingers) and behind it
FITS = 0.5  # of a hand's keypoints whose depth is known; occluders may hide the others
KNOWN = 0.3  # of a hand's keypoints in the picture; sensors are blind here and there
ODD_HANDS = 0.1
_UNITS = {"millimetres": 1e-3, "centimetres": 1e-2}


@dataclass(frozen=True)
class Seen:
    """Depth maps and the joints they should show, somewhere on the way to the network."""

    name: str
    path: str
    depth: Sequence[Tensor]  # (h, w) m each
    joints: Tensor  # (B, 21, 3) m
    keypoints: Tensor  # (B, 21, 2) px of the map
    valid: Tensor  # (B, 21) bool


class Depth:
    """At the keypoints of a hand its depth map shows a surface just before the joints.

    On maps as stored, then as evaluation and as training show them. Causes: millimetres, distances
    along the ray, a map of another camera or size than the picture's, one that is not mirrored,
    turned or cropped with its picture.
    """

    id: ClassVar[str] = "label.depth"
    family: ClassVar[str] = "label"
    law: ClassVar[str] = (
        "At its keypoints a hand's depth map shows what lies at most 10 cm before the joints."
    )
    see: ClassVar[str] = "docs/probes.md#label-depth"

    def __call__(self, subject: Subject) -> ProbeResult:
        evidence: dict[str, Any] = {}
        for seen in _stages(subject):
            gaps = [_gaps(*hand) for hand in zip(seen.depth, *_rows(seen), strict=True)]
            kept = [gap for gap in gaps if len(gap)]
            if not kept:
                continue
            odd = sum(not _fits(gap) for gap in kept) / len(kept)
            known = torch.cat(kept)
            known = known[known.isfinite()]
            middle = float(known.median()) if len(known) else float("nan")
            evidence[seen.name] = {"hands that do not fit": odd, "median gap m": middle}
            if odd > ODD_HANDS:
                found = self._finding(seen, odd, middle, len(kept))
                return ProbeResult((found,), evidence)
        if not evidence:
            raise Unrunnable("no hand has a depth map and labelled joints")
        return ProbeResult((), evidence)

    def _finding(self, seen: Seen, odd: float, middle: float, hands: int) -> Finding:
        return Finding(
            id=f"{self.id}/apart",
            severity="error",
            path=seen.path,
            message=f"{seen.name}: the depth maps of {odd:.0%} of {hands} hands do not show them "
            f"at their keypoints; in the middle a joint lies {middle:.3g} m behind what is shown"
            f"{_unit(seen)}.",
            evidence={"odd": odd, "median_gap_m": middle, "priority": 0},
        )


def _stages(subject: Subject) -> Iterator[Seen]:
    frames = [frame for frame in subject.frames.frames if frame.depth is not None]
    if not frames:
        return
    label = {
        name: torch.stack([getattr(frame.label, name).float() for frame in frames])
        for name in ("joints", "keypoints", "joints_valid", "keypoints_valid")
    }
    valid = (label["joints_valid"] > 0) & (label["keypoints_valid"] > 0)
    maps = [frame.depth for frame in frames]
    yield Seen("As stored", "data", maps, label["joints"], label["keypoints"], valid)
    for training in (False, True):
        shown, target = subject.shown(HANDS, training=training)
        view = last_frames(shown)
        if view.depth is None:
            return
        valid = (target.joints_valid > 0) & (target.keypoints_valid > 0)
        name = f"As {'training' if training else 'evaluation'} shows it"
        maps = list(view.depth)
        yield Seen(name, "augmentation", maps, target.joints, target.keypoints, valid)


def _rows(seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
    return seen.joints, seen.keypoints, seen.valid


def _gaps(depth: Tensor, joints: Tensor, keypoints: Tensor, valid: Tensor) -> Tensor:
    """(n,) m from the map to each joint in the picture, infinite where the map is blind."""
    height, width = depth.shape
    x, y = keypoints.round().nan_to_num(-1, -1, -1).long().unbind(-1)
    inside = valid & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    there = depth[y[inside], x[inside]].float()
    return torch.where(there > 0, joints[inside, 2] - there, torch.inf)


def _fits(gap: Tensor) -> bool:
    known = gap[gap.isfinite()]
    if len(known) < KNOWN * len(gap):
        return False
    return float(((known > -BEHIND) & (known < BEFORE)).float().mean()) >= FITS


def _unit(seen: Seen) -> str:
    """What unit would make the maps fit, for a message; empty where none does."""
    for unit, factor in _UNITS.items():
        maps = [factor * depth for depth in seen.depth]
        gaps = [_gaps(*hand) for hand in zip(maps, *_rows(seen), strict=True)]
        if all(_fits(gap) for gap in gaps if len(gap)):
            return f", as it would be for depth in {unit}"
    return ""
