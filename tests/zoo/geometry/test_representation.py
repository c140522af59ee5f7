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
