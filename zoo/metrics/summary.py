"""From values a hand to one number a data set, with the labels that stand behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoo.contracts import HandMesh, HandTarget, Metric

EVERYTHING = ""  # the set of all hands has no name in a summary


@dataclass(frozen=True)
class HandScores:
    """What every metric says of one hand: name -> (value, number of labels)."""

    values: Mapping[str, tuple[float, int]]
    source: str = EVERYTHING
    key: str = ""


def measure(
    metrics: Iterable[Metric],
    mesh: HandMesh,
    target: HandTarget,
    origins: Sequence[tuple[str, str]] | None = None,
) -> list[HandScores]:
    """The scores of each hand of a batch.

    origins: source and key of each hand, if known.
    """
    measured = {metric.name: metric(mesh, target) for metric in metrics}
    columns = {name: (v.tolist(), c.tolist()) for name, (v, c) in measured.items()}
    origins = origins if origins is not None else [(EVERYTHING, "")] * len(target)
    return [
        HandScores({name: (v[i], c[i]) for name, (v, c) in columns.items()}, source, key)
        for i, (source, key) in enumerate(origins)
    ]


def summarize(scores: Sequence[HandScores], names: Sequence[str]) -> dict[str, float]:
    """Means over labels by name, over everything ("mpjpe_mm") and by source ("ho3d/mpjpe_mm").

    names: of the metrics, so that an empty evaluation still has them, as NaN.
    returns: also "num_hands" and "ho3d/num_hands".
    """
    by_source: dict[str, list[HandScores]] = {EVERYTHING: list(scores)}
    for hand in scores:
        if hand.source != EVERYTHING:
            by_source.setdefault(hand.source, []).append(hand)
    answer: dict[str, float] = {}
    for source, hands in sorted(by_source.items()):
        prefix = f"{source}/" if source else ""
        for name in names:
            answer[prefix + name] = weighted_mean([hand.values[name] for hand in hands])
        answer[f"{prefix}num_hands"] = len(hands)
    return answer


def weighted_mean(pairs: Sequence[tuple[float, int]]) -> float:
    """The mean of values weighted by their counts; NaN, never 0, where no count is positive.

    A tracker for which smaller is better takes a 0 for the best evaluation ever.
    """
    counted = [(value, count) for value, count in pairs if count > 0]
    total = sum(count for _, count in counted)
    return math.fsum(value * count for value, count in counted) / total if total else math.nan


def names_of(metrics: Mapping[str, Metric]) -> list[str]:
    """The metrics' own names, in order; ValueError when two measure the same."""
    names = [metric.name for metric in metrics.values()]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(
            f"The metrics {', '.join(metrics)} measure {', '.join(sorted(repeated))} twice; "
            "keep one of them."
        )
    return names
