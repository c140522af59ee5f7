"""CS-ViT2's posed hand and its length as a ruler, against numbers recorded from the original."""

from __future__ import annotations

import pytest
import torch

from zoo.geometry.representation import REPRESENTATIONS
from zoo.geometry.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from zoo.mano.hand_length import known_length

NAMES = {"3": "rotvec", "6d": "rot6d_columns", "quat": "quat"}
IN_MM = {"atol": 1e-3, "rtol": 1e-5}


@pytest.fixture(scope="module")
def recorded(csvit2_losses):
    return csvit2_losses("csvit2_fk.npz")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", ["feb10", "old"])
def test_the_posed_hand_is_the_original(recorded, version, name):
    case = f"{version}/rep_{name}"
    numbers = recorded.flat(f"{case}/pose").unflatten(-1, (16, -1))
    rotvec = rotmat_to_rotvec(REPRESENTATIONS[NAMES[name]].to_rotmat(numbers))
    rotmats = rotvec_to_rotmat(rotvec + recorded.mean_pose)
    vertices, joints = recorded.hand(rotmats, recorded.flat(f"{version}/inputs/shape"))
    vertices, joints = (1000 * (points - joints[:, :1]) for points in (vertices, joints))
    frame = "rel"
    if version == "old":
        frame, wrist = "cam", recorded.flat("old/inputs/trans_mm")[:, None]
        vertices, joints = vertices + wrist, joints + wrist
    torch.testing.assert_close(joints, recorded.flat(f"{case}/joint_{frame}"), **IN_MM)
    surface = recorded.flat(f"{case}/verts_{frame}_every37")
    torch.testing.assert_close(vertices[:, ::37], surface, **IN_MM)


def test_the_hand_length_is_the_recorded_one_where_the_middle_finger_is_labelled(recorded):
    case = "feb10/hand_scale"
    joints, valid = (recorded.flat(f"{case}/{name}") for name in ("joint_cam", "joint_valid"))
    length, known = known_length(joints / 1000, valid)
    assert torch.equal(known.float(), recorded.flat(f"{case}/flag")[..., None].flatten())
    expected = recorded.flat(f"{case}/scale_mm").flatten()
    torch.testing.assert_close(length[known] * 1000, expected[known], **IN_MM)
