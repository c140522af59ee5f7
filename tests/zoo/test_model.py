"""The whole model on crops and on clips: which frame is answered, who learns, who is frozen."""

from __future__ import annotations

import dataclasses
from dataclasses import fields

import pytest
import torch

from registry.whole import build_model, load
from zoo.contracts import ClipView, CropView, HandTarget, Prediction
from zoo.model import HandMeshModel

TEMPORAL = ("model.temporal={'type': 'rotary', 'num_heads': 2, 'head_dim': 8, 'mlp_dim': 32}",)
FROZEN = ("model.frozen=('backbone', 'neck', 'head')",)


def model_of(tiny_changes, *changes: str) -> HandMeshModel:
    fp32 = ("model.precision=fp32", "model.backbone.stem=linear")
    return build_model(load("csvit2_ief3", changes=(*tiny_changes, *fp32, *changes)))


def some_view(count: int) -> CropView:
    rng = torch.Generator().manual_seed(count)
    intrinsics = torch.tensor([[300.0, 0, 31.5], [0, 300.0, 31.5], [0, 0, 1]])
    return CropView(
        images=torch.rand(count, 3, 64, 64, generator=rng),
        intrinsics=intrinsics.expand(count, 3, 3),
        hand_box=torch.tensor([16.0, 16.0, 48.0, 48.0]).expand(count, 4),
        frame_from_crop=torch.eye(3).expand(count, 3, 3),
        is_left=torch.zeros(count, dtype=torch.bool),
    )


def some_clips(batch: int, frames: int) -> ClipView:
    rng = torch.Generator().manual_seed(batch)
    steps = 0.02 + 0.05 * torch.rand(batch, frames, generator=rng, dtype=torch.float64)
    times = steps.cumsum(1)
    return ClipView(frames=some_view(batch * frames), times=times - times[:, -1:])


def some_target(model: HandMeshModel, count: int) -> HandTarget:
    with torch.no_grad():
        said = model(some_view(count))
    mesh = model.hand.place(said)
    return HandTarget(
        rotmats=said.rotmats,
        betas=said.betas + 1,
        has_mano=torch.ones(count),
        joints=mesh.joints + 0.05 * torch.randn(mesh.joints.shape),
        joints_valid=torch.ones(count, 21),
        keypoints=mesh.keypoints + 3,
        keypoints_valid=torch.ones(count, 21),
        has_intrinsics=torch.ones(count),
    )


def last_frames(clips: ClipView) -> CropView:
    batch, frames = clips.times.shape
    return clips.frames.map(lambda tensor: tensor.unflatten(0, (batch, frames))[:, -1])


@pytest.fixture(scope="module")
def stage_two(request):
    tiny_changes = request.getfixturevalue("tiny_changes")
    return model_of(tiny_changes, *TEMPORAL, *FROZEN)


@pytest.mark.parametrize(("batch", "frames"), [(14, 7), (4, 7), (5, 3), (3, 1)])
@torch.no_grad()
def test_a_clip_gives_one_hand_that_of_its_last_frame(stage_two, batch, frames):
    stage_two.eval()
    clips = some_clips(batch, frames)
    prediction = stage_two(clips)
    mesh = stage_two.hand.place(prediction)
    assert mesh.vertices.shape == (batch, 778, 3)
    assert mesh.keypoints.shape == (batch, 21, 2)
    # An untrained temporal part adds exactly nothing to Stage 1.
    alone = stage_two(last_frames(clips))
    assert torch.allclose(prediction.rotmats, alone.rotmats, atol=1e-6)
    singles = dataclasses.replace(clips, times=clips.times[:, -1:], rows=rows_of_last(clips))
    assert torch.equal(stage_two(singles).rotmats, prediction.rotmats)


def rows_of_last(clips: ClipView) -> torch.Tensor:
    batch, frames = clips.times.shape
    return torch.arange(batch * frames).view(batch, frames)[:, -1:]


@torch.no_grad()
def test_clips_that_share_crops_are_the_clips_written_out(stage_two):
    stage_two.eval()
    crops = some_view(5)
    rows = torch.tensor([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    times = torch.tensor([-0.2, -0.1, 0.0], dtype=torch.float64).expand(3, 3)
    torch.nn.init.normal_(stage_two.temporal.zero_linear.weight, std=0.1)
    shared = stage_two(ClipView(frames=crops, times=times, rows=rows))
    written = stage_two(
        ClipView(frames=crops.map(lambda tensor: tensor[rows.flatten()]), times=times)
    )
    torch.testing.assert_close(shared.rotmats, written.rotmats, atol=1e-5, rtol=1e-5)
    order = torch.tensor([2, 0, 1])  # frames may come in any order with their times
    mixed = stage_two(ClipView(frames=crops, times=times[:, order], rows=rows[:, order]))
    torch.testing.assert_close(mixed.rotmats, shared.rotmats, atol=1e-6, rtol=1e-6)
    torch.nn.init.zeros_(stage_two.temporal.zero_linear.weight)


def test_only_the_temporal_part_of_a_frozen_model_learns(tiny_changes):
    model = model_of(tiny_changes, *TEMPORAL, *FROZEN).train()
    torch.nn.init.normal_(model.temporal.zero_linear.weight, std=0.1)
    still = {name: value.clone() for name, value in model.state_dict().items()}
    terms = model(some_clips(4, 3), some_target(model, 4), mode="loss")
    sum(terms.values()).backward()
    torch.optim.AdamW(p for p in model.parameters() if p.grad is not None).step()
    assert not model.backbone.training
    assert not model.head.training
    assert model.temporal.training
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith("temporal."), name
        assert (parameter.grad is not None) == name.startswith("temporal."), name
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, still[n])}
    assert moved
    assert all(name.startswith("temporal.") for name in moved)


def test_a_frozen_backbone_keeps_nothing_for_the_backward_pass(tiny_changes):
    model = model_of(tiny_changes, "model.frozen=('backbone',)").train()
    tokens = []
    model.backbone.register_forward_hook(lambda module, args, out: tokens.append(out))
    sum(model(some_view(2), some_target(model, 2), mode="loss").values()).backward()
    assert not any(token.requires_grad for token in tokens)
    assert all(p.grad is not None for p in model.head.transformer.parameters())


def test_what_is_frozen_must_be_a_part_that_can_be(tiny_changes):
    with pytest.raises(ValueError, match="backbone, neck or head"):
        model_of(tiny_changes, "model.frozen=('losses',)")


@torch.no_grad()
def test_losses_and_the_hand_see_the_last_frame_alone(stage_two):
    stage_two.eval()
    clips, target = some_clips(4, 7), some_target(stage_two, 4)
    placed = []
    place = type(stage_two.hand).place
    stage_two.hand.place = lambda prediction: (
        placed.append(len(prediction.betas)) or place(stage_two.hand, prediction)
    )
    before = stage_two(clips, target, mode="loss")
    del stage_two.hand.place
    assert placed == [4]
    images = clips.frames.images.clone().unflatten(0, (4, 7))
    images[:, :-1] = 0.5  # an untrained temporal part lets nothing of earlier frames through
    other = dataclasses.replace(clips.frames, images=images.flatten(0, 1))
    after = stage_two(dataclasses.replace(clips, frames=other), target, mode="loss")
    for name in before:
        torch.testing.assert_close(after[name], before[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("batch", "frames"), [(14, 7), (5, 3), (3, 1)])
@torch.no_grad()
def test_an_untrained_stage_two_is_its_stage_one_to_the_bit(stage_two, batch, frames):
    stage_two.eval()
    clips = some_clips(batch, frames)
    refined = stage_two(clips)
    temporal, stage_two.temporal = stage_two.temporal, None
    alone = stage_two(clips)
    stage_two.temporal = temporal
    for name, value in numbers(refined).items():
        assert torch.equal(value, numbers(alone)[name]), name


def numbers(prediction: Prediction) -> dict[str, torch.Tensor]:
    """Every tensor a prediction holds, by name."""
    camera = {f.name: getattr(prediction.camera, f.name) for f in fields(prediction.camera)}
    said = {"rotmats": prediction.rotmats, "betas": prediction.betas, **prediction.aux, **camera}
    return {name: value for name, value in said.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("batch", [1, 4, 7])
@torch.no_grad()
def test_labels_of_all_frames_are_refused_where_one_is_answered(stage_two, batch):
    stage_two.eval()
    clips, frames = some_clips(batch, 7), batch * 7
    target = stage_two.hand.place_target(some_target(stage_two, frames))
    prediction = stage_two(clips)
    flat = target
    nested = target.map(lambda tensor: tensor.unflatten(0, (batch, 7)))
    single = target.map(lambda tensor: tensor[:batch, None])
    for labels in (flat, nested, single):
        with pytest.raises(ValueError, match="labels of as many hands"):
            stage_two.loss_terms(prediction, labels)


@torch.no_grad()
def test_an_answer_stays_as_it_is_while_it_is_rescaled_posed_and_compared(tiny_changes):
    # Distances in hand lengths are multiplied with the length of the predicted hand.
    model = build_model(load("csvit2", changes=(*tiny_changes, *TEMPORAL, *FROZEN))).eval()
    assert model.head.hand is not None
    prediction, target = model(some_clips(4, 7)), some_target(model, 4)
    before = {name: value.clone() for name, value in numbers(prediction).items()}
    labels = target.map(torch.clone)
    for _ in range(2):
        model.hand.place(prediction)
        model.loss_terms(prediction, model.hand.place_target(target))
    for name, value in numbers(prediction).items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(target.joints, labels.joints)


def test_a_backbone_that_can_see_is_shown_the_whole_view(tiny_changes):
    model, shown = model_of(tiny_changes).eval(), []
    view = some_view(2)
    expected = model(view)
    backbone = type(model.backbone)

    def see(self, view: CropView) -> torch.Tensor:
        shown.append(view)
        return self(view.images)

    model.backbone.__class__ = type("Seeing", (backbone,), {"see": see})
    assert torch.equal(model(view).rotmats, expected.rotmats)
    assert shown == [view]
