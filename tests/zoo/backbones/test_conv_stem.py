from __future__ import annotations

import pytest
import torch

from zoo.backbones.conv_stem import ConvStem, wave_positions

IMAGES = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def stem(**changes) -> ConvStem:
    torch.manual_seed(0)
    return ConvStem(**{"dim": 40, "patch_size": 16, "num_patches": 12} | changes)


@pytest.mark.parametrize("patch_size", [4, 8, 16])
def test_there_is_a_token_for_every_patch(patch_size):
    tokens = stem(patch_size=patch_size)(IMAGES)
    assert tokens.shape == (2, 64 // patch_size * (48 // patch_size), 40)


def test_tokens_are_in_row_major_order():
    model = stem().eval()
    features = model.blocks(model.first(IMAGES))
    torch.testing.assert_close(model(IMAGES)[:, 1 * 3 + 2], features[:, :, 1, 2])


def test_when_evaluated_a_picture_does_not_depend_on_the_others_of_its_batch():
    model = stem().eval()
    torch.testing.assert_close(model(IMAGES[:1]), model(IMAGES)[:1], atol=1e-5, rtol=1e-5)


def test_a_token_hears_of_its_neighbourhood_most():
    moved = IMAGES.clone()
    moved[:, :, :16, :16] += 1
    model = stem().eval()
    change = (model(moved) - model(IMAGES)).norm(dim=-1)[0].view(4, 3)
    assert change[0, 0] == change.max()
    assert change[0, 0] > 2 * change[2:].max()


def test_first_positions_are_large_and_all_different():
    table = wave_positions(3, 4, 48)
    assert table.shape == (12, 48)
    torch.testing.assert_close(table.square().mean(), torch.tensor(0.5))
    distance = torch.cdist(table, table) + torch.eye(12) * 100
    assert distance.min() > 0.5


def test_a_patch_that_is_no_power_of_two_is_refused():
    with pytest.raises(ValueError, match="patch_size is 4, 8, 16 or 32, not 14"):
        stem(patch_size=14)
