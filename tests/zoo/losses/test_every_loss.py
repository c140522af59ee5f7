"""Laws every loss term keeps, whatever it measures."""

from __future__ import annotations

import math

import pytest
import torch

from zoo.contracts import LossTerm
from zoo.losses.crop_heatmap import CropHeatmapCrossEntropy
from zoo.losses.distance_bins import DistanceBinLoss
from zoo.losses.heatmap import HeatmapCrossEntropy
from zoo.losses.joints import JointLoss, RootRelativeJointLoss
from zoo.losses.parameters import BetasLoss, RotationLoss
from zoo.losses.position import ParameterLoss, PositionLoss
from zoo.losses.reprojection import Reprojection
from zoo.losses.vertices import VertexLoss

TERMS = {
    "matrix_mse": lambda **kw: RotationLoss(weight=1.0, kind="matrix_mse", **kw),
    "matrix_l1": lambda **kw: RotationLoss(weight=1.0, kind="matrix_l1", part="hand", **kw),
    "geodesic": lambda **kw: RotationLoss(weight=1.0, kind="geodesic", **kw),
    "rotvec_l1": lambda **kw: RotationLoss(weight=1.0, kind="rotvec_l1", part="global", **kw),
    "betas_l2": lambda **kw: BetasLoss(weight=1.0, **kw),
    "betas_l1": lambda **kw: BetasLoss(weight=1.0, norm="l1", **kw),
    "joints": lambda **kw: JointLoss(weight=1.0, **kw),
    "joints_euclidean": lambda **kw: JointLoss(weight=1.0, norm="euclidean", unit="mm", **kw),
    "root_joints": lambda **kw: RootRelativeJointLoss(weight=1.0, **kw),
    "root_joints_l2": lambda **kw: RootRelativeJointLoss(weight=1.0, norm="l2", **kw),
    "vertices": lambda **kw: VertexLoss(weight=1.0, **kw),
    "vertices_camera": lambda **kw: VertexLoss(weight=1.0, frame="camera", **kw),
    "reprojection": lambda **kw: Reprojection(weight=1.0, crop_width=224, **kw),
    "reprojection_robust": lambda **kw: Reprojection(weight=1.0, knee=5.0, **kw),
    "heatmap_in_hands": lambda **kw: HeatmapCrossEntropy(
        weight=1.0, sigma=1.0, norm_by_hand=True, **kw
    ),
    "crop_heatmap": lambda **kw: CropHeatmapCrossEntropy(weight=1.0, sigma=20.0, **kw),
    "bin_class": lambda **kw: DistanceBinLoss(weight=1.0, **kw),
    "bin_residual": lambda **kw: DistanceBinLoss(weight=1.0, part="residual", **kw),
    "position": lambda **kw: PositionLoss(weight=1.0, unit="mm", **kw),
    "position_in_hands": lambda **kw: PositionLoss(weight=1.0, unit="hand", **kw),
    "parameters": lambda **kw: ParameterLoss(weight=1.0, **kw),
    "joints_label_scale": lambda **kw: JointLoss(weight=1.0, hand_scale="label", **kw),
    "reprojection_label_scale": lambda **kw: Reprojection(
        weight=1.0, hand_scale="label", target="joints", **kw
    ),
    "reprojection_wrist": lambda **kw: Reprojection(weight=1.0, joints="wrist", **kw),
    "heatmap": lambda **kw: HeatmapCrossEntropy(weight=1.0, sigma=0.03, **kw),
    "heatmap_clamp": lambda **kw: HeatmapCrossEntropy(
        weight=1.0, sigma=0.03, outside="clamp", **kw
    ),
}


READERS = (HeatmapCrossEntropy, CropHeatmapCrossEntropy, DistanceBinLoss, ParameterLoss)


@pytest.fixture(params=TERMS)
def make(request):
    return TERMS[request.param]


def test_it_is_a_term_of_the_contract_and_gives_one_float32_number(make, hands, labels):
    term = make()
    value = term(*hands(0), labels(1))
    assert isinstance(term, LossTerm)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value > 0


def test_unlabelled_hands_leave_the_mean_of_the_others(make, hands, labels, without):
    prediction, mesh = hands(0)
    target = labels(1)
    chosen = torch.tensor([0, 2])

    def kept(record):
        return record.map(lambda tensor: tensor[chosen])

    alone = make()(kept(prediction), kept(mesh), kept(target))
    among = make()(prediction, mesh, without(target, [1, 3]))
    torch.testing.assert_close(among, alone)


def test_copies_without_labels_change_nothing(make, hands, labels, without):
    prediction, mesh = hands(0)
    target = labels(1)

    def doubled(record):
        return record.map(lambda tensor: torch.cat([tensor, tensor]))

    unlabelled = without(doubled(target), [4, 5, 6, 7])
    for reduction in ("mean", "sum"):
        term = make(reduction=reduction)
        expected = term(prediction, mesh, target)
        torch.testing.assert_close(term(doubled(prediction), doubled(mesh), unlabelled), expected)


def test_labels_that_are_not_valid_are_never_read(make, hands, labels, without):
    values, gradients = [], []
    for filling in (0.0, math.nan, 1e6):
        prediction, mesh = hands(0, grad=True)
        value = make()(prediction, mesh, without(labels(1), [1, 3], filling))
        value.backward()
        values.append(value.detach())
        gradients.append(torch.cat([leaf.grad.flatten() for leaf in _leaves(prediction, mesh)]))
    assert gradients[0].abs().sum() > 0
    for value, gradient in zip(values[1:], gradients[1:], strict=True):
        torch.testing.assert_close(value, values[0], rtol=0, atol=0)
        torch.testing.assert_close(gradient, gradients[0], rtol=0, atol=0)


@pytest.mark.parametrize("reduction", ["mean", "sum", "batch_mean"])
def test_without_any_label_it_is_zero_with_zero_gradients(make, reduction, hands, labels, without):
    prediction, mesh = hands(0, grad=True)
    target = without(labels(1), [0, 1, 2, 3], math.nan)
    value = make(reduction=reduction)(prediction, mesh, target)
    value.backward()
    assert value == 0
    reached = _leaves(prediction, mesh)
    assert reached, "the zero has to hang on the graph"
    assert all((leaf.grad == 0).all() for leaf in reached)


def test_sum_counts_hands_and_batch_mean_dilutes_by_the_unlabelled(make, hands, labels, without):
    prediction, mesh = hands(0)
    target = without(labels(1), [1])
    mean, diluted = (make(reduction=r)(prediction, mesh, target) for r in ("mean", "batch_mean"))
    torch.testing.assert_close(diluted, mean * 3 / 4)
    one_by_one = sum(
        make(reduction="sum")(
            *(r.map(lambda t, i=i: t[i : i + 1]) for r in (prediction, mesh, target))
        )
        for i in range(4)
    )
    torch.testing.assert_close(make(reduction="sum")(prediction, mesh, target), one_by_one)


def test_autocast_around_it_changes_nothing(make, hands, labels):
    arguments = (*hands(0), labels(1))
    with torch.autocast("cpu", torch.bfloat16):
        value = make()(*arguments)
    torch.testing.assert_close(value, make()(*arguments), rtol=0, atol=0)


def test_its_own_answer_costs_nothing_and_pulls_nowhere(make, hands, labels):
    term = make()
    if isinstance(term, READERS) or getattr(term, "unit", "") == "hand":
        pytest.skip("what this term reads is drawn at random here, or keeps its target's entropy")
    prediction, mesh = hands(0, grad=True)
    value = make()(prediction, mesh, labels(0))
    value.backward()
    assert value < 1e-3
    assert all(leaf.grad.isfinite().all() for leaf in _leaves(prediction, mesh))


def test_an_unknown_reduction_names_the_choices(make):
    with pytest.raises(ValueError, match=r"reduction is 'avg'; choose one of 'mean', 'sum'"):
        make(reduction="avg")


def _leaves(prediction, mesh):
    leaves = (mesh.joints, mesh.vertices, prediction.rotmats, prediction.betas)
    return [leaf for leaf in (*leaves, *prediction.aux.values()) if leaf.grad is not None]
