"""The diagnosis of a real model that nobody here broke: each known mistake, at its own path."""

from __future__ import annotations

import pytest
import torch

from benchmarks.diagnose import diagnose
from benchmarks.faults import blames
from benchmarks.subject import Subject, load_subject

# Mistake -> probe, finding, path: docs/case_study_utnet.md tells the numbers. V7 shows in the log
# of a run alone: tests/benchmarks/test_run_laws.py.
MISTAKES = {
    "V1 projected twice": ("ledger.scale", "crop-extent", "model.head.camera"),
    "V2 grid turned": ("config.grid", "turned", "model.backbone"),
    "V3 vertices off the maps": ("shape.reading", "blind", "model.head"),
    "V4 joints in another order": ("label.truth", "dear", "model.losses.joints"),
    "V5 labels in OpenGL's axes": (
        "augmentation.consistent",
        "joints",
        "augmentation.view.axes",
    ),
    "V6 millimetres": ("gradient.share", "drowned", "model.losses.reprojection"),
    "V8 rotations through angles": ("numeric.rotations", "wrong", "model.head"),
    "V9 roll without labels": ("augmentation.consistent", "joints", "augmentation.view.roll"),
    "V10 centre moved twice": ("augmentation.consistent", "lost", "augmentation.crop"),
    "V11 wrist of another layout": ("numeric.start", "aside", "model.head"),
    "V12 another width": ("ledger.square", "stretched", "model.head.camera"),
    "V13 hand of zeros": ("weights.hand", "replaced", "model.hand"),
    "a dead key": ("config.keys", "no-parameter", "optim_wrapper.paramwise_cfg.custom_keys"),
}
PROBES = sorted({probe for probe, _, _ in MISTAKES.values()})


@pytest.fixture(scope="module")
def looked_at() -> dict[str, list]:
    torch.set_num_threads(1)
    return {name: findings(load_subject(name)) for name in ("utnet_as_released", "utnet")}


def findings(subject: Subject) -> list:
    runs = diagnose(subject, probes=PROBES)
    assert {run.status for run in runs} <= {"passed", "failed"}, [run.why for run in runs]
    return [finding for run in runs for finding in run.findings]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_the_release_is_found_at_its_path_and_not_once_corrected(mistake, looked_at):
    probe, kind, path = MISTAKES[mistake]
    found = [f for f in looked_at["utnet_as_released"] if f.id == f"{probe}/{kind}"]
    assert any(blames(finding, path) for finding in found), found
    left = [f for f in looked_at["utnet"] if f.id == f"{probe}/{kind}" and blames(f, path)]
    assert left == []


def test_the_corrected_one_has_no_error_left(looked_at):
    assert [f for f in looked_at["utnet"] if f.severity == "error"] == []


@pytest.mark.parametrize(
    "key",
    [
        "model.use_official_naf=True",
        "param_scheduler.warmup_epochs=5",
        "train_cfg.test_freq=5",
        "model.hand.gender=neutral",
        "optim_wrapper.learning_rate=1e-5",
        "optim_wrapper.weight_decay=1e-4",
    ],
)
def test_a_key_that_nobody_reads_is_refused_by_its_name(key):
    name = key.partition("=")[0].rpartition(".")[2]
    with pytest.raises(ValueError, match=name):
        load_subject("utnet", changes=[key])
