from __future__ import annotations

import math

import pytest
import torch

from zoo.losses.reduce import distance, labelled, mean_over_valid, reduce_errors, sum_over_valid


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_a_constant_is_that_constant_under_any_mask(seed):
    valid = (torch.rand(7, 21, generator=torch.Generator().manual_seed(seed)) > 0.6).float()
    constant = torch.full((7, 21), 0.3)
    torch.testing.assert_close(mean_over_valid(constant, valid), torch.tensor(0.3))


def test_a_value_that_is_not_a_number_stays_out_when_its_label_is_missing():
    value = torch.tensor([1.0, math.nan, math.inf, 3.0], requires_grad=True)
    mean = mean_over_valid(value, torch.tensor([1.0, 0.0, 0.0, 1.0]))
    mean.backward()
    assert mean == 2
    assert value.grad.tolist() == [0.5, 0, 0, 0.5]


def test_a_validity_that_is_not_a_number_counts_as_missing():
    value = torch.tensor([1.0, 5.0])
    assert mean_over_valid(value, torch.tensor([1.0, math.nan])) == 1


def test_nothing_valid_gives_a_zero_that_still_has_a_gradient():
    value = torch.full((3,), math.nan, requires_grad=True)
    mean = mean_over_valid(value, torch.zeros(3))
    mean.backward()
    assert mean == 0
    assert value.grad.tolist() == [0, 0, 0]


def test_confidence_weighs_a_label_and_booleans_count_as_one():
    value = torch.tensor([1.0, 4.0])
    assert sum_over_valid(value, torch.tensor([0.5, 0.25])) == 1.5
    assert mean_over_valid(value, torch.tensor([0.5, 0.25])) == 2
    assert mean_over_valid(value, torch.tensor([True, False])) == 1


@pytest.mark.parametrize("shape", [(4, 1), (1, 21), (21,), (4, 21, 1)])
def test_shapes_that_would_broadcast_are_refused(shape):
    with pytest.raises(ValueError, match="no broadcasting"):
        mean_over_valid(torch.ones(4, 21), torch.ones(shape))


def test_errors_with_components_need_the_labels_first():
    assert reduce_errors(torch.ones(4, 21, 3), torch.ones(4, 21), "sum") == 4 * 21 * 3
    with pytest.raises(ValueError, match=r"\(4, 21, 3\).*\(4, 20\)"):
        reduce_errors(torch.ones(4, 21, 3), torch.ones(4, 20), "mean")


def test_labels_that_are_missing_become_zero_whatever_they_held():
    label = torch.full((2, 3), math.nan)
    label[1] = 2.0
    assert labelled(label, torch.tensor([0.0, 1.0])).tolist() == [[0] * 3, [2.0] * 3]


def test_every_norm_has_a_finite_gradient_at_zero():
    for norm, expected in (("l1", 3 + 4), ("l2", 9 + 16), ("euclidean", 5)):
        assert distance(torch.tensor([3.0, -4.0]), norm).sum() == expected
        zero = torch.zeros(2, 3, requires_grad=True)
        distance(zero, norm).sum().backward()
        assert (zero.grad == 0).all()
