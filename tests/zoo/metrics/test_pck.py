from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from zoo.metrics.pck import AUC, PCK, area_under, pck_curve


def at_distance(mesh, distances_mm):
    """The mesh with joint j moved along x by distances_mm[j]."""
    joints = mesh.joints.double().clone()
    joints[..., 0] += torch.tensor(distances_mm, dtype=torch.float64) / 1000
    return dataclasses.replace(mesh, joints=joints)


def test_a_joint_at_the_threshold_is_close_enough(mesh, label_of):
    target = label_of(mesh)
    off = at_distance(mesh, [0.0] * 10 + [19.999] * 5 + [20.001] * 6)
    values, counts = PCK(threshold_mm=20)(off, target)
    torch.testing.assert_close(values, torch.full((5,), 15 / 21, dtype=torch.float64))
    assert counts.tolist() == [21] * 5
    exactly = pck_curve(torch.tensor([[0.5, 0.6]]), torch.ones(1, 2), torch.tensor([0.5]))
    assert exactly.tolist() == [0.5]


def test_the_area_is_one_for_the_truth_and_zero_for_a_far_hand(mesh, label_of):
    assert (AUC()(mesh, label_of(mesh))[0] == 1).all()
    assert (AUC()(at_distance(mesh, [51.0] * 21), label_of(mesh))[0] == 0).all()


@pytest.mark.parametrize("steps", [100, 101])
def test_the_area_of_a_hand_is_that_of_its_curve(steps, mesh, other_mesh, label_of):
    values, _ = AUC(steps=steps, max_mm=80)(mesh, label_of(other_mesh))
    thresholds = np.linspace(0, 80, steps)
    errors = (mesh.joints - other_mesh.joints).double().norm(dim=-1).numpy() * 1000
    curve = (errors[..., None] <= thresholds).mean(1)
    torch.testing.assert_close(values, torch.from_numpy(trapezoid(curve, thresholds) / 80))


def test_a_joint_nobody_shows_has_no_share_in_the_curve():
    errors, valid = torch.tensor([[1.0, 9.0], [3.0, 9.0]]), torch.tensor([[1.0, 0], [1, 0]])
    thresholds = torch.tensor([0.0, 2.0, 4.0])
    curve = pck_curve(errors, valid, thresholds)
    assert curve.tolist() == [0.0, 0.5, 1.0]
    assert float(area_under(curve, thresholds)) == 0.5


def test_each_frame_forgives_what_its_name_says(mesh, label_of, moved):
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    shifted = moved(mesh, translation=(0.1, 0, 0))
    carried = moved(mesh, rotation=turn, scale=0.7, translation=(0.1, 0, 0))
    share = {
        frame: [
            float(PCK(threshold_mm=5, frame=frame)(hand, label_of(mesh))[0].mean())
            for hand in (mesh, shifted, carried)
        ]
        for frame in ("camera", "wrist", "procrustes")
    }
    assert share["camera"][:2] == [1.0, 0.0]
    assert share["wrist"][:2] == [1.0, 1.0]
    assert share["wrist"][2] < 0.5
    assert share["procrustes"] == [1.0, 1.0, 1.0]


def test_names_carry_frame_and_unit_and_unknown_frames_are_refused():
    assert PCK(threshold_mm=20).name == "pck_at_20mm"
    assert AUC(frame="procrustes").name == "pa_auc_to_50mm"
    with pytest.raises(ValueError, match="choose one of 'camera', 'wrist', 'procrustes'"):
        AUC(frame="world")
