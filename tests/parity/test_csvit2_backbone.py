"""DINOv2 in its own and in interpolated sizes, against numbers recorded from CS-ViT2's backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.backbones.dinov2 import Dinov2
from zoo.necks.layer_fusion import LayerFusion

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


CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(RECORDED[name])


def original_name(key: str) -> str:
    for ours, theirs in RENAMED.items():
        key = key.replace(ours, theirs)
    return key


def images() -> torch.Tensor:
    """The two recorded pictures before they were normalised."""
    normalised = torch.from_numpy(RECORDED["same56/input_normalised"])
    backbone = Dinov2(pretrained=None, config=SMALL, image_size=56)
    return normalised * backbone.std + backbone.mean


@pytest.mark.parametrize(
    ("case", "learned_at", "size"),
    [("same56", 56, 56), ("interp70to56", 70, 56), ("interp70to84", 70, 84)],
)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_tokens_are_those_of_the_original(case, learned_at, size, attention, by_rule):
    config = SMALL | {"image_size": learned_at}
    backbone = Dinov2(pretrained=None, config=config, image_size=size, attention=attention)
    by_rule.fill(backbone, "backbone.", original=original_name)
    pictures = images()
    if size == 84:
        pictures = torch.from_numpy(RECORDED["interp70to84/images"]) / 255
    torch.testing.assert_close(backbone(pictures), recorded(f"{case}/tokens"), **CLOSE)


def test_levels_are_the_original_hidden_states_before_the_last_norm(by_rule):
    backbone = Dinov2(pretrained=None, config=SMALL, image_size=56, levels=(1, 2))
    by_rule.fill(backbone, "backbone.", original=original_name)
    first, second = backbone(images()).chunk(2, dim=1)
    torch.testing.assert_close(first, recorded("same56/hidden_1"), **CLOSE)
    torch.testing.assert_close(second, recorded("same56/hidden_2"), **CLOSE)


def fused(levels: tuple[int, ...], learned_at: int, by_rule) -> tuple[Dinov2, LayerFusion]:
    config = SMALL | {"image_size": learned_at}
    backbone = Dinov2(pretrained=None, config=config, image_size=56, levels=levels)
    by_rule.fill(backbone, "backbone.", original=original_name)
    neck = LayerFusion(token_dim=64, num_levels=len(levels), token_grid=(4, 4), num_prefix_tokens=1)
    state = neck.state_dict()
    given = {key: state[key] for key in state if key.endswith("num_batches_tracked")}
    for name, std, mean in (("running_mean", 0.1, 0.0), ("running_var", 0.1, 1.0)):
        for key in (key for key in state if key.endswith(name)):
            given[key] = by_rule.normal(f"backbone.{key}", tuple(state[key].shape), std, mean)
    return backbone, by_rule.fill(neck, "backbone.", given=given)


@pytest.mark.parametrize(("levels", "learned_at"), [((1, 2), 56), ((0, 1, 2), 70)])
def test_fused_layers_are_those_of_the_original(levels, learned_at, by_rule):
    backbone, neck = fused(levels, learned_at, by_rule)
    case = "fusion_" + "_".join(map(str, levels))
    tokens = backbone(images())
    torch.testing.assert_close(neck(tokens, None), recorded(f"{case}/tokens"), **CLOSE)
    trained = neck.train()(tokens, None)
    torch.testing.assert_close(trained, recorded(f"{case}/tokens_batchstats"), **CLOSE)
    running = neck.fusion_conv[1].running_mean
    torch.testing.assert_close(running, recorded(f"{case}/fusion_conv_running_mean_after"), **CLOSE)


def test_dropping_the_class_token_leaves_the_patches_as_they_are(by_rule):
    backbone = Dinov2(pretrained=None, config=SMALL, image_size=56, drop_cls=True)
    by_rule.fill(backbone, "backbone.", original=original_name)
    expected = torch.from_numpy(RECORDED["same56/tokens"])[:, 1:]
    torch.testing.assert_close(backbone(images()), expected, atol=2e-5, rtol=1e-4)
