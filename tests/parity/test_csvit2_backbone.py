"""DINOv2 in its own and in interpolated sizes, against numbers recorded from CS-ViT2's backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.backbones.dinov2 import Dinov2

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_backbone.npz")
SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "patch_size": 14,
}
# The names that transformers gave these layers when the numbers were recorded.
RENAMED = {
    "vit.": "backbone.",
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
}


def original_name(key: str) -> str:
    for ours, theirs in RENAMED.items():
        key = key.replace(ours, theirs)
    return key


def images() -> torch.Tensor:
    """The two recorded pictures before they were normalised."""
    normalised = torch.from_numpy(RECORDED["same56/input_normalised"])
    backbone = Dinov2(pretrained=None, config=SMALL, image_size=56)
    return normalised * backbone.std + backbone.mean


@pytest.mark.parametrize(("case", "learned_at"), [("same56", 56), ("interp70to56", 70)])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_tokens_are_those_of_the_original(case, learned_at, attention, by_rule):
    config = SMALL | {"image_size": learned_at}
    backbone = Dinov2(pretrained=None, config=config, image_size=56, attention=attention)
    by_rule.fill(backbone, "backbone.", original=original_name)
    expected = torch.from_numpy(RECORDED[f"{case}/tokens"])
    torch.testing.assert_close(backbone(images()), expected, atol=2e-5, rtol=1e-4)


def test_dropping_the_class_token_leaves_the_patches_as_they_are(by_rule):
    backbone = Dinov2(pretrained=None, config=SMALL, image_size=56, drop_cls=True)
    by_rule.fill(backbone, "backbone.", original=original_name)
    expected = torch.from_numpy(RECORDED["same56/tokens"])[:, 1:]
    torch.testing.assert_close(backbone(images()), expected, atol=2e-5, rtol=1e-4)
