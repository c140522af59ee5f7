from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.metrics.errors import FingerMPJPE, fingers, staircase
from zoo.metrics.joints import PAMPJPE

TURN = rotvec_to_rotmat(torch.tensor([0.2, 0.4, -0.1]))


def steps(mesh, target):
    return {name: float(metric(mesh, target)[0].mean()) for name, metric in staircase().items()}


@pytest.mark.parametrize(
    ("move", "cured_by"),
    [
        ({"translation": (0.1, 0.0, -0.2)}, {"translation", "scale", "rotation", "all"}),
        ({"scale": 1.2}, {"scale", "all"}),
        ({"rotation": TURN}, {"rotation", "all"}),
        ({"rotation": TURN, "scale": 0.8}, {"all"}),
    ],
)
def test_each_step_removes_the_motion_it_is_named_after(move, cured_by, mesh, label_of, moved):
    errors = steps(moved(mesh, **move), label_of(mesh))
    assert {name for name, error in errors.items() if error < 0.01} == cured_by


def test_the_staircase_only_goes_down_and_ends_at_procrustes(mesh, other_mesh, label_of):
    target = label_of(other_mesh)
    errors = steps(mesh, target)
    # alignment minimises squares, so single steps may rise by a little where means are compared
    assert errors["nothing"] > errors["translation"] > errors["all"]
    assert errors["all"] == pytest.approx(float(PAMPJPE()(mesh, target)[0].mean()))


def test_all_steps_count_the_same_hands(mesh, other_mesh, label_of):
    target = label_of(other_mesh)
    target.has_intrinsics[1] = 0
    target.joints_valid[2, 2:] = 0
    counts = [metric(mesh, target)[1].tolist() for metric in staircase().values()]
    assert counts == [[21, 0, 0, 21, 21]] * 5


def test_a_wrong_finger_is_the_only_one_blamed(mesh, label_of):
    joints = mesh.joints.clone()
    joints[:, 9:13] += 0.02 / 3**0.5
    bent = dataclasses.replace(mesh, joints=joints)
    errors = {name: float(m(bent, label_of(mesh))[0].mean()) for name, m in fingers().items()}
    assert errors.pop("middle") == pytest.approx(20, abs=1e-3)
    assert max(errors.values()) < 1e-3


def test_an_unknown_finger_is_refused():
    with pytest.raises(ValueError, match="finger is 'toe'; choose one of 'thumb'"):
        FingerMPJPE(finger="toe")
