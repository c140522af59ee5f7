from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.contracts import CropView, Neck
from zoo.geometry.camera import rays
from zoo.necks.ray_attention import RayAttention

TOKENS = torch.randn(3, 17, 32, generator=torch.Generator().manual_seed(0))
HEIGHT, WIDTH = 60, 80


@pytest.fixture
def view() -> CropView:
    intrinsics = torch.tensor(
        [
            [[90.0, 0.0, 40.0], [0.0, 90.0, 30.0], [0.0, 0.0, 1.0]],
            [[200.0, 0.0, -20.0], [0.0, 210.0, 31.0], [0.0, 0.0, 1.0]],
            [[400.0, 0.0, 300.0], [0.0, 400.0, -90.0], [0.0, 0.0, 1.0]],
        ]
    )
    return CropView(
        images=torch.zeros(3, 3, HEIGHT, WIDTH),
        intrinsics=intrinsics,
        hand_box=torch.zeros(3, 4),
        frame_from_crop=torch.eye(3).expand(3, 3, 3),
        is_left=torch.zeros(3, dtype=torch.bool),
    )


def neck(*, awake: bool = True, **changes) -> RayAttention:
    torch.manual_seed(0)
    settings = {"token_dim": 32, "num_tokens": 17, "num_heads": 2, "head_dim": 8}
    built = RayAttention(**settings | changes)
    if awake:
        torch.nn.init.normal_(built.zero_linear.weight)
    return built


def with_camera(view: CropView, change: torch.Tensor) -> CropView:
    return dataclasses.replace(view, intrinsics=view.intrinsics + change)


def test_it_keeps_the_contract_of_a_neck(view):
    assert isinstance(neck(), Neck)
    assert neck()(TOKENS, view).shape == TOKENS.shape


def test_a_fresh_neck_changes_nothing(view):
    torch.testing.assert_close(neck(awake=False)(TOKENS, view), TOKENS, atol=0, rtol=0)


@pytest.mark.parametrize("uv", [True, False])
def test_once_awake_another_camera_gives_other_tokens(view, uv):
    moved = with_camera(view, torch.tensor([[30.0, 0, 0], [0, 30.0, 0], [0, 0, 0]]))
    shifted = with_camera(view, torch.tensor([[0, 0, 25.0], [0, 0, 0], [0, 0, 0]]))
    out = neck(uv=uv)(TOKENS, view)
    for other in (moved, shifted):
        difference = (neck(uv=uv)(TOKENS, other) - out).abs().amax(dim=(1, 2))
        assert (difference > 1e-3).all()


def test_rays_are_those_of_the_camera_and_go_along_x_first(view):
    context = neck(num_samples=4).context(view)
    fraction = torch.tensor([0.125, 0.375, 0.625, 0.875])
    place = torch.stack(
        [torch.stack((x, y)) for x in fraction for y in fraction]
    )  # x is the slow axis
    pixels = (place * torch.tensor([WIDTH, HEIGHT])).expand(3, 16, 2)
    torch.testing.assert_close(context[..., :2], rays(pixels, view.intrinsics)[..., :2])
    torch.testing.assert_close(context[..., 2:], place.expand(3, 16, 2))


def test_without_places_the_context_holds_directions_alone(view):
    assert neck(uv=False).context(view).shape == (3, 64, 2)


def test_prefix_tokens_take_part(view):
    change = (neck()(TOKENS, view) - TOKENS)[:, 0]
    assert (change.abs().amax(dim=-1) > 1e-3).all()


def test_one_crop_does_not_depend_on_the_others(view):
    model = neck().eval()
    alone = model(TOKENS[1:2], view.map(lambda tensor: tensor[1:2]))
    torch.testing.assert_close(alone, model(TOKENS, view)[1:2], atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_parameter(view):
    model = neck()
    model(TOKENS, view).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_autocast_leaves_rays_exact_and_tokens_close(view):
    model = neck()
    exact = model(TOKENS, view)
    with torch.autocast("cpu", torch.bfloat16):
        context, rounded = model.context(view), model(TOKENS, view)
    torch.testing.assert_close(context, model.context(view), atol=0, rtol=0)
    said, expected = rounded.float() - TOKENS, exact - TOKENS
    assert (said - expected).norm() < 0.02 * expected.norm()


def test_dropout_can_be_changed(view):
    model = neck()
    model.set_dropout(0.5)
    assert not torch.allclose(model(TOKENS, view), model(TOKENS, view))


def test_a_crop_half_as_large_with_a_camera_to_match_gives_the_same_tokens(view):
    half = torch.diag(torch.tensor([0.5, 0.5, 1.0]))
    small = dataclasses.replace(
        view, images=view.images[..., ::2, ::2], intrinsics=half @ view.intrinsics
    )
    torch.testing.assert_close(neck()(TOKENS, small), neck()(TOKENS, view), atol=1e-4, rtol=1e-4)
