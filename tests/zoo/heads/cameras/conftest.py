"""A few crops that camera read-outs can be tried on."""

from __future__ import annotations

import pytest
import torch

from zoo.contracts import CropView


@pytest.fixture
def view() -> CropView:
    intrinsics = torch.tensor([[300.0, 0.0, 70.0], [0.0, 310.0, 60.0], [0.0, 0.0, 1.0]])
    return CropView(
        images=torch.zeros(5, 3, 128, 96),
        intrinsics=intrinsics.expand(5, 3, 3),
        hand_box=torch.zeros(5, 4),
        frame_from_crop=torch.eye(3).expand(5, 3, 3),
        is_left=torch.zeros(5, dtype=torch.bool),
    )


@pytest.fixture
def token() -> torch.Tensor:
    return torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
