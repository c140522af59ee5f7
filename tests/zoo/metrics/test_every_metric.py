"""Laws every metric keeps: what moves it, what does not, and what an absent label does."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from zoo.contracts import Metric
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.metrics.joints import MPJPE, PAMPJPE, RTE, KeypointError, RootMPJPE
from zoo.metrics.vertices import MPVPE, PAMPVPE, FScore, RootMPVPE

TURN = rotvec_to_rotmat(torch.tensor([0.3, -0.9, 0.5]))
ERRORS = {
    metric.name: metric
    for metric in (
        MPJPE(),
        RootMPJPE(),
        PAMPJPE(),
        RTE(),
        KeypointError(),
        MPVPE(),
        RootMPVPE(),
        PAMPVPE(),
    )
}
SHARES = {
    metric.name: metric
    for metric in (FScore(threshold_mm=5), FScore(threshold_mm=15, aligned=True))
}
ALL = {**ERRORS, **SHARES}
BLIND_TO_TRANSLATION = {"root_mpjpe_mm", "root_mpvpe_mm", "pa_mpjpe_mm", "pa_mpvpe_mm"}
BLIND_TO_SIMILARITY = {"pa_mpjpe_mm", "pa_mpvpe_mm", "pa_f_at_15mm"}


@pytest.fixture(params=ALL)
def metric(request):
    return ALL[request.param]


def test_it_keeps_the_contract_and_says_its_unit(metric, mesh, other_mesh, label_of):
    values, counts = metric(mesh, label_of(other_mesh))
    assert isinstance(metric, Metric)
    assert values.shape == counts.shape == (5,)
    assert (counts > 0).all()
    assert metric.name.endswith(("_mm", "_px", "mm"))


def test_the_truth_has_no_error(metric, mesh, label_of):
    values, _ = metric(mesh, label_of(mesh))
    perfect = 1.0 if metric.name in SHARES else 0.0
    torch.testing.assert_close(values, torch.full_like(values, perfect), atol=1e-9, rtol=0)


def test_a_shift_of_a_centimetre_costs_a_centimetre_where_position_counts(mesh, label_of, moved):
    shifted = moved(mesh, translation=(0.006, 0.0, -0.008))
    for name in ("mpjpe_mm", "rte_mm", "mpvpe_mm", *BLIND_TO_TRANSLATION):
        values, _ = ERRORS[name](shifted, label_of(mesh))
        expected = torch.full_like(values, 0.0 if name in BLIND_TO_TRANSLATION else 10.0)
        torch.testing.assert_close(values, expected, atol=1e-3, rtol=0)


def test_procrustes_metrics_alone_forgive_rotation_and_scale(
    metric, mesh, other_mesh, label_of, moved
):
    if isinstance(metric, KeypointError):
        pytest.skip("reads pixels, which this move leaves alone")
    carried = moved(mesh, rotation=TURN, scale=1.3, translation=(0.1, 0.2, 0.3))
    before, _ = metric(mesh, label_of(other_mesh))
    after, _ = metric(carried, label_of(other_mesh))
    unmoved = torch.allclose(before, after, atol=1e-3)
    assert unmoved == (metric.name in BLIND_TO_SIMILARITY) or metric.name == "f_at_5mm"
    if metric.name in BLIND_TO_SIMILARITY:
        assert metric.similarity_invariant


def test_moving_prediction_and_label_together_changes_no_error(
    metric, mesh, other_mesh, label_of, moved
):
    move = {"rotation": TURN, "translation": (0.1, 0.2, 0.3)}
    before, _ = metric(mesh, label_of(other_mesh))
    after, _ = metric(moved(mesh, **move), label_of(moved(other_mesh, **move)))
    torch.testing.assert_close(before, after, atol=2e-3, rtol=0)


def test_errors_grow_with_the_scale_of_the_scene(mesh, other_mesh, label_of, moved):
    for name in ERRORS.keys() - {"keypoint_px"}:
        before, _ = ERRORS[name](mesh, label_of(other_mesh))
        after, _ = ERRORS[name](moved(mesh, scale=2.0), label_of(moved(other_mesh, scale=2.0)))
        torch.testing.assert_close(2 * before, after, atol=2e-3, rtol=0)


def test_hands_in_another_order_give_the_same_values_in_that_order(
    metric, mesh, other_mesh, label_of
):
    order = torch.tensor([3, 0, 4, 1, 2])
    target = label_of(other_mesh)
    values, counts = metric(mesh, target)
    again = metric(*(record.map(lambda tensor: tensor[order]) for record in (mesh, target)))
    torch.testing.assert_close(again, (values[order], counts[order]))


def test_a_reflected_hand_is_not_forgiven(mesh, label_of):
    mirrored = dataclasses.replace(
        mesh, joints=mesh.joints * torch.tensor([-1.0, 1, 1]), vertices=-mesh.vertices
    )
    for name in BLIND_TO_SIMILARITY:
        values, _ = ALL[name](mirrored, label_of(mesh))
        assert ((values > 5) if name in ERRORS else (values < 0.9)).all()


def test_labels_that_are_missing_are_not_counted_and_never_read(
    metric, mesh, other_mesh, label_of, without
):
    values, counts = metric(mesh, label_of(other_mesh))
    for filling in (0.0, math.nan):
        some, some_counts = metric(mesh, without(label_of(other_mesh), [1, 3], filling))
        assert some_counts.tolist() == [c if i not in (1, 3) else 0 for i, c in enumerate(counts)]
        torch.testing.assert_close(some[[0, 2, 4]], values[[0, 2, 4]])
        assert some[[1, 3]].isnan().all(), "no label is no value, not a perfect one"


def test_single_missing_joints_leave_the_mean_of_the_others(mesh, other_mesh, label_of):
    target = label_of(other_mesh)
    valid = target.joints_valid.clone()
    valid[:, 5:] = 0
    few = dataclasses.replace(target, joints_valid=valid)
    values, counts = MPJPE()(mesh, few)
    by_hand = (mesh.joints - target.joints)[:, :5].norm(dim=-1).mean(-1) * 1000
    assert counts.tolist() == [5] * 5
    torch.testing.assert_close(values.float(), by_hand)


def test_two_joints_do_not_fix_a_rotation(mesh, other_mesh, label_of):
    target = label_of(other_mesh)
    valid = torch.zeros_like(target.joints_valid)
    valid[:, :2] = 1
    _, counts = PAMPJPE()(mesh, dataclasses.replace(target, joints_valid=valid))
    assert (counts == 0).all()


def test_an_assumed_camera_counts_for_no_position(mesh, other_mesh, label_of):
    target = label_of(other_mesh)
    assumed = dataclasses.replace(target, has_intrinsics=torch.zeros(5))
    for name in ("mpjpe_mm", "rte_mm", "mpvpe_mm", "f_at_5mm"):
        assert (ALL[name](mesh, assumed)[1] == 0).all()
    for name in BLIND_TO_TRANSLATION:
        torch.testing.assert_close(ALL[name](mesh, assumed), ALL[name](mesh, target))


def test_a_hand_without_surface_labels_counts_for_no_vertex_metric(mesh, other_mesh, label_of):
    target = dataclasses.replace(label_of(other_mesh), vertices=None, vertices_valid=None)
    for name in ("mpvpe_mm", "root_mpvpe_mm", "pa_mpvpe_mm", *SHARES):
        values, counts = ALL[name](mesh, target)
        assert (counts == 0).all()
        assert values.isnan().all()


def test_predictions_and_labels_of_different_shape_are_refused(mesh, other_mesh, label_of):
    short = dataclasses.replace(mesh, joints=mesh.joints[:, :1])
    with pytest.raises(ValueError, match="no broadcasting"):
        MPJPE()(short, label_of(other_mesh))


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_prediction_that_is_not_a_number_makes_its_own_hand_bad_and_no_other(
    broken, metric, mesh, other_mesh, label_of
):
    values, counts = metric(mesh, label_of(other_mesh))
    diverged = mesh.map(torch.clone)
    for points in (diverged.joints, diverged.vertices, diverged.keypoints):
        points[2] = broken
    spoilt, still = metric(diverged, label_of(other_mesh))
    assert still.tolist() == counts.tolist()
    others = [0, 1, 3, 4]
    torch.testing.assert_close(spoilt[others], values[others])
    assert not spoilt[2].isfinite() or (metric.name in SHARES and spoilt[2] == 0)
