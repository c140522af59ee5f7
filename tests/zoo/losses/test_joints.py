from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.losses.joints import JointLoss, RootRelativeJointLoss
from zoo.losses.vertices import VertexLoss


def shifted(mesh, offset):
    move = torch.tensor(offset)
    return dataclasses.replace(mesh, joints=mesh.joints + move, vertices=mesh.vertices + move)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (JointLoss(weight=1.0, norm="euclidean"), 0.05),
        (JointLoss(weight=1.0), 0.07 / 3),
        (JointLoss(weight=1.0, norm="l2"), 0.0025 / 3),
        (JointLoss(weight=1.0, norm="l2", unit="mm"), 2500 / 3),
        (JointLoss(weight=1.0, unit="mm", reduction="sum"), 70.0 * 4 * 21),
        (RootRelativeJointLoss(weight=1.0), 0.0),
        (VertexLoss(weight=1.0), 0.0),
        (VertexLoss(weight=1.0, frame="camera", norm="euclidean", unit="mm"), 50.0),
    ],
)
def test_a_shift_of_5_cm_costs_what_the_norm_and_unit_say(term, expected, hands, labels):
    prediction, mesh = hands(0)
    value = term(prediction, shifted(mesh, [0.03, -0.04, 0.0]), labels(0))
    assert float(value) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_relative_joints_pull_the_whole_hand_only_when_the_wrist_is_detached(hands, labels):
    for detach, pulled in ((False, False), (True, True)):
        prediction, mesh = hands(0)
        offset = torch.zeros(3, requires_grad=True)
        moved = dataclasses.replace(mesh, joints=mesh.joints + offset)
        term = RootRelativeJointLoss(weight=1.0, detach_wrist=detach)
        term(prediction, moved, labels(1)).backward()
        assert bool(offset.grad.abs().max() > 1e-3) == pulled


def test_a_hand_without_a_labelled_wrist_does_not_count_as_relative(hands, labels):
    target = labels(1)
    unlabelled = dataclasses.replace(target, joints_valid=target.joints_valid.clone())
    unlabelled.joints_valid[2, 0] = 0
    without_hand = dataclasses.replace(target, joints_valid=target.joints_valid.clone())
    without_hand.joints_valid[2] = 0
    term = RootRelativeJointLoss(weight=1.0)
    assert term(*hands(0), unlabelled) == term(*hands(0), without_hand)
    assert term(*hands(0), unlabelled) != term(*hands(0), target)


def test_hands_of_assumed_cameras_can_be_left_out(hands, labels):
    target = labels(1)
    assumed = dataclasses.replace(target, has_intrinsics=torch.tensor([1.0, 0, 1, 0]))
    only_first = dataclasses.replace(target, joints_valid=target.joints_valid.clone())
    only_first.joints_valid[[1, 3]] = 0
    strict = JointLoss(weight=1.0, measured_cameras_only=True)
    assert strict(*hands(0), assumed) == JointLoss(weight=1.0)(*hands(0), only_first)
    assert JointLoss(weight=1.0)(*hands(0), assumed) == JointLoss(weight=1.0)(*hands(0), target)


def test_missing_surfaces_say_who_fills_them(hands, labels):
    target = dataclasses.replace(labels(0), vertices=None, vertices_valid=None)
    with pytest.raises(ValueError, match="place_target"):
        VertexLoss(weight=1.0)(*hands(0), target)


def test_a_wrist_that_is_stored_but_not_marked_can_be_used_as_hamer_does(hands, labels):
    target = labels(1)
    valid = target.joints_valid.clone()
    valid[2, 0] = 0
    term = RootRelativeJointLoss(weight=1.0, reduction="sum", unlabelled_wrist="use")
    marked = term(*hands(0), target)
    # The wrist's own error from itself is nothing, so only the mark differs.
    torch.testing.assert_close(
        term(*hands(0), dataclasses.replace(target, joints_valid=valid)), marked
    )
    joints = target.joints.clone()
    for nothing in (0.0, float("nan")):
        joints[2, 0] = nothing
        absent = dataclasses.replace(target, joints=joints, joints_valid=valid)
        strict = RootRelativeJointLoss(weight=1.0, reduction="sum")
        assert term(*hands(0), absent) == strict(*hands(0), absent)
