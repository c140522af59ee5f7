from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from zoo.geometry import view
from zoo.geometry.view import move_points, warp_to_crop

SIZE = (48, 56)


def _pictures(sizes=((90, 120), (64, 50), (120, 80))):
    """Smooth pictures of differing sizes, bright up to their borders."""
    rng = np.random.default_rng(0)
    pictures = []
    for height, width in sizes:
        coarse = rng.integers(60, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
        array = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        pictures.append(torch.from_numpy(array).permute(2, 0, 1))
    return pictures


def _homographies():
    return torch.tensor(
        [
            [[0.7, 0.1, -5.0], [-0.05, 0.6, 3.0], [4e-4, -2e-4, 1.0]],
            [[-1.1, 0.0, 55.0], [0.1, 0.9, -8.0], [0.0, 0.0, 1.0]],
            [[0.3, -0.3, 30.0], [0.3, 0.3, -10.0], [1e-3, 5e-4, 1.2]],
        ]
    )


def _sampled(picture, homography, size):
    """Bilinear samples, one pixel at a time in float64: what a warp should be."""
    inverse = torch.linalg.inv(homography.double())
    height, width = picture.shape[1:]
    padded = torch.nn.functional.pad(picture.double(), (1, 1, 1, 1))
    crop = torch.zeros(3, *size, dtype=torch.float64)
    for row in range(0, size[0], 3):
        for column in range(0, size[1], 3):
            pixel = torch.tensor([[column, row]], dtype=torch.float64)
            x, y = move_points(pixel, inverse)[0].tolist()
            if -1 < x < width and -1 < y < height:
                i, j = int(np.floor(y)), int(np.floor(x))
                corners = padded[:, i + 1 : i + 3, j + 1 : j + 3]
                down = torch.tensor([1 - (y - i), y - i], dtype=torch.float64)
                right = torch.tensor([1 - (x - j), x - j], dtype=torch.float64)
                crop[:, row, column] = torch.einsum("cij,i,j->c", corners, down, right)
    return crop


def test_crops_are_bilinear_samples_of_their_pictures():
    crops = warp_to_crop(_pictures(), _homographies(), SIZE)
    assert crops.dtype == torch.float32
    assert crops.shape == (3, 3, *SIZE)
    for crop, picture, homography in zip(crops, _pictures(), _homographies(), strict=True):
        expected = _sampled(picture, homography, SIZE)[:, ::3, ::3]
        difference = (crop[:, ::3, ::3] * 255 - expected).abs()
        # OpenCV before 5 samples at 1/32 px, which shows where a bright border meets black
        assert difference.max() < 6
        assert difference.mean() < 0.4


@pytest.mark.parametrize("blur", [None, 0.5, 1.0])
def test_one_by_one_and_batched_warps_agree(blur):
    homographies = _homographies()
    homographies[:, :2] *= 0.35  # shrinks, so that a blur has something to do
    sigmas = view._blur_sigmas(_pictures(), homographies, SIZE, blur)
    assert any(sigmas) == (blur is not None)
    one_by_one = view._warp_each(_pictures(), homographies, SIZE, sigmas)
    batched = view._warp_batched(_pictures(), homographies, SIZE, sigmas)
    assert batched.shape == one_by_one.shape
    difference = (one_by_one - batched).abs() * 255
    assert difference.max() < 6
    assert difference.mean() < 0.4


def test_the_batched_warp_does_not_round():
    batched = view._warp_batched(_pictures(), _homographies(), SIZE, [0.0] * 3)
    for crop, picture, homography in zip(batched, _pictures(), _homographies(), strict=True):
        expected = _sampled(picture, homography, SIZE)[:, ::3, ::3]
        assert (crop[:, ::3, ::3] * 255 - expected).abs().max() < 0.02


def test_outside_the_picture_is_black():
    far_away = torch.tensor([[1.0, 0, 5000], [0, 1, 0], [0, 0, 1]]).expand(3, 3, 3)
    assert warp_to_crop(_pictures(), far_away, SIZE).abs().max() == 0
    assert view._warp_batched(_pictures(), far_away, SIZE, [0.0] * 3).abs().max() == 0


def test_the_identity_copies_the_picture_whatever_its_memory_layout():
    (picture,) = _pictures(((40, 30),))
    identity = torch.eye(3)[None]
    for layout in (picture, picture.contiguous(), picture.flip(1).flip(1)):
        crop = warp_to_crop([layout], identity, (40, 30))
        torch.testing.assert_close(crop[0], picture / 255)


def test_a_blur_starts_where_the_shrink_factor_calls_for_it():
    (picture,) = _pictures(((200, 200),))
    for shrink, blurred in ((2.0, False), (2.15, False), (2.3, True), (4.0, True)):
        homography = torch.diag(torch.tensor([1 / shrink, 1 / shrink, 1.0]))[None]
        (sigma,) = view._blur_sigmas([picture], homography, (64, 64), 0.5)
        assert (sigma > 0) == blurred
        if blurred:
            assert sigma == pytest.approx((shrink / 2 - 1) / 2, rel=1e-4)


def test_a_blur_hides_detail_that_shrinking_would_turn_into_noise():
    stripes = torch.zeros(3, 200, 200, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    homography = torch.diag(torch.tensor([0.27, 0.27, 1.0]))[None]
    sharp = warp_to_crop([stripes], homography, (50, 50))
    smooth = warp_to_crop([stripes], homography, (50, 50), blur=1.0)
    assert sharp[0, 0, 5:-5, 5:-5].std() > 0.1
    assert smooth[0, 0, 5:-5, 5:-5].std() < 0.01
