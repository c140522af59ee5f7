"""Distances read in hand lengths: the predicted hand is the ruler, never a label's."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from zoo.contracts import HandMesh
from zoo.heads.cameras.heatmap import HeatmapCamera
from zoo.heads.cameras.metric import MetricCamera
from zoo.heads.mano_decoder import ManoDecoder
from zoo.mano.hand_length import at_length, known_length
from zoo.mano.topology import hand_scale

TOKENS = torch.randn(4, 10, 24, generator=torch.Generator().manual_seed(0))
CAMERAS = {"heatmap": HeatmapCamera, "metric": MetricCamera}


class Ruler(nn.Module):
    """A hand as long as its first beta says."""

    def mean_pose_rotmats(self) -> torch.Tensor:
        return torch.eye(3).repeat(16, 1, 1)

    def forward(self, rotmats: torch.Tensor, betas: torch.Tensor):
        joints = torch.zeros(len(betas), 21, 3)
        joints[:, 9:13, 1] = torch.arange(4) * 0.02
        return None, joints * (1.5 + betas[:, :1, None].tanh())


def head(camera: str = "heatmap", hand: nn.Module | None = None) -> ManoDecoder:
    torch.manual_seed(0)
    sizes = {"dim": 32, "depth": 1, "num_heads": 2, "head_dim": 8, "mlp_dim": 64}
    readout = CAMERAS[camera](dim=32, norm_by_hand=True)
    return ManoDecoder(token_dim=24, camera=readout, hand=hand or Ruler(), residual=False, **sizes)


def answer(model: ManoDecoder, view, tokens=TOKENS):
    return model.read(model.query(tokens, view), view)


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_predicted_hands_own_length_makes_it_metres(view, camera):
    prediction = answer(head(camera), view)
    length = hand_scale(Ruler()(None, prediction.betas)[1])
    assert length.std() > 1e-3, "the hands have to differ"
    expected = prediction.aux["wrist_in_hands"] * length[:, None]
    torch.testing.assert_close(prediction.camera.position, expected)
    assert prediction.camera.position.shape == (4, 3)


@pytest.mark.parametrize("camera", CAMERAS)
def test_each_hand_is_measured_by_itself(view, camera):
    model = head(camera)
    among = answer(model, view).camera.position
    for i in range(4):
        one = view.map(lambda tensor, i=i: tensor[i : i + 1])
        alone = answer(model, one, TOKENS[i : i + 1]).camera.position
        torch.testing.assert_close(alone, among[i : i + 1], atol=1e-5, rtol=1e-5)


def test_a_hand_too_far_is_no_reason_to_grow_it(view):
    model = head()
    answer(model, view).camera.position.sum().backward()
    assert model.decshape.weight.grad is None
    assert model.camera.decz.weight.grad.abs().sum() > 0


def test_without_a_hand_to_measure_it_says_what_to_do():
    readout = HeatmapCamera(dim=32, norm_by_hand=True)
    with pytest.raises(ValueError, match="needs a hand to measure"):
        ManoDecoder(token_dim=24, camera=readout, init="zero", dim=32)


def test_a_camera_in_hand_lengths_and_a_loss_in_metres_do_not_fit():
    in_metres, in_hands = HeatmapCamera(dim=8), HeatmapCamera(dim=8, norm_by_hand=True)
    assert "heatmap_centers_x" in in_metres.provides - in_hands.provides
    assert "heatmap_lengths_x" in in_hands.provides - in_metres.provides


def some_joints() -> torch.Tensor:
    return torch.randn(3, 21, 3, generator=torch.Generator().manual_seed(1)) * 0.05


def test_a_hand_length_is_of_the_hand_and_not_of_its_place():
    joints, valid = some_joints(), torch.ones(3, 21)
    length, known = known_length(joints, valid)
    assert known.all()
    for same in (joints + torch.tensor([1.0, -2.0, 9.0]), joints.flip(-1), joints * -1):
        torch.testing.assert_close(known_length(same, valid)[0], length)
    torch.testing.assert_close(known_length(joints * 3, valid)[0], length * 3)


def test_a_finger_without_labels_or_without_length_is_no_ruler():
    joints, valid = some_joints(), torch.ones(3, 21)
    valid[0, 10] = 0
    joints[0, 10] = float("nan")
    joints[1, 9:13] = 0.3
    length, known = known_length(joints, valid)
    assert known.tolist() == [False, False, True]
    assert length[:2].tolist() == [1.0, 1.0]


def test_another_length_moves_the_hand_and_leaves_its_size():
    joints = some_joints()
    joints[:, 0] = torch.tensor([0.1, 0.0, 0.8])
    mesh = HandMesh(joints, joints, joints[..., :2])
    moved = at_length(mesh, joints[:, 0], 2 * hand_scale(joints))
    torch.testing.assert_close(moved.joints[:, 0], 2 * joints[:, 0])
    torch.testing.assert_close(hand_scale(moved.joints), hand_scale(joints))
    same = at_length(mesh, joints[:, 0], hand_scale(joints))
    torch.testing.assert_close(same.joints, joints)
    assert dataclasses.replace(mesh).joints is joints
