"""Faults of conventions, of averages and of modes are found; the same laws hold where none is."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.bug_bench import faults
from benchmarks.diagnose import diagnose
from benchmarks.faults import caught

PLANTED = [fault for family, fault in faults() if family == "convention"]
LAWS = sorted({fault.expect[0] for fault in PLANTED} | {"config.schedule", "gradient.clip"})


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_where_it_is(fault, healthy):
    found, runs = caught(fault, healthy(fault.base))
    assert found, [(run.status, run.why, run.findings) for run in runs]


def test_a_healthy_recipe_keeps_the_same_laws(healthy):
    for run in diagnose(healthy("csvit2_ief3"), probes=LAWS):
        assert run.status in ("passed", "skipped"), (run.id, run.why, run.findings)


@pytest.mark.parametrize(
    ("hook", "severity", "path"),
    [
        ({"momentum": 1e-6}, "error", "custom_hooks.ema.momentum"),
        ({"momentum": 0.999}, "warning", "custom_hooks.ema.momentum"),
        ({"momentum": 0.01, "begin_iter": 5000}, "error", "custom_hooks.ema.begin_iter"),
        ({"momentum": 0.01, "interval": 500}, "error", "custom_hooks.ema.momentum"),
    ],
)
def test_an_average_that_is_none_is_told(hook, severity, path, healthy):
    subject = healthy("csvit2_ief3")
    hooks = {**subject.config["custom_hooks"], "ema": {"type": "EMAHook", **hook}}
    subject = dataclasses.replace(subject, config={**subject.config, "custom_hooks": hooks})
    (run,) = diagnose(subject, probes=["config.schedule"])
    assert [(finding.severity, finding.path) for finding in run.findings] == [(severity, path)]
