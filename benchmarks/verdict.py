"""Whether a run converged, by fixed criteria: the one place where their limits stand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.statistics import relative_slope

BASELINE_AT_MOST = 0.8  # of the mean-pose baseline's root-relative error: it looks at the picture
RISE_AT_MOST = 0.05  # of the loss over the last third, by a straight line
OVERFIT_AT_MOST = 0.5  # of the first loss on one batch, learned by heart


@dataclass(frozen=True)
class Overfit:
    """What learning one batch by heart said; measured by `benchmarks.overfit`."""

    first: float
    best: float
    steps: int
    unreached: tuple[str, ...]  # trainable parameters that no loss gave a gradient

    @property
    def ratio(self) -> float:
        return self.best / self.first if self.first else math.nan


def verdict(
    *,
    baseline_ratio: float | None,
    losses: Sequence[float],
    skipped_updates: int | None,
    overfit: Overfit | None,
) -> dict[str, Any]:
    """`converged` and every criterion: its value, its limit and whether it holds.

    baseline_ratio: root-relative error over the mean-pose baseline's. losses: the total loss of
    each step. skipped_updates: steps whose gradient was not finite. A criterion that could not be
    measured holds None and does not count as held.
    """
    criteria = {
        "beats_baseline": _at_most(baseline_ratio, BASELINE_AT_MOST),
        "loss_does_not_rise": _at_most(_last_third(losses), RISE_AT_MOST),
        "every_step_finite": _finite(losses, skipped_updates),
        "overfits_one_batch": _at_most(overfit and overfit.ratio, OVERFIT_AT_MOST),
        "gradient_reaches_everything": _reaches(overfit),
    }
    held = [entry["holds"] for entry in criteria.values()]
    return {"converged": all(h is True for h in held), "criteria": criteria}


def explain(name: str, entry: Mapping[str, Any]) -> str:
    """A criterion as a sentence."""
    value, limit = entry["value"], entry["at_most"]
    if value is None:
        return f"{name}: not measured"
    said = "holds" if entry["holds"] else "fails"
    more = f" ({entry['examples'][0]} and others)" if entry.get("examples") else ""
    return f"{name}: {said}, {value:.3g} against at most {limit:.3g}{more}"


def _at_most(value: float | None, limit: float) -> dict[str, Any]:
    known = value is not None and math.isfinite(value)
    return {
        "value": round(value, 4) if known else None,
        "at_most": limit,
        "holds": value <= limit if known else None,
    }


def _last_third(losses: Sequence[float]) -> float | None:
    values = np.asarray(losses, np.float64)
    values = values[np.isfinite(values)]
    tail = values[-max(3, len(values) // 3) :]
    return relative_slope(tail) if len(tail) >= 3 else None


def _finite(losses: Sequence[float], skipped_updates: int | None) -> dict[str, Any]:
    bad = int((~np.isfinite(np.asarray(losses, np.float64))).sum()) + (skipped_updates or 0)
    return _at_most(float(bad) if len(losses) else None, 0)


def _reaches(overfit: Overfit | None) -> dict[str, Any]:
    entry = _at_most(overfit and float(len(overfit.unreached)), 0)
    if overfit and overfit.unreached:
        entry["examples"] = list(overfit.unreached[:5])
    return entry
