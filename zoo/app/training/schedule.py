"""The learning-rate schedule of a recipe, as mmengine is told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def schedulers(recipe: Mapping[str, Any], steps: int) -> list[dict[str, Any]]:
    """Schedulers of mmengine for a linear warm-up and a cosine of `cycles` periods.

    recipe: warmup (steps) and cycles; the factor at progress p in [0, 1] after the warm-up is
    (1 + cos(2 pi cycles p)) / 2: 0.5 cycles end at 0, CS-ViT2's 0.4 at 0.0955. cycles 0 is a
    constant rate.
    """
    unknown = set(recipe) - {"warmup", "cycles"}
    if unknown:
        raise ValueError(
            f"param_scheduler has {sorted(unknown)}; it takes warmup (steps) and cycles."
        )
    warmup = min(recipe.get("warmup", 0), steps - 1)
    cycles = recipe.get("cycles", 0.5)
    result = []
    if warmup > 0:
        result.append(
            {
                "type": "LinearLR",
                "start_factor": 1 / (warmup + 1),
                "by_epoch": False,
                "begin": 0,
                "end": warmup + 1,
            }
        )
    if cycles:
        result.append(
            {
                "type": "CosineAnnealingLR",
                "T_max": (steps - warmup) / (2 * cycles),
                "by_epoch": False,
                "begin": warmup,
                "end": steps,
                "eta_min": 0.0,
            }
        )
    return result
