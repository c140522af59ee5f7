"""The verdict on a finished run, and the curves it keeps in run.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.overfit import overfit_one_batch
from benchmarks.verdict import verdict
from zoo.app.evaluation.evaluate import Evaluation
from zoo.app.training.assemble import Shards, val_loader
from zoo.model import HandMeshModel

KEPT = 200  # points of a curve


def judge(
    config: Mapping[str, Any],
    model: HandMeshModel,
    shards: Shards,
    evaluation: Evaluation,
    history: Mapping[str, Sequence[float]],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """`converged` and its criteria, as `benchmarks.verdict` fixes them."""
    device = str(next(model.parameters()).device)
    hands = next((batch for batch in val_loader(config, shards.train) if len(batch)), None)
    overfit = None
    if hands is not None:
        overfit = overfit_one_batch(config, hands, trained=model, device=device)
    value = evaluation.metrics.get("root_mpjpe_mm", math.nan)
    base = evaluation.baseline.get("root_mpjpe_mm", math.nan)
    return verdict(
        baseline_ratio=value / base if base else None,
        losses=history.get("train/loss", ()),
        skipped_updates=facts.get("skipped_updates"),
        overfit=overfit,
    )


def thinned(history: Mapping[str, Sequence[float]]) -> dict[str, dict[str, list[float]]]:
    """The total loss and the validation errors, averaged down to at most KEPT points each.

    returns: name -> {"position": (n,) 0 to 1 of the run, "value": (n,)}.
    """
    wanted = [
        n for n in history if n == "train/loss" or (n.startswith("val/") and n.count("/") < 2)
    ]
    found = {}
    for name in wanted:
        values = [float(v) for v in history[name]]
        width = max(1, math.ceil(len(values) / KEPT))
        chunks = [values[i : i + width] for i in range(0, len(values), width)]
        ends = [min((i + 1) * width, len(values)) / len(values) for i in range(len(chunks))]
        found[name] = {
            "position": [round(end, 5) for end in ends],
            "value": [float(f"{math.fsum(chunk) / len(chunk):.5g}") for chunk in chunks],
        }
    return found
