from __future__ import annotations

import pytest
import torch

from zoo.backbones.conv_stem import ConvStem

IMAGES = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def stem(**changes) -> ConvStem:
    torch.manual_seed(0)
    return ConvStem(**{"dim": 40, "patch_size": 16, "num_patches": 12} | changes)


@pytest.mark.parametrize("patch_size", [4, 8, 16])
def test_there_is_a_token_for_every_patch(patch_size):
    tokens = stem(patch_size=patch_size)(IMAGES)
    assert tokens.shape == (2, 64 // patch_size * (48 // patch_size), 40)


def test_tokens_are_in_row_major_order():
    features = stem().layers(IMAGES)
    tokens = stem()(IMAGES)
    torch.testing.assert_close(tokens[:, 1 * 3 + 2], features[:, :, 1, 2])


def test_a_picture_does_not_depend_on_the_others_of_its_batch():
    model = stem().train()
    torch.testing.assert_close(model(IMAGES[:1]), model(IMAGES)[:1], atol=1e-5, rtol=1e-5)


def test_a_token_hears_of_its_neighbourhood_most():
    moved = IMAGES.clone()
    moved[:, :, :16, :16] += 1
    change = (stem()(moved) - stem()(IMAGES)).norm(dim=-1)[0].view(4, 3)
    near = change[:2, :2].clone()
    change[:2, :2] = 0
    assert near.min() > 2 * change.max()


def test_a_patch_that_is_no_power_of_two_is_refused():
    with pytest.raises(ValueError, match="patch_size is 2, 4, 8, 16 or 32, not 14"):
        stem(patch_size=14)
