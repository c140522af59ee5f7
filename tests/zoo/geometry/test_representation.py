from __future__ import annotations

import pytest
import torch

from zoo.geometry.representation import REPRESENTATIONS
from zoo.geometry.rotation import rotvec_to_rotmat


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_there_and_back_is_the_same_rotation(name):
    rotmats = rotvec_to_rotmat(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)))
    width, to_rotmat, from_rotmat = REPRESENTATIONS[name]
    numbers = from_rotmat(rotmats)
    assert numbers.shape == (50, width)
    torch.testing.assert_close(to_rotmat(numbers), rotmats, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_any_numbers_become_a_proper_rotation(name):
    width, to_rotmat, _ = REPRESENTATIONS[name]
    rotmats = to_rotmat(torch.randn(50, width, generator=torch.Generator().manual_seed(1)) * 2)
    torch.testing.assert_close(
        rotmats @ rotmats.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(torch.linalg.det(rotmats), torch.ones(50), atol=1e-5, rtol=0)


def test_the_two_ways_of_reading_six_numbers_differ():
    numbers = torch.arange(1.0, 7.0)
    columns, rows = (REPRESENTATIONS[f"rot6d_{name}"] for name in ("columns", "rows"))
    torch.testing.assert_close(columns.to_rotmat(numbers)[:, 0], numbers[:3] / numbers[:3].norm())
    torch.testing.assert_close(rows.to_rotmat(numbers)[:, 0], numbers[::2] / numbers[::2].norm())


EDGES = (
    torch.zeros(3),
    torch.tensor([1e-8, 0.0, 0.0]),
    torch.tensor([torch.pi, 0.0, 0.0]),
    torch.tensor([0.0, torch.pi - 1e-6, 0.0]),
    torch.tensor([0.0, 0.0, 2 * torch.pi]),
)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_values_and_gradients_are_finite_at_no_turn_and_at_half_a_turn(name, edge, dtype):
    _, to_rotmat, from_rotmat = REPRESENTATIONS[name]
    rotmats = rotvec_to_rotmat(edge[None]).detach().requires_grad_()
    numbers = from_rotmat(rotmats)
    numbers.sum().backward()
    assert numbers.isfinite().all()
    assert rotmats.grad.isfinite().all()
    leaf = numbers.detach().to(dtype).requires_grad_()
    turned = to_rotmat(leaf.float())
    (turned * torch.arange(9.0).view(3, 3)).sum().backward()
    assert turned.isfinite().all()
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_numbers_that_mean_no_rotation_stay_finite(name):
    width, to_rotmat, _ = REPRESENTATIONS[name]
    numbers = torch.zeros(1, width, requires_grad=True)
    rotmats = to_rotmat(numbers)
    rotmats.sum().backward()
    assert rotmats.isfinite().all()
    assert numbers.grad.isfinite().all()
