from __future__ import annotations

import pytest
import torch

from zoo.augment.crop import HandCrop
from zoo.augment.moved_crop import MovedHandCrop
from zoo.geometry.view import move_points, pixel_homography

FOCAL, SIDE = 614.6, 0.28
CENTER = (40.0, -30.0, 600.0)  # mm, the recorded hand
COUNT = 400


def camera(count: int = 1) -> torch.Tensor:
    matrix = [[FOCAL, 0, 320], [0, FOCAL, 240], [0, 0, 1]]
    return torch.tensor([matrix], dtype=torch.float64).expand(count, 3, 3)


def box(count: int = 1) -> torch.Tensor:
    """The box a hand of SIDE m at CENTER is seen in."""
    x, y, z = CENTER
    middle = torch.tensor([320 + FOCAL * x / z, 240 + FOCAL * y / z], dtype=torch.float64)
    half = FOCAL * SIDE / z * 1000 / 2
    return torch.cat((middle - half, middle + half)).expand(count, 4)


def centers(crop: HandCrop, count: int = 1, seed: int = 0) -> torch.Tensor:
    """(count, 2) px of the picture that crops show in their middle."""
    change = crop(camera(count), box(count), torch.Generator().manual_seed(seed))
    back = torch.linalg.inv(pixel_homography(change, camera(count)))
    middle = torch.tensor([[crop.size[1] / 2, crop.size[0] / 2]], dtype=torch.float64)
    return move_points(middle.expand(count, 1, 2), back)[:, 0]


def test_centres_move_by_the_shift_as_the_camera_sees_it_and_no_farther():
    crop = MovedHandCrop(size=(64, 64), shift=0.01, probability=1.0, hand_side=SIDE)
    moved = centers(crop, COUNT) - centers(HandCrop(size=(64, 64)))
    largest = FOCAL * 10 / 590 + abs(CENTER[0]) * FOCAL * (1 / 590 - 1 / 600)
    assert 0.9 * largest < float(moved[:, 0].abs().amax()) <= largest
    assert abs(float(moved[:, 0].mean())) < 0.1 * largest


def test_only_its_share_of_hands_moves_and_none_in_evaluation():
    crop = MovedHandCrop(size=(64, 64), probability=0.25, hand_side=SIDE)
    plain = HandCrop(size=(64, 64))
    still = (centers(crop, COUNT) - centers(plain)).norm(dim=-1) < 1e-9
    assert 0.65 < float(still.double().mean()) < 0.85
    evaluated = crop(camera(), box()).intrinsics
    assert torch.equal(evaluated, plain(camera(), box()).intrinsics)


def test_as_released_the_moved_centre_goes_where_the_original_puts_it():
    released = MovedHandCrop(size=(64, 64), hand_side=SIDE, moving="as_released")
    right = MovedHandCrop(size=(64, 64), hand_side=SIDE)
    place = torch.tensor([[[0.045, -0.025, 0.605]]], dtype=torch.float64)  # shifted by 5 mm
    for crop, recorded in ((released, (-270.7045, -260.8607)), (right, (365.7141, 214.6033))):
        seen = crop._seen(place, camera())[0, 0]
        torch.testing.assert_close(seen, seen.new_tensor(recorded), rtol=0, atol=1e-3)


def test_as_released_such_a_crop_shows_no_part_of_its_hand():
    crop = MovedHandCrop(size=(64, 64), probability=1.0, hand_side=SIDE, moving="as_released")
    away = (centers(crop, COUNT) - centers(HandCrop(size=(64, 64)))).abs().amax(-1)
    side = float((box()[0, 2:] - box()[0, :2]).amax())
    assert float(away.amin()) > 1.5 * side  # the crop reaches one side to each side


def test_a_broken_box_is_not_moved():
    crop = MovedHandCrop(size=(64, 64), probability=1.0)
    rng = torch.Generator().manual_seed(0)
    for broken in ((20.0, 20.0, 20.0, 20.0), (float("nan"),) * 4):
        box_of_none = torch.tensor([broken], dtype=torch.float64)
        assert crop(camera(), box_of_none, rng).intrinsics.isfinite().all()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"moving": "upwards"}, "moving"),
        ({"shift": -0.01}, "shift"),
        ({"hand_side": 0.0}, "hand_side"),
        ({"probability": 2.0}, "probability"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong, told):
    with pytest.raises(ValueError, match=rf"moved_hand\.{told}"):
        MovedHandCrop(size=(64, 64), **wrong)
