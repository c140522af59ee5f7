"""How the cost of a forward pass grows with batch, picture size, IEF steps or frames."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.bench.cost import cost_of, random_view, without_weights
from benchmarks.bench.timing import Clock, alternate
from registry.difference import ABSENT, Change, apply
from registry.layout import at
from registry.whole import build_model
from zoo.contracts import ClipView

AXES = ("batch", "image_size", "steps", "frames")
LABELS = {
    "batch": "hands at once",
    "image_size": "side of the crop (px)",
    "steps": "IEF steps",
    "frames": "frames of a clip",
}
_FACTORS = (0.5, 1.0, 1.5, 2.0)


class CannotGrow(ValueError):
    """An axis that a subject does not have."""


@dataclass(frozen=True)
class Point:
    """One setting of a subject on an axis."""

    at: int
    config: dict[str, Any]
    batch: int = 1
    frames: int = 0  # of a clip; 0 is a single crop


def grow(
    configs: Mapping[str, Mapping[str, Any]],
    axis: str,
    *,
    budget: float = 20.0,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
    timed: bool = True,
) -> dict[str, Any]:
    """Points of each subject: setting, median forward time (ms) and GFLOPs of all hands together.

    Subjects that the axis does not exist for are left out and named in `left_out`.
    """
    if axis not in AXES:
        raise CannotGrow(f"--grow {axis}: it is one of {', '.join(AXES)}.")
    found: dict[str, Any] = {"label": LABELS[axis], "subjects": {}, "left_out": {}}
    for name, config in configs.items():
        try:
            points = points_of(config, axis)
        except CannotGrow as error:
            found["left_out"][name] = str(error)
            continue
        share = budget / max(1, len(configs))
        found["subjects"][name] = _measured(points, share, device, clock, timed)
    return found


def points_of(config: Mapping[str, Any], axis: str) -> list[Point]:
    """The settings of a subject on an axis; raises CannotGrow where it has none."""
    config = without_weights(config)
    if axis == "batch":
        return [Point(n, config, batch=n) for n in (1, 2, 4, 8)]
    if axis == "frames":
        if config["model"].get("temporal") is None:
            raise CannotGrow("it has no temporal part (model.temporal)")
        return [Point(n, config, frames=n) for n in (1, 3, 5, 7, 9)]
    if axis == "steps":
        if config["model"]["head"].get("query") == "zero":
            raise CannotGrow("its query is constant, so further steps repeat one answer")
        return [Point(n, _with(config, {"model.head.steps": n})) for n in (1, 2, 3, 4, 6)]
    return [Point(size, _resized(config, size)) for size in _sizes(config)]


def _measured(
    points: Sequence[Point], budget: float, device: str, clock: Clock, timed: bool
) -> list[dict[str, Any]]:
    times: dict[str, float | None] = {str(point.at): None for point in points}
    if timed:
        work = {str(point.at): _pass(point, device) for point in points}
        timings = alternate(work, budget=budget, clock=clock, device=device)
        times = {name: timing.milliseconds().value for name, timing in timings.items()}
    return [
        {
            "at": point.at,
            "forward_ms": times[str(point.at)],
            "gflops": cost_of(point.config).gflops * point.batch * max(1, point.frames),
        }
        for point in points
    ]


def _pass(point: Point, device: str):
    model = build_model(point.config).to(device).eval()
    hands = point.batch * max(1, point.frames)
    view = random_view(hands, tuple(model.backbone.image_size), device)
    seen: Any = view
    if point.frames:
        ages = torch.arange(1 - point.frames, 1, dtype=torch.float64, device=device) / 30
        seen = ClipView(view, ages.repeat(point.batch, 1))

    @torch.no_grad()
    def run() -> object:
        return model.hand.place(model.predict_hand(seen))

    return run


def _with(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    changes = [Change(path, at(config, path, ABSENT), value) for path, value in values.items()]
    return apply(config, changes)


def _sizes(config: Mapping[str, Any]) -> list[int]:
    side = _side(at(config, "augmentation.crop.size"))
    if side is None:
        raise CannotGrow("its crop is not square (augmentation.crop.size)")
    return [int(round(side * factor / 32) * 32) for factor in _FACTORS]


def _side(size: Any) -> int | None:
    sides = {size} if isinstance(size, int) else set(size or ())
    return sides.pop() if len(sides) == 1 else None


def _resized(config: Mapping[str, Any], side: int) -> dict[str, Any]:
    """The config with crop and backbone of another size; HaMeR's 3:4 strip follows by itself."""
    before = at(config, "model.backbone.image_size")
    image = side if isinstance(before, int) else (side, side)
    return _with(
        config, {"augmentation.crop.size": (side, side), "model.backbone.image_size": image}
    )
