from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from benchmarks.diagnose import diagnose


class LastAndMean(nn.Module):
    """A temporal part that works."""

    def forward(self, queries, times):
        return queries[:, -1] + 0.5 * queries.mean(1)


class LastAlone(nn.Module):
    """Nothing before the last frame is used."""

    def forward(self, queries, times):
        return queries[:, -1]


class Regrouped(nn.Module):
    """Clips are cut anew with a wrong number of frames (P-05)."""

    def forward(self, queries, times):
        return queries.flatten(0, 1)[:: queries.shape[1] + 1]


class Mixed(nn.Module):
    """A clip borrows from its neighbour."""

    def forward(self, queries, times):
        return queries[:, -1] + queries[:, 0].roll(1, 0)


def _found(healthy, temporal):
    subject = healthy("csvit2_ief3")
    model = subject.fresh_model().eval()
    model.temporal = temporal
    with_clips = dataclasses.replace(subject, model=model, _memory={})
    (run,) = diagnose(with_clips, probes=["shape.clip"])
    assert run.status in ("passed", "failed"), run.why
    return [(finding.id, finding.path) for finding in run.findings]


def test_a_temporal_part_that_uses_its_clip_keeps_the_law(healthy):
    assert _found(healthy, LastAndMean()) == []


@pytest.mark.parametrize(
    ("temporal", "kind"), [(LastAlone, "history"), (Regrouped, "rows"), (Mixed, "mixed")]
)
def test_a_temporal_part_that_does_not_is_named(temporal, kind, healthy):
    assert (f"shape.clip/{kind}", "model.temporal") in _found(healthy, temporal())


def test_a_branch_that_starts_at_zero_is_no_deaf_one(healthy):
    subject = healthy("csvit2_ief3")
    assert not torch.any(subject.model.neck.zero_linear.weight)
    (run,) = diagnose(subject, probes=["shape.inputs"])
    assert run.status == "passed"
    assert run.evidence["change"]["neck by intrinsics"] > 1e-4
