"""A few crops and a mean hand that heads can be tried on."""

from __future__ import annotations

import pytest
import torch

from zoo.contracts import CropView
from zoo.geometry.rotation import rotvec_to_rotmat


class MeanHand:
    """A hand of which only the mean pose is known: bent fingers, an upright wrist."""

    def mean_pose_rotmats(self) -> torch.Tensor:
        rotvec = torch.randn(16, 3, generator=torch.Generator().manual_seed(7)) * 0.4
        rotvec[0] = 0
        return rotvec_to_rotmat(rotvec)


@pytest.fixture
def hand() -> MeanHand:
    return MeanHand()


@pytest.fixture
def view() -> CropView:
    intrinsics = torch.tensor([[300.0, 0.0, 70.0], [0.0, 310.0, 60.0], [0.0, 0.0, 1.0]])
    return CropView(
        images=torch.zeros(4, 3, 128, 128),
        intrinsics=intrinsics.expand(4, 3, 3),
        hand_box=torch.zeros(4, 4),
        frame_from_crop=torch.eye(3).expand(4, 3, 3),
        is_left=torch.zeros(4, dtype=torch.bool),
    )
