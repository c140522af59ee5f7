from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from zoo.augment.pixels import (
    ChannelScale,
    ColorJitter,
    Equalize,
    Erasing,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    MotionBlur,
    Posterize,
    Sharpness,
    adjust_colors,
)

AUGMENTATIONS = [
    ColorJitter,
    GaussianNoise,
    ChannelScale,
    Grayscale,
    GaussianBlur,
    MotionBlur,
    Sharpness,
    Equalize,
    Posterize,
    Erasing,
]


def _images(count=8, seed=0):
    rng = Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 5, generator=rng)
    fine = torch.nn.functional.interpolate(coarse, (36, 30), mode="bilinear")
    return (fine + 0.3 * torch.rand(fine.shape, generator=rng)).clamp(0, 1)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_the_answer_is_a_picture_of_the_same_kind_and_the_input_is_not_edited(augmentation):
    images = _images()
    before = images.clone()
    out = augmentation(probability=1.0)(images, Generator().manual_seed(0))
    assert torch.equal(images, before)
    assert out.shape == images.shape
    assert out.dtype == images.dtype
    assert out.amin() >= 0
    assert out.amax() <= 1
    changed = (out - images).abs().amax((1, 2, 3)) > 1e-4
    assert changed.all(), changed


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_probability_decides_how_many_crops_change(augmentation):
    images = _images(200)
    rng = Generator().manual_seed(4)
    assert torch.equal(augmentation(probability=0.0)(images, rng), images)
    out = augmentation(probability=0.3)(images, rng)
    share = ((out - images).abs().amax((1, 2, 3)) > 0).double().mean()
    assert 0.2 < share < 0.4


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_the_generator_alone_decides(augmentation):
    images = _images()
    change = augmentation(probability=0.5)
    torch.manual_seed(1)
    first = change(images, Generator().manual_seed(7))
    torch.manual_seed(2)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    again = change(images, Generator().manual_seed(7))
    other = change(images, Generator().manual_seed(8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


@pytest.mark.parametrize("augmentation", [ColorJitter, GaussianNoise, ChannelScale, GaussianBlur])
def test_crops_are_changed_each_in_its_own_way(augmentation):
    same = _images(1).expand(6, -1, -1, -1)
    out = augmentation(probability=1.0)(same, Generator().manual_seed(0))
    for other in range(1, 6):
        assert (out[0] - out[other]).abs().max() > 1e-3


def test_colours_are_adjusted_as_kornia_adjusts_them_step_by_step():
    from kornia import enhance

    images = 0.3 + 0.3 * _images()  # far enough from both ends that no step clips
    factors = 0.8 + 0.4 * torch.rand(3, 8, generator=Generator().manual_seed(1))
    expected = enhance.adjust_brightness_accumulative(images, factors[0])
    expected = enhance.adjust_contrast_with_mean_subtraction(expected, factors[1])
    expected = enhance.adjust_saturation_with_gray_subtraction(expected, factors[2])
    out = adjust_colors(images, *factors[:, :, None, None, None])
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


def test_unit_factors_leave_colours_alone():
    images = _images()
    one = torch.ones(8, 1, 1, 1)
    torch.testing.assert_close(adjust_colors(images, one, one, one), images)


def test_hue_turns_colours_and_leaves_grey_alone():
    gray = _images()[:, :1].repeat(1, 3, 1, 1)
    jitter = ColorJitter(brightness=0, contrast=0, saturation=0, hue=0.3, probability=1.0)
    rng = Generator().manual_seed(0)
    torch.testing.assert_close(jitter(gray, rng), gray, rtol=0, atol=1e-4)
    assert (jitter(_images(), rng) - _images()).abs().max() > 0.05


def test_noise_has_the_asked_for_spread():
    flat = torch.full((4, 3, 64, 64), 0.5)
    out = GaussianNoise(std=0.05, probability=1.0)(flat, Generator().manual_seed(0))
    assert abs(float((out - flat).std()) - 0.05) < 1e-3
    assert abs(float((out - flat).mean())) < 2e-3


def test_channel_gains_are_one_number_a_channel_within_the_spread():
    images = 0.5 * _images(50)
    gains = (ChannelScale(spread=0.2)(images, Generator().manual_seed(0)) / images).nanquantile(
        torch.tensor([0.01, 0.99]), dim=-1
    )
    torch.testing.assert_close(gains[0], gains[1], rtol=1e-4, atol=1e-4)
    assert 0.8 <= gains.amin() < 0.83
    assert 1.17 < gains.amax() <= 1.2


def test_grayscale_weighs_channels_as_eyes_do():
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    out = Grayscale(probability=1.0)(red, Generator().manual_seed(0))
    torch.testing.assert_close(out, torch.full_like(out, 0.299))


def test_arguments_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"ColorJitter\.probability lies between 0 and 1"):
        ColorJitter(probability=1.5)
    with pytest.raises(ValueError, match=r"gaussian_blur\.sigma is \(low, high\)"):
        GaussianBlur(sigma=(2.0, 1.0))


def test_posterized_crops_have_at_most_two_to_the_bits_levels():
    ramp = torch.linspace(0, 1, 256).view(1, 1, 16, 16).expand(4, 3, 16, 16)
    out = Posterize(bits=(3, 3), probability=1.0)(ramp, Generator().manual_seed(0))
    assert len(out.unique()) == 8
    with pytest.raises(ValueError, match=r"posterize\.bits lie between 1 and 8"):
        Posterize(bits=(3, 9))


def test_any_number_of_operations_can_be_combined_and_each_has_its_own_draws():
    images = _images()
    chain = [augmentation(probability=0.5) for augmentation in AUGMENTATIONS]
    assert len(chain) >= 7

    def run(operations):
        rng, out = Generator().manual_seed(3), images
        for operation in operations:
            out = operation(out, rng)
        return out

    assert torch.equal(run(chain), run(chain))
    assert not torch.equal(run(chain), run(chain[::-1]))
    assert torch.equal(run([type(c)(probability=0.0) for c in chain]), images)
