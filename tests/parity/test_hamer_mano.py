"""The hand model against vertices and joints recorded from HaMeR, on our own stand-in for MANO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.mano.layer import ManoLayer
from zoo.mano.topology import MANO_FROM_OPENPOSE, OPENPOSE_FROM_MANO, PARENTS, TIP_VERTICES

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "hamer_mano.npz")
EXACT = {"atol": 1e-5, "rtol": 0}


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(RECORDED[name])


@pytest.mark.parametrize("case", ["random", "rest", "shape_only"])
def test_a_posed_hand_is_the_originals(case, hamer):
    layer = ManoLayer(asset=hamer.hand)
    vertices, joints = layer(recorded(f"{case}.rotmats"), recorded(f"{case}.betas"))
    kept = recorded("vertices_kept").long()
    torch.testing.assert_close(vertices[:, kept], recorded(f"{case}.vertices"), **EXACT)
    torch.testing.assert_close(joints, recorded(f"{case}.joints21"), **EXACT)
    native = joints[:, list(MANO_FROM_OPENPOSE)]
    torch.testing.assert_close(native, recorded(f"{case}.joints16_native"), **EXACT)


def test_orders_and_faces_are_the_originals(hamer):
    assert RECORDED["joint_map"].tolist() == list(OPENPOSE_FROM_MANO)
    assert RECORDED["parents"].tolist() == list(PARENTS)
    assert RECORDED["tip_vertices"].tolist() == list(TIP_VERTICES)
    assert np.array_equal(ManoLayer(asset=hamer.hand).faces.numpy(), RECORDED["faces"])
