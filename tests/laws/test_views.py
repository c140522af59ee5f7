"""Whatever changes a view moves pixels, points and orientation alike (float64, to 1e-9)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from zoo.augment.crop import HandCrop
from zoo.augment.perspective import (
    FocalScale,
    PerspectiveNormalization,
    PerspectiveRotation,
    PrincipalPointNoise,
    Roll,
    ZScale,
)
from zoo.geometry.camera import project
from zoo.geometry.rotation import geodesic_angle, nearest_rotation
from zoo.geometry.view import (
    compose,
    inverse_homography,
    mirrored,
    move_box,
    move_points,
    pixel_homography,
    turn,
    unchanged,
)

HANDS = 5
AUGMENTATIONS = {
    "roll": Roll(max_degrees=180),
    "normal_roll": Roll(max_degrees=60, distribution="normal", probability=0.6),
    "z_scale": ZScale(scale=(0.7, 1.3)),
    "focal_scale": FocalScale(scale=(0.8, 1.2)),
    "principal_point_noise": PrincipalPointNoise(fraction=0.1111),
    "perspective_rotation": PerspectiveRotation(max_degrees=30),
    "perspective_normalization": PerspectiveNormalization(),
    "crop": HandCrop(size=(96, 128), expand_jitter=0.3, shift_jitter=0.02),
}


def _scene(seed: int = 0):
    """Points before differing cameras (skewed, unequal focal lengths), boxes around them."""
    rng = Generator().manual_seed(seed)
    points = 0.1 * torch.randn(HANDS, 21, 3, generator=rng, dtype=torch.float64)
    points = points + torch.tensor([0.05, -0.02, 0.7], dtype=torch.float64)
    intrinsics = torch.eye(3, dtype=torch.float64).repeat(HANDS, 1, 1)
    intrinsics[:, 0, 0] = torch.linspace(300, 900, HANDS)
    intrinsics[:, 1, 1] = torch.linspace(320, 850, HANDS)
    intrinsics[:, 0, 1] = 1.5
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = 321.5, 235.25
    pixels = project(points, intrinsics)
    return points, intrinsics, torch.cat((pixels.amin(1), pixels.amax(1)), dim=-1)


def _rotations(seed: int = 0):
    rng = Generator().manual_seed(seed)
    return nearest_rotation(torch.randn(HANDS, 16, 3, 3, generator=rng, dtype=torch.float64))


def _all_together(intrinsics, box, rng):
    change = mirrored(intrinsics, torch.full((HANDS,), 640.0), torch.arange(HANDS) % 2 == 0)
    box = move_box(box, pixel_homography(change, intrinsics))
    for augmentation in AUGMENTATIONS.values():
        step = augmentation(change.intrinsics, box, rng)
        box = move_box(box, pixel_homography(step, change.intrinsics))
        change = compose(change, step)
    return change


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "all_together"])
def test_points_moved_then_seen_are_pixels_seen_then_moved(name):
    points, intrinsics, box = _scene()
    choose = AUGMENTATIONS.get(name, _all_together)
    change = choose(intrinsics, box, Generator().manual_seed(3))
    moved_then_seen = project(points @ change.linear.mT, change.intrinsics)
    homography = pixel_homography(change, intrinsics)
    seen_then_moved = move_points(project(points, intrinsics), homography)
    torch.testing.assert_close(moved_then_seen, seen_then_moved, rtol=0, atol=1e-9)
    assert (moved_then_seen - project(points, intrinsics)).abs().amax() > 1, "nothing moved"


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "all_together"])
def test_the_inverse_leads_back_to_the_picture(name):
    points, intrinsics, box = _scene()
    choose = AUGMENTATIONS.get(name, _all_together)
    change = choose(intrinsics, box, Generator().manual_seed(3))
    pixels = project(points, intrinsics)
    there = move_points(pixels, pixel_homography(change, intrinsics))
    back = move_points(there, inverse_homography(change, intrinsics))
    torch.testing.assert_close(back, pixels, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["roll", "perspective_rotation", "perspective_normalization"])
def test_a_turned_hand_turns_with_its_points(name):
    _, intrinsics, box = _scene()
    change = AUGMENTATIONS[name](intrinsics, box, Generator().manual_seed(1))
    rotations, rest = _rotations(), torch.randn(HANDS, 30, 3, dtype=torch.float64)
    moved = (rest @ rotations[:, 0].mT) @ change.linear.mT
    turned = turn(rotations, change.linear)
    torch.testing.assert_close(rest @ turned[:, 0].mT, moved, rtol=0, atol=1e-9)
    torch.testing.assert_close(turned[:, 1:], rotations[:, 1:], rtol=0, atol=0)


def test_a_stretch_along_the_axis_leaves_the_turns_around_it_alone():
    _, intrinsics, box = _scene()
    rng = Generator().manual_seed(2)
    roll, tilt = AUGMENTATIONS["roll"], AUGMENTATIONS["perspective_rotation"]
    turns = compose(roll(intrinsics, box, rng), tilt(intrinsics, box, rng))
    stretch = AUGMENTATIONS["z_scale"](intrinsics, box, rng)
    before, after = compose(stretch, turns), compose(turns, stretch)
    expected = turn(_rotations(), turns.linear)
    torch.testing.assert_close(turn(_rotations(), before.linear), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(turn(_rotations(), after.linear), expected, rtol=0, atol=1e-9)


def test_a_mirror_twice_is_no_mirror():
    _, intrinsics, _ = _scene()
    width = torch.tensor([640.0, 320, 641, 64, 1], dtype=torch.float64)
    where = torch.ones(HANDS, dtype=torch.bool)
    once = mirrored(intrinsics, width, where)
    twice = compose(once, mirrored(once.intrinsics, width, where))
    torch.testing.assert_close(twice.linear, unchanged(intrinsics).linear, rtol=0, atol=0)
    torch.testing.assert_close(twice.intrinsics, intrinsics, rtol=0, atol=1e-9)
    rotations = _rotations()
    both = turn(turn(rotations, once.linear), once.linear)
    torch.testing.assert_close(both, rotations, rtol=0, atol=1e-9)


def test_a_mirror_swaps_the_first_and_the_last_pixel_column():
    _, intrinsics, _ = _scene()
    where = torch.tensor([True, True, False, True, False])
    change = mirrored(intrinsics, torch.full((HANDS,), 640.0), where)
    corners = torch.tensor([[0.0, 7.0], [639.0, 7.0]], dtype=torch.float64).expand(HANDS, 2, 2)
    moved = move_points(corners, pixel_homography(change, intrinsics))
    expected = torch.where(where[:, None, None], corners.flip(1), corners)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-9)
    assert torch.equal(change.linear[2], torch.eye(3, dtype=torch.float64))


def test_a_mirrored_hand_is_the_mirror_image_of_the_hand():
    # a chain of two bones posed and mirrored = mirrored bones posed with the turned rotations
    rotations = _rotations()
    bones = torch.randn(HANDS, 2, 3, 1, dtype=torch.float64)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))

    def tip(rotmats, bones):
        return rotmats[:, 0] @ (bones[:, 0] + rotmats[:, 1] @ bones[:, 1])

    turned = turn(rotations, mirror.expand(HANDS, 3, 3))
    expected = mirror @ tip(rotations, bones)
    torch.testing.assert_close(tip(turned, mirror @ bones), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(torch.linalg.det(turned), torch.ones(HANDS, 16).double())


def test_a_box_keeps_its_shape_and_follows_the_local_scale():
    _, intrinsics, box = _scene()
    rolled = move_box(box, pixel_homography(Roll()(intrinsics, box, Generator()), intrinsics))
    assert (rolled - box).abs().amax() > 1
    aspect = (box[:, 2] - box[:, 0]) / (box[:, 3] - box[:, 1])
    torch.testing.assert_close(
        (rolled[:, 2] - rolled[:, 0]) / (rolled[:, 3] - rolled[:, 1]), aspect
    )
    zoom = unchanged(intrinsics)
    zoom = type(zoom)(zoom.linear, torch.diag(torch.tensor([2.0, 2, 1]).double()) @ intrinsics)
    torch.testing.assert_close(move_box(box, pixel_homography(zoom, intrinsics)), 2 * box)


def test_perspective_normalization_puts_the_box_on_the_axis():
    _, intrinsics, box = _scene()
    change = PerspectiveNormalization()(intrinsics, box, None)
    center = ((box[:, :2] + box[:, 2:]) / 2)[:, None]
    moved = move_points(center, pixel_homography(change, intrinsics))[:, 0]
    torch.testing.assert_close(moved, intrinsics[:, :2, 2], rtol=0, atol=1e-9)
    on_axis = torch.cat((intrinsics[:, :2, 2], intrinsics[:, :2, 2]), dim=-1)
    still = PerspectiveNormalization()(intrinsics, on_axis, None)
    torch.testing.assert_close(still.linear, unchanged(intrinsics).linear, rtol=0, atol=1e-12)


def test_hamers_turn_about_the_crop_centre_is_a_roll_with_a_moved_camera():
    _, intrinsics, box = _scene()
    intrinsics = intrinsics.clone()
    intrinsics[:, 1, 1], intrinsics[:, 0, 1] = intrinsics[:, 0, 0], 0
    roll = Roll(max_degrees=30)(intrinsics, box, Generator().manual_seed(5))
    moved = move_box(box, pixel_homography(roll, intrinsics))
    crop = HandCrop(size=(256, 256), box="stored")
    to_crop = pixel_homography(compose(roll, crop(roll.intrinsics, moved)), intrinsics)
    center, side = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]).amax(-1) * 2
    pixels = torch.rand(HANDS, 9, 2, dtype=torch.float64) * 400
    turned = (pixels - center[:, None]) @ roll.linear[:, :2, :2].mT
    expected = turned * (256 / side)[:, None, None] + 128
    torch.testing.assert_close(move_points(pixels, to_crop), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in AUGMENTATIONS if n != "perspective_normalization"])
def test_the_same_generator_chooses_the_same_and_another_does_not(name):
    _, intrinsics, box = _scene()
    choose = AUGMENTATIONS[name]

    def chosen(seed):
        change = choose(intrinsics, box, Generator().manual_seed(seed))
        return torch.cat((change.linear, change.intrinsics))

    global_state = torch.get_rng_state()
    assert torch.equal(chosen(1), chosen(1))
    assert not torch.equal(chosen(1), chosen(2))
    assert torch.equal(torch.get_rng_state(), global_state)


def test_augmentations_stay_within_their_limits():
    count = 2000
    intrinsics = _scene()[1][:1].expand(count, 3, 3)
    box = _scene()[2][:1].expand(count, 4)
    eye = unchanged(intrinsics).linear
    rng = Generator().manual_seed(0)
    roll = geodesic_angle(Roll(max_degrees=40)(intrinsics, box, rng).linear, eye)
    assert math.radians(39) < roll.amax() <= math.radians(40)
    tilt = PerspectiveRotation(max_degrees=15)(intrinsics, box, rng).linear
    assert math.radians(14.5) < geodesic_angle(tilt, eye).amax() <= math.radians(15)
    z = ZScale(scale=(0.9, 1.1))(intrinsics, box, rng).linear[:, 2, 2]
    assert 0.9 <= z.amin() < 0.905
    assert 1.095 < z.amax() <= 1.1
    rare = Roll(probability=0.25)(intrinsics, box, rng).linear
    share = (geodesic_angle(rare, eye) > 0).double().mean()
    assert abs(share - 0.25) < 0.05
