from __future__ import annotations

import numpy as np
import pytest
import roma
import torch

from zoo.contracts import CameraPose, HandTarget, Prediction
from zoo.mano import procedural
from zoo.mano.layer import ManoLayer
from zoo.mano.topology import OPENPOSE_FROM_MANO, TIP_DEFINITIONS, hand_scale


@pytest.fixture(scope="module")
def asset():
    return procedural.load()


@pytest.fixture(scope="module")
def layer(asset):
    return ManoLayer(asset=asset)


def random_hand(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    quat = torch.nn.functional.normalize(torch.randn(n, 16, 4, generator=generator), dim=-1)
    return roma.unitquat_to_rotmat(quat), torch.randn(n, 10, generator=generator)


def skinned_by_hand(asset, rotmats: np.ndarray, betas: np.ndarray):
    """One hand, float64, written from the paper's equations rather than from smplx."""
    shaped = asset.v_template + asset.shapedirs @ betas
    joints = asset.joint_regressor @ shaped
    shaped = shaped + asset.posedirs @ (rotmats[1:] - np.eye(3)).ravel()
    turn, place = [rotmats[0]], [joints[0]]
    for k in range(1, 16):
        parent = asset.parents[k]
        turn.append(turn[parent] @ rotmats[k])
        place.append(place[parent] + turn[parent] @ (joints[k] - joints[parent]))
    vertices = sum(
        asset.weights[:, k, None] * ((shaped - joints[k]) @ turn[k].T + place[k]) for k in range(16)
    )
    return vertices, np.stack(place)


def test_the_layer_equals_skinning_written_from_the_paper(asset, layer):
    rotmats, betas = random_hand(4)
    vertices, joints = layer(rotmats, betas)
    for k in range(4):
        expected, bones = skinned_by_hand(asset, rotmats[k].double().numpy(), betas[k].numpy())
        tips = expected[list(TIP_DEFINITIONS["vertices"])]
        expected_joints = np.concatenate((bones, tips))[list(OPENPOSE_FROM_MANO)]
        np.testing.assert_allclose(vertices[k], expected, atol=2e-6)
        np.testing.assert_allclose(joints[k], expected_joints, atol=2e-6)


def test_identity_rotations_and_no_betas_give_the_template(asset, layer):
    vertices, _ = layer(torch.eye(3).expand(1, 16, 3, 3), torch.zeros(1, 10))
    np.testing.assert_allclose(vertices[0], asset.v_template, atol=1e-7)


def test_gradients_are_finite_at_the_zero_pose(layer):
    rotvec = torch.zeros(2, 16, 3, requires_grad=True)
    betas = torch.zeros(2, 10, requires_grad=True)
    vertices, joints = layer(roma.rotvec_to_rotmat(rotvec), betas)
    (vertices.square().sum() + joints.square().sum()).backward()
    for gradient in (rotvec.grad, betas.grad):
        assert torch.isfinite(gradient).all()
        assert (gradient != 0).any(-1).all()


def test_the_surface_stays_fp32_under_autocast_and_after_a_cast(asset):
    rotmats, betas = random_hand(2)
    exact, _ = ManoLayer(asset=asset)(rotmats, betas)
    cast = torch.nn.Sequential(ManoLayer(asset=asset)).to(torch.bfloat16)[0]
    with torch.autocast("cpu", torch.bfloat16):
        vertices, joints = cast(rotmats, betas)
    assert vertices.dtype == joints.dtype == torch.float32
    assert torch.equal(vertices, exact)


def test_no_state_dict_carries_the_hand(layer):
    assert layer.state_dict() == {}
    layer.load_state_dict({})
    assert not list(layer.parameters())


def test_building_prints_nothing(asset, capsys):
    ManoLayer(asset=asset)
    assert capsys.readouterr().out == ""


def prediction(anchor: str, n: int = 3) -> Prediction:
    rotmats, betas = random_hand(n, seed=1)
    intrinsics = torch.tensor([[600.0, 0, 112], [0, 600, 112], [0, 0, 1]]).expand(n, 3, 3)
    position = torch.tensor([[0.02, -0.05, 0.6]]).expand(n, 3)
    return Prediction(rotmats, betas, CameraPose(position, anchor, intrinsics))


def test_the_wrist_anchor_puts_the_wrist_at_the_position(layer):
    hand = prediction("wrist")
    mesh = layer.place(hand)
    torch.testing.assert_close(mesh.joints[:, 0], hand.camera.position)


def test_the_mano_origin_anchor_moves_mano_s_own_frame(layer):
    hand = prediction("mano_origin")
    vertices, joints = layer(hand.rotmats, hand.betas)
    mesh = layer.place(hand)
    torch.testing.assert_close(mesh.vertices, vertices + hand.camera.position[:, None])
    torch.testing.assert_close(mesh.joints, joints + hand.camera.position[:, None])


def test_keypoints_are_the_placed_joints_seen_by_the_prediction_s_camera(layer):
    mesh = layer.place(prediction("wrist"))
    seen = 600 * mesh.joints[..., :2] / mesh.joints[..., 2:] + 112
    torch.testing.assert_close(mesh.keypoints, seen)


def target(layer: ManoLayer, has_mano: list[float], wrist_valid: list[float]) -> HandTarget:
    n = len(has_mano)
    rotmats, betas = random_hand(n, seed=2)
    _, joints = layer(rotmats, betas)
    valid = torch.ones(n, 21)
    valid[:, 0] = torch.tensor(wrist_valid)
    return HandTarget(
        rotmats=rotmats * torch.tensor(has_mano)[:, None, None, None],
        betas=betas,
        has_mano=torch.tensor(has_mano),
        joints=joints + torch.tensor([0.1, 0.0, 0.7]),
        joints_valid=valid,
        keypoints=torch.zeros(n, 21, 2),
        keypoints_valid=torch.zeros(n, 21),
        has_intrinsics=torch.ones(n),
    )


def test_a_labelled_surface_stands_on_the_labelled_wrist(layer):
    label = target(layer, has_mano=[1.0, 1.0], wrist_valid=[1.0, 1.0])
    placed = layer.place_target(label)
    vertices, _ = layer(label.rotmats, label.betas)
    torch.testing.assert_close(placed.vertices, vertices + torch.tensor([0.1, 0.0, 0.7]))
    assert placed.vertices_valid.tolist() == [1, 1]


def test_a_hand_without_mano_or_wrist_gets_no_surface(layer):
    placed = layer.place_target(target(layer, has_mano=[0.0, 1.0, 1.0], wrist_valid=[1, 0, 1]))
    assert placed.vertices_valid.tolist() == [0, 0, 1]
    assert not placed.vertices[:2].any()
    assert placed.vertices[2].any()


def test_the_mean_pose_is_hands_mean_with_an_upright_wrist(asset, layer):
    rotmats = layer.mean_pose_rotmats()
    assert rotmats.shape == (16, 3, 3)
    torch.testing.assert_close(rotmats[0], torch.eye(3))
    rotvec = roma.rotmat_to_rotvec(rotmats[1:]).flatten().numpy()
    np.testing.assert_allclose(rotvec, asset.hands_mean, atol=1e-6)


def test_hand_scale_is_the_middle_finger_and_ignores_pose(asset, layer):
    rest, _ = layer(torch.eye(3).expand(2, 16, 3, 3), torch.zeros(2, 10))
    rotmats, _ = random_hand(2)
    _, joints = layer(rotmats, torch.zeros(2, 10))
    bones = asset.joint_regressor[4:7] @ asset.v_template
    tip = rest[0, 443].numpy() - bones[2]
    length = np.linalg.norm(np.diff(bones, axis=0), axis=1).sum() + np.linalg.norm(tip)
    assert hand_scale(joints).numpy() == pytest.approx(length, rel=1e-5)


def test_another_tip_definition_moves_tips_and_nothing_else(asset, layer):
    rotmats, betas = random_hand(2)
    _, joints = layer(rotmats, betas)
    vertices, other = ManoLayer(asset=asset, tips="manopth")(rotmats, betas)
    tips = [4, 8, 12, 16, 20]
    torch.testing.assert_close(other[:, tips], vertices[:, [745, 317, 444, 556, 673]])
    rest = [k for k in range(21) if k not in tips]
    assert torch.equal(other[:, rest], joints[:, rest])


def test_a_joint_regressor_reads_the_posed_surface(asset):
    rows = np.zeros((21, 778))
    rows[np.arange(21), 30 * np.arange(21)] = 1
    vertices, joints = ManoLayer(asset=asset, joint_regressor=rows)(*random_hand(2))
    torch.testing.assert_close(joints, vertices[:, ::30][:, :21])


def test_a_wrong_tip_name_and_a_wrong_regressor_say_what_is_possible(asset):
    with pytest.raises(ValueError, match="'vertices', 'manopth'"):
        ManoLayer(asset=asset, tips="nails")
    with pytest.raises(ValueError, match=r"\(16, 778\), expected \(21, 778\)"):
        ManoLayer(asset=asset, joint_regressor=np.zeros((16, 778)))
