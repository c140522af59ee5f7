"""After any change of view the depth at a point that is seen is that point's own."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from zoo.augment.crop import HandCrop
from zoo.augment.perspective import (
    FocalScale,
    PerspectiveNormalization,
    PerspectiveRotation,
    PrincipalPointNoise,
    Roll,
    ZScale,
)
from zoo.augment.pixels import ColorJitter, GaussianNoise
from zoo.contracts import Frame, FrameBatch, HandTarget
from zoo.geometry.camera import project
from zoo.geometry.raster import rasterize
from zoo.mano import procedural
from zoo.mano.layer import ManoLayer
from zoo.preprocess import Preprocess

SIZE = (400, 480)  # of the pictures: fine, so that a pixel is half a millimetre of hand
VIEWS = {
    "nothing": None,
    "roll": Roll(),
    "z_scale": ZScale(scale=(1.2, 1.2), mano="keep"),
    "rigid": ZScale(scale=(1.2, 1.2), mano="rigid"),
    "focal_scale": FocalScale(),
    "principal_point": PrincipalPointNoise(),
    "perspective_rotation": PerspectiveRotation(max_degrees=25),
    "perspective_normalization": PerspectiveNormalization(),
}


@pytest.fixture(scope="module")
def frames():
    """A right and a left hand with the depth of their surface."""
    mano = ManoLayer(asset=procedural.load())
    vertices, joints = mano(mano.mean_pose_rotmats()[None], torch.zeros(1, 10))
    vertices = vertices[0] + torch.tensor([0.05, -0.04, 0.55]) - joints[0, 0]
    sides = {False: torch.ones(3), True: torch.tensor([-1.0, 1.0, 1.0])}
    return [_frame(vertices * side, mano.faces, left) for left, side in sides.items()]


def _frame(vertices, faces, is_left):
    """A hand whose labelled "joints" are 21 points of its skin that the camera sees."""
    intrinsics = torch.tensor([[820.0, 0, 250], [0, 830, 190], [0, 0, 1]])
    pixels = project(vertices, intrinsics)
    points = torch.cat((pixels, vertices[:, 2:]), dim=-1)
    depth = torch.from_numpy(rasterize(points.numpy(), faces.numpy(), SIZE)[0])
    depth = torch.where(depth.isfinite(), depth, 0.0)
    around = F.unfold(depth[None, None], 5, padding=2)[0].view(25, *SIZE)
    flat = around.amax(0) - around.amin(0) < 4e-3  # no outline near
    seen = (_at(depth, pixels) - vertices[:, 2]).abs() < 5e-4
    (chosen,) = (seen & (_at(flat, pixels) > 0)).nonzero(as_tuple=True)
    chosen = chosen[torch.linspace(0, len(chosen) - 1, 21).long()]
    joints, keypoints = vertices[chosen], pixels[chosen]
    ones, one = torch.ones(21), torch.tensor(1.0)
    eye, betas = torch.eye(3).repeat(16, 1, 1), torch.zeros(10)
    label = HandTarget(eye, betas, one, joints, ones, keypoints, ones, one)
    box = torch.cat((pixels.amin(0), pixels.amax(0)))
    image = torch.full((3, *SIZE), 128, dtype=torch.uint8)
    return Frame(image, intrinsics, box, is_left, label, "hand", "test", depth)


def _at(depth, pixels):
    """The nearest reading of a map at each pixel; 0 outside."""
    column, row = pixels.round().long().unbind(-1)
    height, width = depth.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return depth[row.clamp(0, height - 1), column.clamp(0, width - 1)] * inside


def _preprocess(views, pixels=None, seed=0):
    crop = HandCrop(size=(320, 320), expand=1.6)
    return Preprocess(
        crop=crop, view_augmentations=views, pixel_augmentations=pixels or {}, seed=seed
    )


def _chosen(name):
    views = {key: view for key, view in VIEWS.items() if view is not None}
    views.pop("rigid" if name != "all, rigid" else "z_scale")
    return views if name.startswith("all") else {name: VIEWS[name]} if VIEWS[name] else {}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", [*VIEWS, "all", "all, rigid"])
def test_the_depth_at_a_point_that_is_seen_is_its_own(frames, name, training):
    out = _preprocess(_chosen(name))(FrameBatch(tuple(frames)), training)
    depth, target = out["inputs"].depth, out["data_samples"]
    for i in range(len(frames)):
        found, wanted = _at(depth[i], target.keypoints[i]), target.joints[i, :, 2]
        assert (found > 0).all()
        # a reading is up to a px, 0.7 mm of skin, beside the point
        assert (found - wanted).abs().max() < 2e-3
        assert (found - wanted).abs().median() < 5e-4


def test_training_that_augments_nothing_sees_the_depth_of_evaluation(frames):
    batch = FrameBatch(tuple(frames))
    preprocess = _preprocess({})
    preprocess.crop = HandCrop(size=(320, 320), expand=1.6, box="stored")
    seen = [preprocess(batch, training)["inputs"].depth for training in (False, True)]
    assert torch.equal(*seen)


def test_colours_leave_depth_alone(frames):
    batch = FrameBatch(tuple(frames))
    pixels = {"jitter": ColorJitter(probability=1.0), "noise": GaussianNoise(probability=1.0)}
    plain, coloured = (_preprocess({}, p)(batch, True)["inputs"] for p in ({}, pixels))
    assert not torch.equal(plain.images, coloured.images)
    assert torch.equal(plain.depth, coloured.depth)


def test_a_hand_without_depth_has_zeros_beside_one_that_has(frames):
    mixed = FrameBatch((dataclasses.replace(frames[0], depth=None), frames[1]))
    depth = _preprocess({})(mixed, True)["inputs"].depth
    assert depth.shape == (2, 320, 320)
    assert not depth[0].any()
    assert depth[1].any()
    bare = FrameBatch(tuple(dataclasses.replace(frame, depth=None) for frame in frames))
    assert _preprocess({})(bare, True)["inputs"].depth is None


def test_a_left_hand_has_the_depth_of_the_right_hand_it_mirrors(frames):
    left = frames[1]
    width = left.image.shape[2]
    intrinsics = left.intrinsics.clone()
    intrinsics[0, 2] = width - 1 - intrinsics[0, 2]
    x0, y0, x1, y1 = left.hand_box.tolist()
    box = torch.tensor([width - 1 - x1, y0, width - 1 - x0, y1])
    twin = dataclasses.replace(
        left, depth=left.depth.flip(1), intrinsics=intrinsics, hand_box=box, is_left=False
    )
    both = _preprocess({})(FrameBatch((left, twin)), False)["inputs"].depth
    assert (both[0] == both[1]).float().mean() > 0.999
