from __future__ import annotations

import pytest
import torch

from zoo.contracts import CropView, Neck
from zoo.necks.layer_fusion import LayerFusion
from zoo.necks.ray_attention import RayAttention


@pytest.fixture
def view() -> CropView:
    intrinsics = torch.tensor([[200.0, 0.0, 40.0], [0.0, 210.0, 30.0], [0.0, 0.0, 1.0]])
    intrinsics = intrinsics.repeat(3, 1, 1)
    intrinsics[:, 0, 2] += torch.tensor([0.0, 80.0, -50.0])
    return CropView(
        images=torch.zeros(3, 3, 64, 64),
        intrinsics=intrinsics,
        hand_box=torch.zeros(3, 4),
        frame_from_crop=torch.eye(3).expand(3, 3, 3),
        is_left=torch.zeros(3, dtype=torch.bool),
    )


def fusion(**changes) -> LayerFusion:
    torch.manual_seed(0)
    settings = {"token_dim": 32, "num_levels": 2, "token_grid": (4, 4), "num_prefix_tokens": 1}
    return LayerFusion(**settings | {"width": 8} | changes)


LEVELS = torch.randn(3, 34, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("prefix", [0, 1])
def test_levels_become_one_set_of_tokens_of_the_old_width(view, prefix):
    model = fusion(num_prefix_tokens=prefix).eval()
    tokens = model(LEVELS[:, : 2 * (16 + prefix)], view)
    assert isinstance(model, Neck)
    assert tokens.shape == (3, 16 + prefix, 32)
    assert (tokens >= 0).all()


def test_every_level_and_neighbour_enters(view):
    model = fusion().eval()
    tokens = model(LEVELS, view)
    for level in (0, 17):
        changed = LEVELS.clone()
        changed[:, level + 6] += 1  # patch (1, 1)
        moved = (model(changed, view) - tokens).abs().amax(-1)[0] > 1e-6
        assert moved[1 + 5]
        assert moved[1 + 0], "its neighbour sees it through the 3 x 3 convolution"
        assert not moved[1 + 15], "a patch far away does not"


def test_fusion_trains_every_parameter_and_a_crop_stands_alone(view):
    model = fusion().train()
    model(LEVELS, view).pow(3).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    alone = model(LEVELS[:1], view.map(lambda tensor: tensor[:1]))
    torch.testing.assert_close(alone, model(LEVELS, view)[:1], atol=1e-5, rtol=1e-4)


def test_the_neck_behind_it_sees_the_fused_tokens(view):
    then = RayAttention(token_dim=32, num_tokens=17, num_heads=2, head_dim=8)
    torch.nn.init.normal_(then.zero_linear.weight)
    model = fusion(then=then).eval()
    plain = fusion().eval()
    torch.testing.assert_close(model(LEVELS, view), then(plain(LEVELS, view), view))
    model.set_dropout(0.3)
    assert then.net.transformer.layers[0][0].fn.to_out[1].p == 0.3


@pytest.mark.parametrize("changes", [{"num_levels": 1}, {"num_prefix_tokens": 5}])
def test_a_backbone_without_levels_or_with_registers_is_refused(changes):
    with pytest.raises(ValueError, match="it needs two levels or more"):
        fusion(**changes)
