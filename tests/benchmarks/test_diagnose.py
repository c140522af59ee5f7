"""A diagnosis runs every probe whatever one of them does, and its JSON holds plain values only."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
import torch

from benchmarks.diagnose import ProbeRun, chosen, diagnose, plain, ranked, to_json
from benchmarks.probe import Probe, ProbeResult, Unrunnable
from benchmarks.subject import load_subject
from registry.catalog import SLOTS
from registry.slot import Slot, UnknownComponent
from zoo.contracts import Finding


class Law:
    """A law of these tests."""

    family: ClassVar[str] = "test"
    law: ClassVar[str] = "Tests pass."
    see: ClassVar[str] = "docs/probes.md#test"


class Passes(Law):
    id: ClassVar[str] = "test.passes"

    def __call__(self, subject):
        remark = Finding("test.passes/remark", "info", "model.head", "worth knowing")
        return ProbeResult((remark,), {"array": np.arange(2), "tensor": torch.ones(1)})


class Fails(Law):
    id: ClassVar[str] = "test.fails"

    def __call__(self, subject):
        late = Finding("test.fails/late", "error", "model.neck", "broken", {"value": float("inf")})
        first = Finding("test.fails/first", "error", "model.head", "worse", {"priority": 0})
        return ProbeResult((Finding("test.fails/w", "warning", "data", "odd"), late, first))


class Crashes(Law):
    id: ClassVar[str] = "test.crashes"

    def __call__(self, subject):
        raise RuntimeError("boom")


class CannotRun(Law):
    id: ClassVar[str] = "test.cannot_run"

    def __call__(self, subject):
        raise Unrunnable("there is nothing to look at")


class NeverMade(Law):
    id: ClassVar[str] = "test.never_made"

    def __init__(self):
        raise ValueError("no")


@pytest.fixture(scope="module")
def subject():
    return load_subject("csvit2_ief3")


@pytest.fixture
def slot(monkeypatch):
    slot = Slot("probe", {}, protocol="benchmarks.probe:Probe")
    for kind in (Passes, Fails, Crashes, CannotRun, NeverMade):
        slot.register(kind.id)(kind)
    monkeypatch.setitem(SLOTS, "probe", slot)
    return slot


def test_a_probe_that_crashes_is_reported_and_the_rest_still_runs(subject, slot):
    runs = {run.id: run for run in diagnose(subject)}
    assert runs["test.passes"].status == "passed"
    assert runs["test.fails"].status == "failed"
    assert runs["test.crashes"].status == "crashed"
    assert "boom" in runs["test.crashes"].why
    assert runs["test.never_made"].status == "crashed"
    assert (runs["test.cannot_run"].status, runs["test.cannot_run"].why) == (
        "skipped",
        "there is nothing to look at",
    )


def test_findings_come_worst_first_and_by_their_own_priority(subject, slot):
    found = [finding.id for finding, _ in ranked(diagnose(subject))]
    assert found == [
        "test.fails/first",
        "test.fails/late",
        "test.fails/w",
        "test.passes/remark",
    ]


def test_the_json_is_plain_and_has_the_keys_of_its_schema(subject, slot):
    report = json.loads(json.dumps(to_json([subject], [diagnose(subject)]), allow_nan=False))
    assert set(report) == {"schema", "subjects", "differences", "findings", "probes"}
    first = report["findings"][0]
    assert set(first) >= {"id", "probe", "severity", "subject", "path", "message", "evidence"}
    assert report["probes"][-1]["evidence"] == {"array": [0, 1], "tensor": [1.0]}
    assert any(f["evidence"].get("value") == "inf" for f in report["findings"])


def test_a_name_nobody_has_is_answered_with_the_nearest_one(slot):
    assert chosen(["test.fails"]) == ["test.fails"]
    assert len(chosen(["test"])) == 5
    with pytest.raises(UnknownComponent, match=r"test\.fails"):
        chosen(["test.fials"])


def test_a_probe_leaves_weights_gradients_and_mode_as_they_were(subject):
    before = {name: p.detach().clone() for name, p in subject.model.named_parameters()}
    diagnose(subject, probes=["gradient.optimised", "ledger.sum", "config.conditioning"])
    assert not subject.model.training
    assert all(p.grad is None for p in subject.model.parameters())
    assert all(torch.equal(before[n], p) for n, p in subject.model.named_parameters())


@pytest.mark.parametrize("name", SLOTS["probe"].names())
def test_a_probe_is_what_its_name_says(name):
    probe = SLOTS["probe"].get(name)()
    assert isinstance(probe, Probe)
    assert probe.id == name
    assert probe.family == name.split(".")[0]
    assert probe.law.endswith(".")
    assert probe.see == f"docs/probes.md#{name.replace('.', '-').replace('_', '-')}"


def test_plain_values_survive_and_numbers_that_are_not_finite_become_words():
    assert plain({"a": (1, 2.5), "b": float("nan"), 3: {"x"}}) == {
        "a": [1, 2.5],
        "b": "nan",
        "3": ["x"],
    }


def test_a_run_without_findings_keeps_its_evidence():
    run = ProbeRun("x.y", "passed", "", 0.1, (), {"number": 1})
    assert run.evidence == {"number": 1}
