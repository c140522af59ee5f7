from __future__ import annotations

import dataclasses
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.augment.crop import HandCrop
from zoo.contracts import ViewChange
from zoo.geometry.rotation import geodesic_angle, rotation_about_z, rotvec_to_rotmat
from zoo.geometry.view import (
    compose,
    mirrored,
    move_box,
    move_points,
    pixel_homography,
    turn,
    warp_to_crop,
)

RECORDED = Path(__file__).parents[2] / "oracles" / "hamer_crops.npz"


def _camera(count=1, focal=600.0):
    camera = torch.tensor([[focal, 0, 300], [0, focal, 220], [0, 0, 1]], dtype=torch.float64)
    return camera.expand(count, 3, 3)


def _box(*corners):
    return torch.tensor([corners], dtype=torch.float64)


def test_the_square_around_the_hand_fills_the_crop_from_edge_to_edge():
    crop = HandCrop(size=(64, 64), expand=2.0)
    homography = pixel_homography(crop(_camera(), _box(100, 80, 140, 160)), _camera())
    corners = torch.tensor([[[40.0, 40], [200, 200], [120, 120]]], dtype=torch.float64)
    expected = torch.tensor([[[0.0, 0], [64, 64], [32, 32]]], dtype=torch.float64)
    torch.testing.assert_close(move_points(corners, homography), expected, rtol=0, atol=1e-9)


def test_a_crop_that_is_not_square_is_the_middle_of_the_square_one():
    box = _box(100, 80, 140, 160)
    square = HandCrop(size=(256, 256))(_camera(), box).intrinsics
    narrow = HandCrop(size=(256, 192))(_camera(), box).intrinsics
    shifted = square.clone()
    shifted[:, 0, 2] -= 32
    torch.testing.assert_close(narrow, shifted, rtol=0, atol=1e-9)


def test_jitter_moves_and_scales_within_its_limits_and_only_with_a_generator():
    count = 500
    box = _box(100, 80, 140, 160).expand(count, 4)
    crop = HandCrop(size=(64, 64), expand_jitter=0.3, shift_jitter=0.02)
    still = crop(_camera(count), box).intrinsics
    plain = HandCrop(size=(64, 64))(_camera(count), box).intrinsics
    assert torch.equal(still, plain)
    moved = crop(_camera(count), box, torch.Generator().manual_seed(0)).intrinsics
    grow = plain[:, 0, 0] / moved[:, 0, 0]
    assert abs(grow.amin() - 0.7) < 1e-9  # a third of all draws is cut off
    assert abs(grow.amax() - 1.3) < 1e-9
    # the crop's centre in the picture, in sides of the square
    center = (32 - moved[:, :2, 2]) / moved[:, :1, 0] * 600 + torch.tensor([300, 220])
    shift = (center - torch.tensor([120, 120])) / 160
    assert abs(shift.abs().amax() - 0.02) < 1e-9
    assert shift.abs().mean() > 0.005


def test_boxes_are_measured_from_keypoints_or_carried_along():
    stored = _box(0, 0, 10, 10).expand(2, 4)
    keypoints = torch.rand(2, 21, 2, dtype=torch.float64) * 50 + 20
    valid = torch.ones(2, 21)
    valid[1, 2:] = 0  # two points span no hand
    box = HandCrop(size=(64, 64)).hand_box(stored, keypoints, valid)
    expected = torch.cat((keypoints[0].amin(0), keypoints[0].amax(0)))
    assert torch.equal(box[0], expected)
    assert torch.equal(box[1], stored[1])
    assert torch.equal(
        HandCrop(size=(64, 64), box="stored").hand_box(stored, keypoints, valid), stored
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"box": "tight"}, r"crop\.box is 'keypoints' or 'stored', not 'tight'"),
        ({"size": (64,)}, r"crop\.size is \(H, W\)"),
        ({"expand": 0.0}, r"crop\.expand is positive"),
        ({"expand_jitter": 1.0}, r"crop\.expand_jitter lies in \[0, 1\)"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HandCrop(**{"size": (64, 64), **arguments})


def _numbers(part):
    with np.load(RECORDED) as file:
        return {
            name.removeprefix(f"{part}/"): torch.from_numpy(file[name])
            for name in file.files
            if name.startswith(f"{part}/") and file[name].dtype.kind in "fiu"
        }


def _picture(name, height, width):
    """The integer-valued picture the crops were recorded from: smooth blobs plus grain."""

    def words(salted):
        key = np.frombuffer(hashlib.sha256(f"public:{salted}".encode()).digest()[:16], dtype="<u8")
        return np.random.Philox(counter=0, key=key.astype(np.uint64))

    rows, columns = height // 16 + 1, width // 16 + 1
    lattice = words(name).random_raw(rows * columns * 3) >> np.uint64(56)
    lattice = lattice.astype(np.int64).reshape(rows, columns, 3)
    y, x = np.arange(height), np.arange(width)
    down, right = (y % 16)[:, None, None], (x % 16)[None, :, None]
    blend = lattice[y // 16] * (16 - down) + lattice[y // 16 + 1] * down
    blobs = (blend[:, x // 16] * (16 - right) + blend[:, x // 16 + 1] * right) >> 8
    grain = words(f"{name}/grain").random_raw(blobs.size) >> np.uint64(60)
    pixels = blobs * 15 // 16 + grain.astype(np.int64).reshape(blobs.shape)
    return torch.from_numpy(pixels.astype(np.uint8)).permute(2, 0, 1)


def assert_alike(crops, patches, *, mean):
    """Grey levels: each picture `mean` on average, all but a thousandth within 3, none beyond 4.

    OpenCV before 5 samples at 1/32 px, which shows at the picture's border.
    """
    difference = (crops - patches).abs()
    assert difference.mean((1, 2, 3)).max() < mean
    assert (difference > 3).float().mean((1, 2, 3)).max() <= 1e-3
    assert difference.max() <= 4


def _hamers_training_change(recorded):
    """Mirror, turn and crop with the parameters that were recorded instead of drawn ones."""
    count = len(recorded["side"])
    intrinsics = _camera(count)
    half = (recorded["side"] / 2)[:, None]
    center = recorded["center"] + recorded["side"][:, None] * recorded["tx_ty"]
    left = recorded["is_right"] == 0
    change = mirrored(intrinsics, torch.full((count,), 640.0), left)
    box = torch.cat((center - half, center + half), dim=-1)
    box = move_box(box, pixel_homography(change, intrinsics))
    angle = -torch.deg2rad(recorded["rot_deg"])
    roll = ViewChange(rotation_about_z(angle), change.intrinsics)
    box = move_box(box, pixel_homography(roll, change.intrinsics))
    change = compose(change, roll)
    cameras = [
        HandCrop(size=(256, 256), expand=float(scale), box="stored")(
            change.intrinsics[i : i + 1], box[i : i + 1]
        ).intrinsics
        for i, scale in enumerate(recorded["scale"])
    ]
    return intrinsics, dataclasses.replace(change, intrinsics=torch.cat(cameras))


def test_training_crops_agree_with_those_recorded_from_hamer():
    recorded = _numbers("train")
    intrinsics, change = _hamers_training_change(recorded)
    homography = pixel_homography(change, intrinsics)
    # the original maps an already flipped picture for left hands
    flip = torch.eye(3, dtype=torch.float64).repeat(len(intrinsics), 1, 1)
    left = recorded["is_right"] == 0
    flip[left, 0, 0], flip[left, 0, 2] = -1, 639
    # the original solves for its map in single precision
    affine = (homography @ flip)[:, :2]
    torch.testing.assert_close(affine, recorded["affine"], rtol=0, atol=2e-3)
    picture = _picture("preproc.img", 480, 640)
    crops = warp_to_crop([picture] * len(intrinsics), homography.float(), (256, 256)) * 255
    patches = recorded["patch_every8"].permute(0, 3, 1, 2).float()
    assert_alike(crops[:, :, ::8, ::8], patches, mean=0.1)


def test_training_labels_agree_with_those_recorded_from_hamer():
    recorded, labels = _numbers("train"), _numbers("label")
    intrinsics, change = _hamers_training_change(recorded)
    keypoints = move_points(labels["kp2d"][:, :2], pixel_homography(change, intrinsics))
    expected = (recorded["kp2d"][..., :2] + 0.5) * 256  # recorded in crop sides about the centre
    torch.testing.assert_close(keypoints, expected, rtol=0, atol=1e-3)
    joints = labels["kp3d"][:, :3] @ change.linear.mT
    torch.testing.assert_close(joints, recorded["kp3d"][..., :3].double(), rtol=0, atol=1e-6)
    rotvecs = torch.cat((labels["global_orient"], labels["hand_pose"])).double().view(16, 3)
    rotmats = turn(rotvec_to_rotmat(rotvecs).expand(len(joints), 16, 3, 3), change.linear)
    rotvecs = torch.cat((recorded["global_orient"], recorded["hand_pose"]), dim=-1).double()
    angle = geodesic_angle(rotmats, rotvec_to_rotmat(rotvecs.view(-1, 16, 3)))
    assert angle.max() < math.radians(0.001)


def test_inference_crops_agree_with_those_recorded_from_hamer():
    recorded = _numbers("infer")
    crop = HandCrop(size=(256, 256), box="stored", eval_aspect=(192, 256), eval_blur=0.5)
    assert crop.blur is None  # training pictures are not smoothed
    intrinsics = _camera(5)
    change = mirrored(intrinsics, torch.full((5,), 1280.0), recorded["right"] == 0)
    box = move_box(recorded["boxes_xyxy"].double(), pixel_homography(change, intrinsics))
    change = compose(change, crop(change.intrinsics, box))
    side = 256 / (change.intrinsics[:, 0, 0] / 600)
    torch.testing.assert_close(side, recorded["box_size"].double(), rtol=1e-5, atol=0)
    homography = pixel_homography(change, intrinsics).float()
    pictures = [_picture("infer.img", 960, 1280)] * 5
    crops = warp_to_crop(pictures, homography, (256, 256), blur=crop.eval_blur) * 255
    patches = recorded["patch_every8"].permute(0, 3, 1, 2).float()
    # blurred pictures were recorded unrounded
    assert_alike(crops[:, :, ::8, ::8], patches, mean=0.4)
