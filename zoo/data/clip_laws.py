"""The laws of a run of frames and of a whole folder: times, completeness, one left hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from zoo.contracts import Finding
from zoo.data.schema import ClipSample
from zoo.data.shards import count_pictures

SHORTEST_STEP, LONGEST_STEP = 1e-3, 2.0  # s, between pictures of one film
_MS = 1e6  # ns
_EXACT_MS = 2.0**22  # ms, below which float32 keeps better than half a millisecond
_MIN_TIMES = 3


@dataclass(frozen=True)
class ClipLaw:
    """A number of a sample that must not exceed a limit; None where it has nothing to say."""

    id: str
    severity: Literal["error", "warning"]
    limit: float
    unit: str
    measure: Callable[[ClipSample], float | None]
    says: Callable[[float], str]
    allowed: float = 0.0
    error_share: float = 1.0


def not_increasing(sample: ClipSample) -> float | None:
    """1 where times or frame numbers do not go forward."""
    found = None
    for name in ("timestamp_ns", "frame_index"):
        times = sample.arrays[name]
        if len(times) > 1 and (times >= 0).all():
            found = max(found or 0.0, float(np.diff(times).min() <= 0))
    return found


def step_misfit(sample: ClipSample) -> float | None:
    """How many times longer or shorter than 1 ms to 2 s, or than the frame rate, a step is."""
    times = sample.arrays["timestamp_ns"]
    if len(times) < 2 or (times < 0).any():
        return None
    steps = np.maximum(np.abs(np.diff(times)) / 1e9, 1e-12)
    misfit = max(float(steps.max()) / LONGEST_STEP, SHORTEST_STEP / float(steps.min()))
    fps = (sample.meta.get("time") or {}).get("fps")
    return max(misfit, float(steps.max()) * fps / 1.5) if fps else misfit


def gap(sample: ClipSample) -> float | None:
    """The largest step of frame numbers by the smallest: 1 in a run without gaps."""
    numbers = sample.arrays["frame_index"]
    if len(numbers) < _MIN_TIMES or (numbers < 0).any():
        return None
    steps = np.abs(np.diff(numbers)).astype(float)
    return float(steps.max() / max(steps.min(), 1.0))


def rounded_times(sample: ClipSample) -> float | None:
    """1 where every time is one that float32 milliseconds can hold, which only rounding does."""
    times = sample.arrays["timestamp_ns"]
    if len(times) < _MIN_TIMES or (times < _EXACT_MS * _MS).any():
        return None
    through = (times / _MS).astype(np.float32).astype(np.float64) * _MS
    return float((np.abs(through - times) < 1).all())


def invented_joint(sample: ClipSample) -> float | None:
    """1 where a joint lies exactly midway between its neighbours in every frame."""
    points, valid = sample.arrays["kp3d"].astype(np.float64), sample.arrays["kp3d_conf"] > 0
    worst = None
    for joint in (1, 5, 9, 13, 17):  # finger bases; a skeleton without them tempts to guess
        known = valid[..., 0] & valid[..., joint] & valid[..., joint + 1]
        if known.any():
            middle = (points[..., 0, :] + points[..., joint + 1, :]) / 2
            off = np.linalg.norm(points[..., joint, :] - middle, axis=-1)[known]
            worst = max(worst or 0.0, float((off < 1e-5).all()))
    return worst


def _step_says(worst: float) -> str:
    unit = "; are they nanoseconds read as milliseconds?" if worst > 1e3 else ""
    return f"pictures of one run are too far apart or too close in time{unit}"


CLIP_LAWS = (
    ClipLaw(
        "data.time",
        "error",
        0,
        "times",
        not_increasing,
        lambda _: "times or frame numbers do not increase",
    ),
    ClipLaw("data.step", "error", 1, "times the limit", step_misfit, _step_says),
    ClipLaw("data.gap", "error", 1, "frames", gap, lambda _: "a run without gaps has gaps"),
    ClipLaw(
        "data.rounded_time",
        "error",
        0,
        "samples",
        rounded_times,
        lambda _: "times went through float32 milliseconds and lost up to 2 ms; keep int64 ns",
        allowed=0.1,
    ),
    ClipLaw(
        "data.invented_joint",
        "error",
        0,
        "samples",
        invented_joint,
        lambda _: "a joint lies midway between its neighbours: it was invented, not measured",
        allowed=0.1,
    ),
)


def fit_of(sample: ClipSample) -> str:
    """The name of the hand model a sample's MANO labels are of."""
    told = sample.meta.get("mano") or {}
    return str(told.get("model") or told.get("fit"))


def left_model(sample: ClipSample) -> str | None:
    """Which left model a sample's left poses are of: "fixed" or "unfixed"; None without one."""
    left = [hand.get("side") == "left" for hand in sample.meta["hands"]]
    if not (np.array(left)[:, None] & (sample.arrays["has_mano_pose"] > 0)).any():
        return None
    told = str((sample.meta.get("mano") or {}).get("left_shapedirs"))
    return told if told in ("fixed", "unfixed") else None


def mixed_left_models(models: Mapping[str, set[str]]) -> Iterator[Finding]:
    """A warning where left hands of both models stand beside one another."""
    if {"fixed", "unfixed"} <= models.keys():
        named = " and ".join(f"{k} ({', '.join(sorted(models[k]))})" for k in ("fixed", "unfixed"))
        yield Finding(
            id="data.left_model",
            severity="warning",
            path="data",
            message=f"left hands were fitted with different left models: {named}; one shape gives "
            "different hands, so train on the betas of one of them.",
            evidence={k: sorted(v) for k, v in models.items()},
        )


def missing_pictures(shards: Sequence[str]) -> Iterator[Finding]:
    """An error for a converted split from which pictures vanished without a reason."""
    by_folder: dict[Path, list[str]] = {}
    for shard in shards:
        by_folder.setdefault(Path(shard).parent, []).append(shard)
    for folder, found in sorted(by_folder.items()):
        told = folder.parent / "dataset.json"
        entry = _entry(told, folder.name)
        if entry is None or entry.get("partial", True) or len(found) < entry["shards"]:
            continue
        held, left_out = count_pictures(found), sum(entry["skipped"].values())
        if held + left_out != entry["listed"]:
            yield Finding(
                id="data.count",
                severity="error",
                path=f"data: {folder}",
                message=f"{folder}: {entry['listed']} pictures were listed, {left_out} left out "
                f"with a reason, and {held} are there; the others were lost on the way.",
                evidence={"listed": entry["listed"], "left_out": left_out, "held": held},
            )


def _entry(told: Path, split: str) -> Mapping | None:
    """What dataset.json says of a split, if it counts pictures at all."""
    try:
        entry = json.loads(told.read_text())["splits"].get(split)
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return entry if isinstance(entry, dict) and entry.get("listed") is not None else None
