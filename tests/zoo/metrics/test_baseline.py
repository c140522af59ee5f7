from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.metrics.baseline import MeanBaseline
from zoo.metrics.joints import MPJPE, PAMPJPE, RTE, KeypointError, RootMPJPE
from zoo.metrics.vertices import MPVPE, PAMPVPE

METRICS = {
    metric.name: metric
    for metric in (MPJPE(), RootMPJPE(), PAMPJPE(), RTE(), KeypointError(), MPVPE(), PAMPVPE())
}


def one_hand_turned(mesh, label_of, hands: int = 200, seed: int = 0):
    """Labels of one and the same hand, turned every way and put in many places."""
    rng = torch.Generator().manual_seed(seed)
    quaternion = torch.randn(hands, 4, generator=rng)
    axis = torch.nn.functional.normalize(quaternion[:, 1:], dim=-1)
    angle = 2 * torch.atan2(quaternion[:, 1:].norm(dim=-1), quaternion[:, 0])
    turn = rotvec_to_rotmat(axis * angle[:, None])
    place = torch.randn(hands, 1, 3, generator=rng) * 0.1
    wrist = mesh.joints[:1, :1]

    def carry(points):
        return (points[:1] - wrist) @ turn.mT + place + torch.tensor([0.0, 0.0, 0.8])

    many = dataclasses.replace(
        mesh,
        joints=carry(mesh.joints),
        vertices=carry(mesh.vertices),
        keypoints=torch.rand(hands, 21, 2, generator=rng) * 224,
    )
    rotmats = torch.eye(3).repeat(hands, 16, 1, 1)
    rotmats[:, 0] = turn
    return dataclasses.replace(label_of(many), rotmats=rotmats)


def test_it_is_perfect_on_a_data_set_of_one_hand(mesh, label_of):
    target = label_of(mesh).map(lambda tensor: tensor[:1].repeat(6, *[1] * (tensor.ndim - 1)))
    scores = MeanBaseline.of([target]).scores([target], METRICS)
    assert {name: scores[name] for name in METRICS} == pytest.approx(
        dict.fromkeys(METRICS, 0.0), abs=1e-3
    )
    assert scores["num_hands"] == 6


def test_turning_hands_cannot_be_guessed_but_their_shape_can(mesh, label_of):
    target = one_hand_turned(mesh, label_of)
    scores = MeanBaseline.of([target]).scores([target], METRICS)
    assert scores["pa_mpjpe_mm"] < 0.1
    assert scores["pa_mpvpe_mm"] < 0.1
    extent = float((target.joints - target.joints[:, :1]).norm(dim=-1).mean() * 1000)
    assert scores["root_mpjpe_mm"] == pytest.approx(extent, rel=0.1), "it shrinks to the wrist"


def test_no_other_constant_has_a_smaller_squared_error(mesh, label_of):
    target = one_hand_turned(mesh, label_of)
    answer = MeanBaseline.of([target]).placed.joints

    def squared(joints):
        return float((joints - target.joints).square().sum(-1).mean())

    rng = torch.Generator().manual_seed(1)
    for _ in range(20):
        assert squared(answer) < squared(answer + torch.randn(1, 21, 3, generator=rng) * 0.01)


def test_the_mean_is_taken_over_all_batches_and_only_over_labels(mesh, label_of, without):
    whole = one_hand_turned(mesh, label_of, hands=30)
    spoilt = without(whole, [3, 17], math.nan)
    kept = [i for i in range(30) if i not in (3, 17)]
    clean = whole.map(lambda tensor: tensor[kept])
    first, rest = (spoilt.map(lambda tensor, p=p: tensor[p]) for p in (slice(0, 9), slice(9, 30)))
    expected = MeanBaseline.of([clean]).scores([clean], METRICS)
    scores = MeanBaseline.of([first, rest]).scores([first, rest], METRICS)
    assert {k: scores[k] for k in METRICS} == pytest.approx({k: expected[k] for k in METRICS})


def test_what_no_label_said_has_no_score(mesh, label_of):
    seen = dataclasses.replace(label_of(mesh), vertices=None, vertices_valid=None)
    seen = dataclasses.replace(seen, has_mano=torch.zeros(5))
    scores = MeanBaseline.of([seen]).scores([label_of(mesh)], METRICS)
    nothing = {name for name in METRICS if math.isnan(scores[name])}
    assert nothing == {"mpvpe_mm", "pa_mpvpe_mm", "pa_mpjpe_mm"}


def test_without_a_measured_camera_only_the_place_is_unknown(mesh, label_of):
    target = label_of(mesh)
    assumed = dataclasses.replace(target, has_intrinsics=torch.zeros_like(target.has_intrinsics))
    unplaced, placed = MeanBaseline.of([assumed]), MeanBaseline.of([target])
    for labels in (assumed, target):
        scores, known = unplaced.scores([labels], METRICS), placed.scores([labels], METRICS)
        assert all(math.isnan(scores[name]) for name in ("mpjpe_mm", "rte_mm", "mpvpe_mm"))
        for name in ("root_mpjpe_mm", "pa_mpjpe_mm", "pa_mpvpe_mm", "keypoint_px"):
            assert scores[name] == pytest.approx(known[name], abs=1e-3)


def test_sources_are_scored_apart(mesh, label_of):
    target = label_of(mesh)
    origins = [("freihand", "a"), ("freihand", "b"), ("ho3d", "c"), ("ho3d", "d"), ("ho3d", "e")]
    scores = MeanBaseline.of([target]).scores([target], METRICS, [origins])
    assert scores["freihand/num_hands"] == 2
    weighted = (2 * scores["freihand/mpjpe_mm"] + 3 * scores["ho3d/mpjpe_mm"]) / 5
    assert scores["mpjpe_mm"] == pytest.approx(weighted)


def test_no_labels_at_all_are_refused():
    with pytest.raises(ValueError, match="at least one batch"):
        MeanBaseline.of([])


def test_a_hand_without_a_labelled_wrist_enters_no_relative_mean(mesh, label_of):
    whole = one_hand_turned(mesh, label_of, hands=30)
    spoilt = whole.map(torch.clone)
    spoilt.joints[[3, 17], 0] = 0
    spoilt.joints_valid[[3, 17], 0] = 0
    kept = [i for i in range(30) if i not in (3, 17)]
    expected = MeanBaseline.of([whole.map(lambda tensor: tensor[kept])])
    answer = MeanBaseline.of([spoilt])
    for hand in ("placed", "upright"):
        ours, theirs = getattr(answer, hand), getattr(expected, hand)
        torch.testing.assert_close(ours.joints, theirs.joints)
        torch.testing.assert_close(ours.vertices, theirs.vertices)
