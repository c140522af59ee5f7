"""The door between mmengine's evaluation loop and our metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric

from zoo.contracts import FrameBatch, HandMesh, HandTarget, Metric
from zoo.metrics.summary import EVERYTHING, HandScores, measure, names_of, summarize

Record = Mapping[str, Any]  # what the model's predict mode says of one hand


class HandMetrics(BaseMetric):
    """Means over all hands, and over the hands of each source, of any number of metrics.

    metrics: name in the config -> metric; results go by the metric's own `name`, which carries
    the unit: "mpjpe_mm" and "freihand/mpjpe_mm". "num_hands" counts hands. A mean over hands is
    weighted by each hand's number of labels, so it is the mean over labels; where nothing is
    labelled it is NaN.
    """

    default_prefix = ""  # None would make mmengine warn of a missing one

    def __init__(self, *, metrics: Mapping[str, Metric]) -> None:
        super().__init__(collect_device="cpu")
        self.names = names_of(metrics)
        self.metrics = dict(metrics)

    def process(self, data_batch: Any, data_samples: Sequence[Record]) -> None:
        """Measure a batch of the model's records.

        data_batch: the FrameBatch the records come from, for its sources; anything else counts as
        one unnamed source.
        data_samples: one dict a hand with "prediction" and "target", each a dict of arrays named
        as in HandMesh and HandTarget.
        """
        origins = _origins(data_batch, len(data_samples))
        if data_samples:
            mesh, target = stack_records(data_samples)
            self.results += measure(self.metrics.values(), mesh, target, origins)

    def evaluate(self, size: int) -> dict[str, float]:
        """The summary of every rank's hands, on every rank.

        `size` is not used: a stream has no length, and mmengine's own collection cuts all ranks
        to the shortest one, so that hands vanish without a word.
        """
        first, *others = all_gather_object(self.results)
        self.results = []
        return self.compute_metrics(_without_padding(first, others))

    def compute_metrics(self, results: Sequence[HandScores]) -> dict[str, float]:
        return summarize(results, self.names)


def stack_records(records: Sequence[Record]) -> tuple[HandMesh, HandTarget]:
    """The predicted hands of the records and their labels, on the CPU.

    Fields of the target that the records do not have stay None.
    """
    return HandMesh(**_stack(records, "prediction", HandMesh)), HandTarget(
        **_stack(records, "target", HandTarget)
    )


def _stack(records: Sequence[Record], part: str, kind: type) -> dict[str, torch.Tensor]:
    if part not in records[0]:
        raise ValueError(
            f"HandMetrics got a record without {part!r} (it has {', '.join(records[0])}); run the "
            "model's predict mode with data_samples."
        )
    names = [f.name for f in dataclasses.fields(kind) if f.name in records[0][part]]
    return {
        name: torch.from_numpy(np.stack([np.asarray(row[part][name]) for row in records]))
        for name in names
    }


def _origins(data_batch: Any, num_records: int) -> list[tuple[str, str]]:
    if not isinstance(data_batch, FrameBatch):
        return [(EVERYTHING, "")] * num_records
    if len(data_batch) != num_records:
        raise ValueError(
            f"HandMetrics got {num_records} records for a batch of {len(data_batch)} hands; the "
            "model has to return one record a hand, in order."
        )
    return [(frame.source, frame.key) for frame in data_batch.labelled]


def _without_padding(
    first: Sequence[HandScores], others: Sequence[Sequence[HandScores]]
) -> list[HandScores]:
    """All ranks' hands once: a sampler that evens out the ranks shows some hands to two of them."""
    hands = list(first)
    seen = {repr(hand) for hand in hands}
    for hand in (hand for part in others for hand in part):
        if not hand.key or repr(hand) not in seen:
            hands.append(hand)
            seen.add(repr(hand))
    return hands
