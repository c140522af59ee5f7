from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from benchmarks.speed import clips as bench
from benchmarks.speed.clips import Clips, clips_per_second, loss_memory, saved_bytes


@pytest.fixture(scope="module")
def clips():
    return Clips(size="tiny", batch=2, frames=3)


def test_what_a_layer_keeps_is_its_input_once_and_not_its_weights():
    layer, x = nn.Linear(8, 4), torch.randn(16, 8)
    assert saved_bytes(layer, lambda: layer(x).sum()) == 16 * 8 * 4
    # Two layers that read the same input keep it once; a view of it is the same memory.
    assert saved_bytes(layer, lambda: (layer(x) + layer(x[:])).sum()) == 16 * 8 * 4


def test_one_supervised_frame_keeps_a_third_of_what_three_keep(clips):
    found = loss_memory(clips)
    assert 0.55 < found["less_by"] < 2 / 3 + 0.01
    assert found["one_frame_mb"] > 0.1  # two posed hands of 778 vertices


def test_both_ways_are_timed_in_turn_after_a_first_round_that_does_not_count(clips, monkeypatch):
    seconds = iter([0.0, 0.0, *(0.0, 6.0, 0.0, 1.0) * 6])  # the first round is not timed
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(seconds))
    taken = []
    monkeypatch.setattr(clips, "step", taken.append)
    found = clips_per_second(clips, repeats=6)
    assert taken == ["re-encoding", "one"] * 7
    assert found["re_encoding_clips_per_s"] == pytest.approx(2 / 6)
    assert found["cached_clips_per_s"] == pytest.approx(2)
    assert found["times_as_fast"] == pytest.approx(6)
    assert json.loads(json.dumps(found)) is not None


@pytest.mark.parametrize("way", bench.WAYS)
def test_every_step_moves_the_temporal_part_and_nothing_else(clips, way):
    before = {name: value.clone() for name, value in clips.model.named_parameters()}
    clips.step(way)
    moved = {n for n, v in clips.model.named_parameters() if not torch.equal(v, before[n])}
    assert moved
    assert all(name.startswith("temporal.") for name in moved)


def test_the_one_frame_of_both_measurements_is_the_last(clips):
    clips.model.eval()  # without dropout
    every = clips.refined("all").unflatten(0, (clips.batch, clips.frames))
    assert torch.equal(clips.refined("one"), every[:, -1])
    with torch.no_grad():
        from_tokens = clips.loss(clips.refined("one"), "one")
        view = clips.subject.preprocess(clips.pictures, training=True)[0]
        whole = sum(clips.model(view, clips.last, mode="loss").values())
    clips.model.train()
    torch.testing.assert_close(from_tokens, whole, rtol=1e-3, atol=1e-3)
