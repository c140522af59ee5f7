from __future__ import annotations

import torch

from benchmarks.probes.hypotheses import (
    RIGHT_ORDER,
    explained,
    joint_layouts,
    keypoint_hypotheses,
    pose_hypotheses,
)
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.mano.layer import ManoLayer
from zoo.mano.procedural import load
from zoo.mano.topology import OPENPOSE_FROM_MANO


def test_the_mistake_that_was_made_with_keypoints_is_named():
    joints = torch.rand(4, 21, 3) * 0.1 + torch.tensor([0.05, 0.1, 0.6])
    intrinsics = torch.tensor([[300.0, 0, 110], [0, 320, 90], [0, 0, 1]]).expand(4, 3, 3)
    box = torch.tensor([20.0, 30, 90, 110]).expand(4, 4)
    ways = keypoint_hypotheses(joints, intrinsics, box)
    for made in ways[1:]:
        means = {way.name: float((way.points - made.points).abs().mean()) for way in ways}
        assert made.name in explained(means, ways)


def test_the_mistake_that_was_made_with_a_pose_is_named():
    hand = ManoLayer(asset=load())
    rng = torch.Generator().manual_seed(0)
    rotmats = rotvec_to_rotmat(0.5 * torch.randn(4, 16, 3, generator=rng))
    betas = torch.randn(4, 10, generator=rng)
    left = torch.tensor([False, True, False, True])
    ways = pose_hypotheses(hand, rotmats, betas, left)
    for made in ways[1:]:
        means = {way.name: float((way.points - made.points).abs().mean()) for way in ways}
        assert made.name in explained(means, ways)


def test_where_no_mistake_explains_it_nothing_is_said():
    ways = keypoint_hypotheses(
        torch.rand(2, 21, 3) + 0.5, torch.eye(3).expand(2, 3, 3), torch.rand(2, 4)
    )
    means = {way.name: 1.0 for way in ways}
    assert explained(means, ways) == ""


def test_the_layouts_hold_openposes_order_and_manos():
    layouts = dict(joint_layouts())
    assert len(layouts) == 4 * 120 + 1
    assert layouts[RIGHT_ORDER].tolist() == list(range(21))
    assert tuple(layouts["MANO's 16 joints, then 5 tips"].tolist()) == OPENPOSE_FROM_MANO
    assert all(sorted(order.tolist()) == list(range(21)) for order in layouts.values())
