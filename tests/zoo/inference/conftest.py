from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.contracts import Frame, HandTarget
from zoo.geometry.camera import project
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.mano import procedural
from zoo.mano.layer import ManoLayer
from zoo.mano.topology import mirror_points, mirror_rotmats

INTRINSICS = torch.tensor([[600.0, 0, 330.0], [0, 610.0, 235.0], [0, 0, 1]])


@pytest.fixture(scope="session")
def hand() -> ManoLayer:
    return ManoLayer(asset=procedural.load())


@pytest.fixture(scope="session")
def labelled_frame(hand):
    """A function: side, seed -> Frame whose label is a posed hand seen by INTRINSICS."""

    def make(side: str, seed: int = 0) -> Frame:
        rng = torch.Generator().manual_seed(seed)
        rotvec = 0.3 * torch.randn(1, 16, 3, generator=rng)
        rotvec[:, 0] = torch.tensor([0.4, 1.1, -0.7])
        rotmats, betas = rotvec_to_rotmat(rotvec), 0.5 * torch.randn(1, 10, generator=rng)
        vertices, joints = hand(rotmats, betas)
        place = torch.tensor([0.12, -0.06, 0.6]) - joints[:, :1]
        vertices, joints = vertices + place, joints + place
        if side == "left":
            rotmats = mirror_rotmats(rotmats)
            vertices, joints = mirror_points(vertices), mirror_points(joints)
        keypoints = project(joints, INTRINSICS[None])[0]
        label = HandTarget(
            rotmats=rotmats[0],
            betas=betas[0],
            has_mano=torch.tensor(1.0),
            joints=joints[0],
            joints_valid=torch.ones(21),
            keypoints=keypoints,
            keypoints_valid=torch.ones(21),
            has_intrinsics=torch.tensor(1.0),
            vertices=vertices[0],
            vertices_valid=torch.tensor(1.0),
        )
        image = np.random.default_rng(seed).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        return Frame(
            image=torch.from_numpy(image).permute(2, 0, 1),
            intrinsics=INTRINSICS,
            hand_box=torch.cat((keypoints.amin(0), keypoints.amax(0))),
            is_left=side == "left",
            label=label,
            key=f"{side}{seed}",
            source="test",
        )

    return make
