"""Random numbers for augmentations, drawn on the CPU so that every device augments alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor


def uniform(rng: Generator, count: int, low: float, high: float, like: Tensor) -> Tensor:
    """(count,) numbers from [low, high), with the type and device of `like`."""
    unit = torch.rand(count, generator=rng, dtype=torch.float64)
    return (low + (high - low) * unit).to(like)


def normal(
    rng: Generator, count: int, like: Tensor, *, clip: float = math.inf, dims: tuple[int, ...] = ()
) -> Tensor:
    """(count, *dims) standard normal numbers cut off at +-clip, like `like`."""
    drawn = torch.randn(count, *dims, generator=rng, dtype=torch.float64)
    return drawn.clamp(-clip, clip).to(like)


def chosen(rng: Generator, count: int, probability: float) -> Tensor:
    """Indices (CPU, int64) of the hands an augmentation of this probability applies to."""
    return (torch.rand(count, generator=rng) < probability).nonzero()[:, 0]


def on_device(rng: Generator, device: torch.device) -> Generator:
    """A generator for bulk draws on `device`, seeded from `rng` without waiting for the device."""
    return Generator(device).manual_seed(_seed(rng))


@contextmanager
def global_state_from(rng: Generator, device: torch.device) -> Iterator[None]:
    """Seeds torch's global state from `rng` for libraries that know no other; restores it after."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(_seed(rng))
        yield


def require_range(name: str, limits: tuple[float, float], *, least: float) -> tuple[float, float]:
    """The two limits as floats, or a ValueError that says what a range looks like."""
    low, high = map(float, limits)
    if not (least < low <= high and math.isfinite(high)):
        raise ValueError(f"{name} is (low, high) with {least:g} < low <= high, not {limits}")
    return low, high


def require_fraction(name: str, value: float) -> float:
    """A number of [0, 1], or a ValueError."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} lies between 0 and 1, not {value}")
    return float(value)


def _seed(rng: Generator) -> int:
    return int(torch.randint(2**62, (), generator=rng))
