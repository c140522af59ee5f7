"""Joints and MANO parameters describe the same hand after any change of view that fits MANO."""

from __future__ import annotations

import pytest
import torch

from zoo.augment.crop import HandCrop
from zoo.augment.perspective import (
    FocalScale,
    PerspectiveNormalization,
    PerspectiveRotation,
    PrincipalPointNoise,
    Roll,
    ZScale,
)
from zoo.contracts import Frame, FrameBatch, HandTarget
from zoo.geometry.camera import project
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.mano import procedural
from zoo.mano.layer import ManoLayer
from zoo.preprocess import Preprocess

VIEWS = {
    "nothing": None,
    "roll": Roll(),
    "focal_scale": FocalScale(),
    "principal_point_noise": PrincipalPointNoise(),
    "perspective_rotation": PerspectiveRotation(max_degrees=30),
    "perspective_normalization": PerspectiveNormalization(),
}
MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def mano():
    return ManoLayer(asset=procedural.load())


def _frame(mano, *, is_left):
    """A posed hand before a camera; a left hand is the mirror image of a right one."""
    rng = torch.Generator().manual_seed(int(is_left))
    rotmats = rotvec_to_rotmat(0.5 * torch.randn(16, 3, generator=rng))
    betas = torch.randn(10, generator=rng)
    _, joints = mano(rotmats[None], betas[None])
    joints = joints[0]
    if is_left:
        joints, rotmats = joints * MIRROR, rotmats * MIRROR[:, None] * MIRROR
    joints = joints - joints[0] + torch.tensor([0.05, -0.08, 0.6])
    intrinsics = torch.tensor([[300.0, 0, 150], [0, 310, 110], [0, 0, 1]])
    keypoints = project(joints, intrinsics)
    one, ones = torch.tensor(1.0), torch.ones(21)
    label = HandTarget(rotmats, betas, one, joints, ones, keypoints, ones, one)
    image = torch.zeros(3, 220, 300, dtype=torch.uint8)
    box = torch.cat((keypoints.amin(0), keypoints.amax(0)))
    return Frame(image, intrinsics, box, is_left, label, "hand", "test")


def _seen(mano, views):
    preprocess = Preprocess(
        crop=HandCrop(size=(64, 64)), view_augmentations=views, pixel_augmentations={}, seed=3
    )
    frames = tuple(_frame(mano, is_left=is_left) for is_left in (False, True))
    return preprocess(FrameBatch(frames), True)["data_samples"]


def _gap_mm(mano, target):
    """How far the labelled joints are from the joints of the labelled MANO hand at the wrist."""
    _, joints = mano(target.rotmats, target.betas)
    placed = joints - joints[:, :1] + target.joints[:, :1]
    return (placed - target.joints).norm(dim=-1).amax(-1) * 1000


@pytest.mark.parametrize("name", [*VIEWS, "all"])
def test_the_moved_mano_hand_has_the_moved_joints(mano, name):
    views = {key: view for key, view in VIEWS.items() if view and name in (key, "all")}
    target = _seen(mano, views)
    assert target.has_mano.tolist() == [1, 1]
    assert _gap_mm(mano, target).max() < 2e-3


def test_a_stretched_hand_is_no_mano_hand_and_says_so(mano):
    kept = _seen(mano, {"z": ZScale(scale=(1.1, 1.1), mano="keep")})
    assert (_gap_mm(mano, kept) > 1).all()
    dropped = _seen(mano, {"z": ZScale(scale=(1.1, 1.1), mano="drop")})
    assert dropped.has_mano.tolist() == [0, 0]
    assert dropped.rotmats.abs().sum() == 0
    torch.testing.assert_close(dropped.joints, kept.joints)


def test_a_hand_moved_as_a_whole_keeps_its_mano_and_its_wrist(mano):
    stretch = {"scale": (1.1, 1.1)}
    turns = {key: view for key, view in VIEWS.items() if view and key != "principal_point_noise"}
    for before, after in (({}, {}), ({}, turns), (turns, {}), (turns, {"again": Roll()})):
        kept = _seen(mano, {**before, "z": ZScale(mano="keep", **stretch), **after})
        rigid = _seen(mano, {**before, "z": ZScale(mano="rigid", **stretch), **after})
        assert rigid.has_mano.tolist() == [1, 1]
        assert _gap_mm(mano, rigid).max() < 2e-3
        torch.testing.assert_close(rigid.joints[:, 0], kept.joints[:, 0])
        torch.testing.assert_close(rigid.rotmats, kept.rotmats)
        assert torch.equal(rigid.keypoints, kept.keypoints)
        assert (rigid.joints - kept.joints).norm(dim=-1).amax() > 1e-3


def test_a_hand_moved_as_a_whole_is_seen_near_its_keypoints(mano):
    views = {"z": ZScale(scale=(1.1, 1.1), mano="rigid")}
    preprocess = Preprocess(
        crop=HandCrop(size=(64, 64)), view_augmentations=views, pixel_augmentations={}, seed=3
    )
    out = preprocess(FrameBatch(tuple(_frame(mano, is_left=x) for x in (False, True))), True)
    seen = project(out["data_samples"].joints, out["inputs"].intrinsics)
    off = (seen - out["data_samples"].keypoints).norm(dim=-1)
    assert off.max() < 1.5  # of a crop of 64 px, with the hand at the edge of its picture
    assert off.mean() < 0.5
