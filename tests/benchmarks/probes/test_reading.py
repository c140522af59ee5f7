"""What a head reads, starts from and returns, the hand it poses, and the camera it says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.bug_bench import faults
from benchmarks.diagnose import diagnose
from benchmarks.faults import caught, override, with_model, with_settings
from registry.catalog import SLOTS
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.heads.released_rotations import rotvec_as_released

PROBES = ("shape.reading", "numeric.rotations", "numeric.start", "weights.hand", "ledger.square")
TURN = rotvec_to_rotmat(torch.tensor((0.1, 0.2, -0.1)))
PLANTED = [fault for _, fault in faults() if fault.expect[0] in PROBES]


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_where_it_is(fault, healthy):
    found, runs = caught(fault, healthy(fault.base))
    assert found, [(run.status, run.why, run.findings) for run in runs]


def test_every_law_has_a_fault_that_breaks_it_and_says_what_it_tests():
    assert {fault.expect[0] for fault in PLANTED} == set(PROBES)
    for name in PROBES:
        probe = SLOTS["probe"].get(name)
        assert (probe.id, probe.family) == (name, name.split(".")[0])
        assert probe.law.endswith(".")
        assert probe.see == f"docs/probes.md#{name.replace('.', '-')}"


def test_a_healthy_head_keeps_every_law_and_gives_the_numbers(healthy):
    runs = {run.id: run for run in diagnose(healthy("csvit2_ief3"), probes=PROBES)}
    assert {run.status for run in runs.values()} == {"passed"}
    reading = runs["shape.reading"].evidence
    assert reading["read"] > reading["patches"] / 2
    assert runs["numeric.start"].evidence["wrist_from_upright_rad"] < 1e-3
    assert runs["numeric.start"].evidence["sine_between_columns"] == pytest.approx([1.0] * 16)
    assert 0.2 < runs["weights.hand"].evidence["size_m"] < 0.3
    assert runs["ledger.square"].evidence["ratio"] == pytest.approx(1.0)


def corrects_by(turn: Callable[[Tensor], Tensor]) -> Callable[[torch.nn.Module], None]:
    """A head whose numbers are those of the hand it corrects, its answer a turn of them."""

    def change(model: torch.nn.Module) -> None:
        def read(self: Any, original: Any, query: Any, view: Any) -> Any:
            said = original(query, view)
            aux = {name.replace("pose_", "coarse_pose_"): value for name, value in said.aux.items()}
            return dataclasses.replace(said, rotmats=turn(said.rotmats), aux=aux)

        override(model.head, read=read)

    return change


@pytest.mark.parametrize(
    ("turn", "status"),
    [
        (lambda rotmats: TURN @ rotmats, "passed"),
        (lambda rotmats: rotmats @ TURN, "passed"),
        (lambda rotmats: rotvec_to_rotmat(rotvec_as_released(TURN @ rotmats)), "failed"),
        (lambda rotmats: rotmats @ rotmats, "skipped"),
    ],
)
def test_a_head_that_corrects_by_a_turn_is_held_to_the_same_law(turn, status, healthy):
    subject = with_model(corrects_by(turn))(healthy("csvit2_ief3"))
    (run,) = diagnose(subject, probes=["numeric.rotations"])
    assert run.status == status, (run.why, run.findings)


def test_a_head_that_corrects_nothing_is_skipped_with_the_reason(healthy):
    subject = with_settings("model.head.residual=False")(healthy("csvit2_ief3"))
    runs = diagnose(subject, probes=("numeric.rotations", "numeric.start"))
    assert {run.status for run in runs} == {"skipped"}
    assert {run.why for run in runs} == {"the head's rotations are no correction of an estimate"}


def test_a_module_without_parts_is_skipped_with_the_reason(healthy):
    healthy_one = healthy("csvit2_ief3")
    bare = torch.nn.Module()
    subject = dataclasses.replace(healthy_one, model=bare, make_model=lambda: bare, _memory={})
    runs = diagnose(subject, probes=("shape.reading", "numeric.start", "weights.hand"))
    assert {run.status for run in runs} == {"skipped"}
    assert all(run.why for run in runs)
