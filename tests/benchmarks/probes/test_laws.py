"""Every law of shapes, labels, masks, metrics, chance, pictures and weights, kept and broken."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from benchmarks.bug_bench import faults
from benchmarks.diagnose import chosen, diagnose
from benchmarks.faults import caught
from benchmarks.subject import Subject
from registry.catalog import SLOTS

FAMILIES = (
    "shape",
    "label",
    "augmentation",
    "mask",
    "metric",
    "determinism",
    "data",
    "weights",
)
PLANTED = [fault for family, fault in faults() if family in FAMILIES]


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_where_it_is(fault, healthy):
    found, runs = caught(fault, healthy(fault.base))
    assert found, [(run.status, run.why, run.findings) for run in runs]


@pytest.mark.parametrize("name", ["csvit2_ief3", "csvit2_old", "hamer"])
def test_a_healthy_recipe_keeps_every_law_and_is_left_as_it_was(name, healthy):
    subject = healthy(name)
    before = {key: value.clone() for key, value in subject.model.state_dict().items()}
    random_state = torch.get_rng_state()
    runs = diagnose(subject, probes=FAMILIES)
    alarms = [
        (run.id, run.why, finding)
        for run in runs
        for finding in run.findings or [None]
        if run.status == "crashed" or (finding and finding.severity != "info")
    ]
    assert alarms == []
    assert sum(run.status == "passed" for run in runs) >= 30
    assert torch.equal(torch.get_rng_state(), random_state)
    for key, value in subject.model.state_dict().items():
        if "draws" not in key:
            assert torch.equal(value, before[key]), key


def test_every_law_has_a_fault_that_breaks_it():
    broken = {fault.expect[0] for fault in PLANTED}
    assert set(chosen(FAMILIES)) - broken == set()


def test_every_probe_says_what_it_tests_and_where_to_read_more():
    for name in chosen(FAMILIES):
        probe = SLOTS["probe"].get(name)
        assert probe.id == name
        assert probe.family == name.split(".")[0]
        assert probe.law.endswith(".")
        assert probe.see == f"docs/probes.md#{name.replace('.', '-')}"


def test_what_cannot_be_tested_is_skipped_with_a_reason(healthy):
    subject = healthy("csvit2_ief3")
    bare = dataclasses.replace(subject, config=None, make_model=None, _memory={})
    runs = {run.id: run for run in diagnose(bare, probes=FAMILIES)}
    skipped = {name for name, run in runs.items() if run.status == "skipped"}
    assert {"metric.name", "metric.best", "shape.clip", "weights.loaded"} <= skipped
    assert {"data.support", "determinism.start"} <= skipped
    assert all(runs[name].why for name in skipped)
    assert not [run.why for run in runs.values() if run.status == "crashed"]


def test_hands_without_mano_or_joints_skip_and_never_crash(healthy):
    subject = healthy("csvit2_ief3")

    def keypoints_only(frame):
        label = frame.label
        changes = {
            name: torch.zeros_like(getattr(label, name))
            for name in ("rotmats", "betas", "has_mano", "joints", "joints_valid")
        }
        return dataclasses.replace(frame, label=dataclasses.replace(label, **changes))

    frames = tuple(keypoints_only(frame) for frame in subject.frames.frames)
    weak: Subject = subject.with_frames(dataclasses.replace(subject.frames, frames=frames))
    runs = diagnose(weak, probes=FAMILIES)
    assert not [(run.id, run.why) for run in runs if run.status == "crashed"]
    wrong = [f for run in runs for f in run.findings if f.severity != "info"]
    assert wrong == []
