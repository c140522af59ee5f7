from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from zoo.contracts import Frame, FrameBatch
from zoo.metrics import runner
from zoo.metrics.joints import MPJPE, PAMPJPE
from zoo.metrics.runner import HandMetrics


def records_of(mesh, target):
    """What the model's predict mode returns."""

    def arrays(record, hand):
        return {
            field.name: getattr(record, field.name)[hand].numpy()
            for field in dataclasses.fields(record)
        }

    return [
        {"prediction": arrays(mesh, i), "target": arrays(target, i)} for i in range(len(target))
    ]


def batch_of(target, sources, keys=None):
    one = target.map(lambda tensor: tensor[0])
    nothing = torch.zeros(3, 2, 2, dtype=torch.uint8)
    keys = keys or [f"hand{i}" for i in range(len(sources))]
    return FrameBatch(
        tuple(
            Frame(nothing, torch.eye(3), torch.zeros(4), False, one, key, source)
            for key, source in zip(keys, sources, strict=True)
        )
    )


SOURCES = ["freihand", "freihand", "ho3d", "ho3d", "ho3d"]


def test_it_gives_the_mean_over_labels_overall_and_by_source(mesh, other_mesh, label_of):
    target = label_of(other_mesh)
    valid = target.joints_valid.clone()
    valid[0, 10:] = 0
    target = dataclasses.replace(target, joints_valid=valid)
    evaluator = HandMetrics(metrics={"position": MPJPE(), "pose": PAMPJPE()})
    evaluator.process(batch_of(target, SOURCES), records_of(mesh, target))
    scores = evaluator.evaluate(size=0)
    errors = (mesh.joints - target.joints).double().norm(dim=-1) * 1000
    expected = {"": errors[valid > 0], "freihand/": errors[:2][valid[:2] > 0], "ho3d/": errors[2:]}
    for prefix, chosen in expected.items():
        assert scores[f"{prefix}mpjpe_mm"] == pytest.approx(float(chosen.mean()), rel=1e-6)
        assert math.isfinite(scores[f"{prefix}pa_mpjpe_mm"])
    assert [scores[f"{p}num_hands"] for p in expected] == [5, 2, 3]


def test_batches_may_be_cut_anywhere(mesh, other_mesh, label_of):
    target = label_of(other_mesh)
    whole, parts = (HandMetrics(metrics={"m": MPJPE()}) for _ in range(2))
    records = records_of(mesh, target)
    whole.process(batch_of(target, SOURCES), records)
    parts.process(batch_of(target, SOURCES[:1]), records[:1])
    parts.process(batch_of(target, SOURCES[1:]), records[1:])
    assert whole.evaluate(5) == parts.evaluate(5)


def test_an_empty_evaluation_is_not_a_number_and_never_the_best():
    scores = HandMetrics(metrics={"m": MPJPE()}).evaluate(size=0)
    assert math.isnan(scores["mpjpe_mm"])
    assert scores["num_hands"] == 0


def test_hands_without_labels_weigh_nothing_and_a_source_of_them_is_nan(
    mesh, other_mesh, label_of, without
):
    target = without(label_of(other_mesh), [0, 1], math.nan)
    evaluator = HandMetrics(metrics={"m": MPJPE()})
    evaluator.process(batch_of(target, SOURCES), records_of(mesh, target))
    scores = evaluator.evaluate(5)
    assert math.isnan(scores["freihand/mpjpe_mm"])
    assert scores["mpjpe_mm"] == pytest.approx(scores["ho3d/mpjpe_mm"])


def test_a_second_evaluation_starts_empty(mesh, other_mesh, label_of):
    evaluator = HandMetrics(metrics={"m": MPJPE()})
    target = label_of(other_mesh)
    evaluator.process(None, records_of(mesh, target))
    first = evaluator.evaluate(5)
    evaluator.process(None, records_of(other_mesh, target))
    assert evaluator.evaluate(5)["mpjpe_mm"] < 1e-9 < first["mpjpe_mm"]


def test_ranks_of_unequal_length_lose_no_hand_and_padding_counts_once(
    monkeypatch, mesh, other_mesh, label_of
):
    target = label_of(other_mesh)
    records = records_of(mesh, target)
    alone, first, second = (HandMetrics(metrics={"m": MPJPE()}) for _ in range(3))
    keys = [f"hand{i}" for i in range(5)]
    alone.process(batch_of(target, SOURCES), records)
    first.process(batch_of(target, SOURCES[:1]), records[:1])
    padded = [*range(1, 5), 0]
    second.process(
        batch_of(target, [SOURCES[i] for i in padded], [keys[i] for i in padded]),
        [records[i] for i in padded],
    )
    others = list(second.results)
    monkeypatch.setattr(runner, "all_gather_object", lambda mine: [mine, others])
    together = first.evaluate(5)
    monkeypatch.undo()
    assert together == pytest.approx(alone.evaluate(5))


def test_records_that_do_not_match_the_batch_are_refused(mesh, other_mesh, label_of):
    target = label_of(other_mesh)
    with pytest.raises(ValueError, match="4 records for a batch of 5 hands"):
        HandMetrics(metrics={"m": MPJPE()}).process(
            batch_of(target, SOURCES), records_of(mesh, target)[:4]
        )


def test_the_same_measure_twice_is_refused():
    with pytest.raises(ValueError, match="mpjpe_mm twice"):
        HandMetrics(metrics={"a": MPJPE(), "b": MPJPE()})
