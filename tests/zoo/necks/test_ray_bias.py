from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.contracts import CropView, Neck
from zoo.necks.ray_bias import RayBias

TOKENS = torch.randn(3, 17, 32, generator=torch.Generator().manual_seed(0))
FUSIONS = ("cls", "patch", "all")


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


def neck(fusion: str = "all", **changes) -> RayBias:
    torch.manual_seed(0)
    settings = {"token_dim": 32, "token_grid": (4, 4), "num_prefix_tokens": 1, "num_samples": 4}
    return RayBias(**settings | {"fusion": fusion} | changes)


@pytest.mark.parametrize(
    ("fusion", "told"), [("cls", slice(0, 1)), ("patch", slice(1, None)), ("all", slice(None))]
)
def test_it_tells_those_tokens_it_is_asked_to_and_no_others(view, fusion, told):
    model = neck(fusion).eval()
    assert isinstance(model, Neck)
    before = TOKENS.clone()
    change = model(TOKENS, view) - TOKENS
    assert torch.equal(TOKENS, before), "what the backbone gave was edited"
    assert (change[:, told].abs().amax((1, 2)) > 1e-3).all()
    rest = torch.ones(17, dtype=torch.bool)
    rest[told] = False
    assert not change[:, rest].any()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_another_camera_gives_other_tokens(view, fusion):
    model = neck(fusion).eval()
    turned = dataclasses.replace(view, intrinsics=view.intrinsics.roll(1, 0))
    assert ((model(TOKENS, turned) - model(TOKENS, view)).abs().amax((1, 2)) > 1e-4).all()


def test_as_released_the_cls_variant_tells_nobody_and_has_nothing_to_train(view):
    model = neck("cls_as_released").eval()
    assert torch.equal(model(TOKENS, view), TOKENS)
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradients_reach_every_parameter(view, fusion):
    model = neck(fusion).train()
    model(TOKENS, view).pow(3).sum().backward()
    # What batch norm subtracts again can have no gradient but rounding.
    silent = {n for n, p in model.named_parameters() if p.grad is None}
    assert silent == set()
    assert all(p.grad.any() for n, p in model.named_parameters() if n.endswith("weight"))


def test_evaluated_one_crop_does_not_depend_on_the_others(view):
    model = neck().eval()
    alone = model(TOKENS[1:2], view.map(lambda tensor: tensor[1:2]))
    torch.testing.assert_close(alone, model(TOKENS, view)[1:2])


def test_every_level_is_told_alike(view):
    model = neck("patch").eval()
    twice = model(torch.cat((TOKENS, TOKENS), dim=1), view)
    torch.testing.assert_close(twice[:, :17], model(TOKENS, view))
    torch.testing.assert_close(twice[:, 17:], model(TOKENS, view))


def test_rays_stay_exact_under_autocast(view):
    model = neck().eval()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.bias(view)
    exact = model.bias(view)
    assert (rounded - exact).norm() < 0.02 * exact.norm()


def test_what_cannot_be_is_said_in_one_sentence(view):
    with pytest.raises(ValueError, match="needs a CLS token and the backbone hands none on"):
        neck("cls", num_prefix_tokens=0)
    with pytest.raises(ValueError, match="fusion is 'sum'; it can be 'cls'"):
        neck("sum")
    with pytest.raises(ValueError, match="one hand to train on"):
        neck().train()(TOKENS[:1], view.map(lambda tensor: tensor[:1]))
