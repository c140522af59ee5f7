"""A sample of the bug bench: planted faults are found, healthy parts are left alone."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.bug_bench import alarms, faults, page, plant_all, recipe_at
from benchmarks.bug_records import Records
from benchmarks.diagnose import diagnose
from benchmarks.faults import blames, caught, with_settings
from benchmarks.subject import load_subject
from registry.catalog import SLOTS
from registry.config import available
from registry.whole import build_model, load
from zoo.contracts import Finding

ALL = faults()
SAMPLE = (  # quick ones of each family of the engine; `python -m benchmarks.bug_bench` plants all
    "misspelt-key",
    "rate-that-rises-again",
    "best-is-largest-error",
    "black-crops",
    "blue-before-red",
    "grid-turned",
    "sigma-far-below-a-bin",
    "forward-kinematics-under-no-grad",
    "half-the-gradient",
    "nothing-pulls-on-the-translation",
    "shape-left-out-of-the-optimiser",
    "term-left-out-of-the-sum",
    "label-rotation-transposed",
    "parameters-in-mixed-units",
    "bins-in-millimetres",
    "no-residual-with-six-numbers",
    "logarithm-in-the-unselected-branch",
    "hand-model-inside-autocast",
)
QUICK = ("config.keys", "config.schedule", "config.pixels", "config.grid", "gradient", "ledger")


@pytest.fixture(scope="module")
def healthy():
    return load_subject("csvit2_ief3")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_planted_fault_is_found_where_it_is(name, healthy):
    (fault,) = (fault for _, fault in ALL if fault.name == name)
    assert fault.base == healthy.name
    hit, runs = caught(fault, healthy)
    assert hit, [finding for run in runs for finding in run.findings]


def test_a_healthy_subject_passes_the_same_probes(healthy):
    runs = diagnose(healthy, probes=QUICK)
    assert [(run.id, run.why) for run in runs if run.status not in ("passed", "skipped")] == []


def test_there_are_more_than_sixty_faults_with_names_of_their_own_and_probes_that_exist():
    names = [fault.name for _, fault in ALL]
    assert len(names) == len(set(names)) >= 60
    assert {fault.expect[0] for _, fault in ALL} <= set(SLOTS["probe"].names())
    assert all(fault.story.endswith(".") for _, fault in ALL)


def test_a_finding_blames_a_path_and_what_is_inside_it_only():
    finding = Finding("x/y", "error", "model.head.camera", "")
    assert blames(finding, "model.head")
    assert not blames(finding, "model.he")
    assert not blames(Finding("x/y", "info", "model.head.camera", ""), "model.head")


def test_a_term_of_weight_zero_is_said_to_be_dead_and_told_how_to_live(healthy):
    planted = with_settings("model.losses.joints.weight=0")(healthy)
    (run,) = diagnose(planted, probes=["gradient.reach"])
    (finding,) = (f for f in run.findings if f.path == "model.losses.joints")
    assert finding.fix == ("model.losses.joints.weight=1.0",)


def test_what_cannot_be_tested_is_skipped_with_a_reason(healthy):
    bare = load_subject("csvit2_ief3", changes=["optim_wrapper.clip_grad=none"])
    (run,) = diagnose(bare, probes=["gradient.clip"])
    assert (run.status, bool(run.why)) == ("skipped", True)


def test_a_model_of_ones_own_without_a_recipe_is_tested_where_it_can_be(healthy):
    own = dataclasses.replace(healthy, config=None, make_model=healthy.fresh_model, _memory={})
    runs = {run.id: run for run in diagnose(own, probes=["config", "gradient.optimised", "ledger"])}
    assert {run.status for run in runs.values()} <= {"passed", "skipped"}
    assert all(run.why for run in runs.values() if run.status == "skipped")
    assert runs["config.keys"].status == runs["config.switches"].status == "skipped"
    assert runs["ledger.sum"].status == runs["config.grid"].status == "passed"


def test_the_bench_tells_what_was_missed_and_writes_it_down(healthy):
    family, fault = next(pair for pair in ALL if pair[1].name == "misspelt-key")
    told: list[str] = []
    verdicts = plant_all([(family, fault)], told.append)
    found, _ = alarms([], report=told.append)
    assert "caught" in told[0]
    assert "Caught: 1 of 1 planted. False alarms: 0 on 0 configs" in page(verdicts, found, [])


def test_a_bench_that_stopped_goes_on_where_it_was(healthy, tmp_path):
    family, fault = next(pair for pair in ALL if pair[1].name == "misspelt-key")
    records, told = Records(tmp_path), []
    (first,) = plant_all([(family, fault)], told.append, records)

    def never(subject):
        raise AssertionError

    planted_twice = dataclasses.replace(fault, plant=never)
    (again,) = plant_all([(family, planted_twice)], told.append, records)
    assert (again.caught, again.told) == (True, first.told)
    assert told[0] == told[1]


def test_alarms_are_read_back_as_they_were_raised(healthy, tmp_path, monkeypatch):
    planted = with_settings("optim_wrapper.optimizer.lr=0.5")(healthy)
    monkeypatch.setattr("benchmarks.bug_bench.subject_at", lambda name, size: planted)
    probes = diagnose(planted, probes=["config.schedule"])
    monkeypatch.setattr("benchmarks.bug_bench.diagnose", lambda subject: probes)
    records, told = Records(tmp_path), []
    first, _ = alarms(["csvit2"], ["tiny"], told.append, records)
    monkeypatch.setattr("benchmarks.bug_bench.diagnose", None)
    again, _ = alarms(["csvit2"], ["tiny"], told.append, records)
    assert first == again
    assert first[0].finding.path == "optim_wrapper.optimizer.lr"


RECIPES = sorted(name for name, file in available().items() if file.parent.name == "configs")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_as_written_can_be_built_with_small_parts(name):
    recipe = recipe_at(name, "full")
    model = build_model(recipe)
    assert sum(parameter.numel() for parameter in model.parameters()) < 2e7
    assert recipe["train_cfg"] == load(name, size=None)["train_cfg"]
