"""The door between mmengine's evaluation loop and our metrics."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric

from zoo.contracts import FrameBatch, HandMesh, HandTarget, Metric

ALL_SOURCES = ""  # the set of every hand has no name in the results


class HandMetrics(BaseMetric):
    """Means over all hands, and over the hands of each source, of any number of metrics.

    metrics: name in the config -> metric; results go by the metric's own `name`, which carries
    the unit: "mpjpe_mm" and "freihand/mpjpe_mm". "num_hands" counts hands. A mean over hands is
    weighted by each hand's number of labels, so it is the mean over labels; where nothing is
    labelled it is NaN, never 0, which a tracker would take for the best.
    """

    default_prefix = ""  # None would make mmengine warn of a missing one

    def __init__(self, *, metrics: Mapping[str, Metric]) -> None:
        super().__init__(collect_device="cpu")
        names = [metric.name for metric in metrics.values()]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"HandMetrics.metrics measures {', '.join(sorted(repeated))} twice; keep one."
            )
        self.metrics = dict(metrics)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Measure a batch of the model's records.

        data_batch: the FrameBatch the records come from, for its sources; anything else counts as
        one unnamed source.
        data_samples: one dict a hand with "prediction" and "target", each a dict of arrays named
        as in HandMesh and HandTarget.
        """
        origins = _origins(data_batch, len(data_samples))
        if not data_samples:
            return
        mesh = stack_meshes(data_samples)
        target = stack_targets(data_samples)
        measured = {metric.name: metric(mesh, target) for metric in self.metrics.values()}
        for hand, (source, key) in enumerate(origins):
            values = {
                name: (float(values[hand]), int(counts[hand]))
                for name, (values, counts) in measured.items()
            }
            self.results.append({"source": source, "key": key, "values": values})

    def evaluate(self, size: int) -> dict[str, float]:
        """Every rank's results, on every rank.

        `size` is not used: a stream has no length, and mmengine's own collection would cut all
        ranks to the shortest one, so that hands vanished without a word.
        """
        rows = _without_repeats(all_gather_object(self.results))
        self.results = []
        return self.compute_metrics(rows)

    def compute_metrics(self, results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Weighted means by name, over everything and by source."""
        sources = sorted({row["source"] for row in results} - {ALL_SOURCES})
        answer = {}
        for source in (ALL_SOURCES, *sources):
            chosen = [row for row in results if source in (ALL_SOURCES, row["source"])]
            prefix = f"{source}/" if source else ""
            for metric in self.metrics.values():
                pairs = [row["values"][metric.name] for row in chosen]
                answer[prefix + metric.name] = weighted_mean(pairs)
            answer[f"{prefix}num_hands"] = len(chosen)
        return answer


def weighted_mean(pairs: Sequence[tuple[float, int]]) -> float:
    """The mean of values weighted by their counts; NaN where no count is positive."""
    counted = [(value, count) for value, count in pairs if count > 0]
    total = sum(count for _, count in counted)
    return math.fsum(value * count for value, count in counted) / total if total else math.nan


def stack_meshes(records: Sequence[Mapping[str, Any]]) -> HandMesh:
    """The predicted hands of the records, on the CPU."""
    return HandMesh(**_stack(records, "prediction", HandMesh))


def stack_targets(records: Sequence[Mapping[str, Any]]) -> HandTarget:
    """The labels of the records, on the CPU; fields that no record has stay None."""
    return HandTarget(**_stack(records, "target", HandTarget))


def _stack(records: Sequence[Mapping[str, Any]], part: str, kind: type) -> dict[str, torch.Tensor]:
    names = [f.name for f in dataclasses.fields(kind) if f.name in records[0][part]]
    return {
        name: torch.from_numpy(np.stack([np.asarray(row[part][name]) for row in records]))
        for name in names
    }


def _origins(data_batch: Any, num_records: int) -> list[tuple[str, str]]:
    if not isinstance(data_batch, FrameBatch):
        return [(ALL_SOURCES, "")] * num_records
    if len(data_batch) != num_records:
        raise ValueError(
            f"HandMetrics got {num_records} records for a batch of {len(data_batch)} hands; the "
            "model has to return one record a hand, in order."
        )
    return [(frame.source, frame.key) for frame in data_batch.frames]


def _without_repeats(parts: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All rows once: a sampler that evens out the ranks shows some hands to two of them."""
    first, *others = parts
    rows = list(first)
    seen = {_identity(row) for row in rows}
    for row in (row for part in others for row in part):
        if not row["key"] or _identity(row) not in seen:
            rows.append(row)
    return rows


def _identity(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["source"], row["key"], repr(row["values"])
