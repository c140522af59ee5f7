"""bf16 is for the network; whatever has a unit stays fp32, and the losses agree with fp32."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from registry.config import load
from zoo.app.training.assemble import build_model, train_loader
from zoo.app.training.precision import CheckedOptimWrapper
from zoo.data.shards import resolve_shards


@pytest.fixture
def loader(hands, tiny_changes):
    config = load("csvit2_ief3", tiny_changes, size="tiny")
    return train_loader(config, resolve_shards(hands / "train"), steps=1)


def built(tiny_changes, precision: str):
    return build_model(
        load("csvit2_ief3", (*tiny_changes, f"model.precision={precision}"), size="tiny")
    )


def test_in_bf16_the_backbone_multiplies_in_bf16_and_units_are_fp32(loader, tiny_changes):
    model = built(tiny_changes, "bf16")
    seen: dict[str, set[torch.dtype]] = {}

    def note(name: str):
        return lambda module, inputs, output: seen.setdefault(name, set()).add(output.dtype)

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(note(name))
    data = model.data_preprocessor(next(iter(loader)), True)
    prediction = model(data["inputs"])
    mesh = model.hand.place(prediction)
    backbone = [name for name in seen if name.startswith("backbone.")]
    assert len(backbone) > 5
    for name in backbone:
        assert seen[name] == {torch.bfloat16}, name
    for name in ("head.decpose", "head.decshape", "head.camera.decx", "head.camera.decz"):
        assert seen[name] == {torch.float32}, name
    united = (
        data["inputs"].images,
        data["inputs"].intrinsics,
        prediction.rotmats,
        prediction.betas,
        prediction.camera.position,
        mesh.vertices,
        mesh.joints,
        mesh.keypoints,
    )
    assert {tensor.dtype for tensor in united} == {torch.float32}
    losses = model(**data, mode="loss")
    assert {loss.dtype for loss in losses.values()} == {torch.float32}


def test_the_loss_curves_of_bf16_and_fp32_agree_within_5_percent(loader, tiny_changes):
    curves = {}
    batches = list(itertools.islice(iter(loader), 10))
    for precision in ("fp32", "bf16"):
        model = built(tiny_changes, precision).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        curve = []
        for batch in itertools.islice(itertools.cycle(batches), 200):
            data = model.data_preprocessor(batch, True)
            loss = sum(model(**data, mode="loss").values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        curves[precision] = torch.tensor(curve).unfold(0, 20, 20).mean(-1)
    assert curves["fp32"][-1] < 0.9 * curves["fp32"][0], "nothing was learned, nothing is compared"
    difference = (curves["bf16"] / curves["fp32"] - 1).abs()
    assert difference.max() < 0.05, difference


class Cut(nn.Module):
    """Two weights that the loss needs, and a frozen one that it also reads."""

    def __init__(self) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.tensor([3.0, -4.0]))
        self.frozen = nn.Parameter(torch.tensor([100.0]), requires_grad=False)


def stepped(*, scale: bool, slope: float = 1.0) -> tuple[Cut, CheckedOptimWrapper]:
    """One step of plain descent on slope * (3 a - 4 b), clipped to a norm of 1."""
    model = Cut()
    wrapper = CheckedOptimWrapper(
        optimizer=torch.optim.SGD([model.learned], lr=1.0), scale=scale, clip_grad={"max_norm": 1.0}
    )
    wrapper.update_params(slope * (model.learned * torch.tensor([3.0, -4.0])).sum())
    return model, wrapper


@pytest.mark.parametrize("scale", [False, True])
def test_gradients_are_clipped_after_the_loss_scale_is_taken_out(scale):
    model, _ = stepped(scale=scale)
    expected = torch.tensor([3.0, -4.0]) - torch.tensor([0.6, -0.8])
    torch.testing.assert_close(model.learned.detach(), expected)
    small, _ = stepped(scale=scale, slope=0.01)
    expected = torch.tensor([3.0, -4.0]) - torch.tensor([0.03, -0.04])
    torch.testing.assert_close(small.learned.detach(), expected)


@pytest.mark.parametrize("scale", [False, True])
def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted(scale):
    model, wrapper = stepped(scale=scale, slope=float("inf"))
    assert model.learned.tolist() == [3.0, -4.0]
    assert wrapper.skipped_steps == 1
    wrapper.update_params(model.learned.square().sum())
    assert wrapper.skipped_steps == 1
    assert model.learned.tolist() != [3.0, -4.0]


def test_after_an_overflow_the_loss_is_scaled_less():
    _, wrapper = stepped(scale=True)
    before = wrapper.scaler.get_scale()
    _, wrapper = stepped(scale=True, slope=float("inf"))
    assert wrapper.scaler.get_scale() == before / 2


def test_what_is_not_optimised_has_no_say_in_the_clipping():
    model = Cut()
    model.frozen.requires_grad_(True)  # as a frozen part whose gradients were left on
    wrapper = CheckedOptimWrapper(
        optimizer=torch.optim.SGD([model.learned], lr=1.0), clip_grad={"max_norm": 1.0}
    )
    wrapper.update_params((model.learned * 0.3).sum() + 1e6 * model.frozen.sum())
    torch.testing.assert_close(model.learned.detach(), torch.tensor([2.7, -4.3]))
