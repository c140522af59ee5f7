"""A subject shows every probe the same hands and models, and lets none of them spoil the next."""

from __future__ import annotations

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from benchmarks.subject import component, last_frames, load_subject, rendered_frames


@pytest.fixture(scope="module")
def subject():
    return load_subject("csvit2_ief3")


def test_rendered_hands_are_the_same_for_the_same_seed_and_carry_every_label():
    once, other = (
        rendered_frames(2, seed=3, image_size=64),
        rendered_frames(2, seed=4, image_size=64),
    )
    rendered_frames.cache_clear()
    again = rendered_frames(2, seed=3, image_size=64)
    assert torch.equal(once.frames[0].image, again.frames[0].image)
    assert not torch.equal(once.frames[0].image, other.frames[0].image)
    assert all(frame.label.has_mano and frame.label.joints_valid.all() for frame in once.frames)


def test_a_batch_belongs_to_who_asked_for_it(subject):
    view, target = subject.batch(2, training=True)
    view.images.zero_()
    target.joints.fill_(7.0)
    fresh, labels = subject.batch(2, training=True)
    assert fresh.images.any()
    assert not (labels.joints == 7.0).any()


def test_augmentation_is_drawn_from_the_seed_asked_for(subject):
    first, again = (subject.batch(2, training=True, seed=5)[0].images for _ in range(2))
    later = subject.with_frames(subject.frames).batch(2, training=True, seed=5)[0].images
    other = subject.batch(2, training=True, seed=6)[0].images
    assert torch.equal(first, again)
    assert torch.equal(first, later)
    assert not torch.equal(first, other)


def test_fresh_models_are_equal_and_independent(subject):
    one, two = subject.fresh_model(), subject.fresh_model()
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    assert all(torch.equal(a, b) and a is not b for a, b in pairs)
    own = zip(one.parameters(), subject.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in own)


@pytest.mark.parametrize(
    "rules", ["{'backbone': {'lr_mult': 0.1}, 'backbone.stem': {'lr_mult': 2}}"]
)
def test_the_optimiser_gives_each_parameter_the_rate_that_training_gives_it(rules):
    subject = load_subject(
        "csvit2_ief3", changes=[f"optim_wrapper.paramwise_cfg.custom_keys={rules}"]
    )
    ours = {id(p): g for g in subject.optimizer(subject.model).param_groups for p in g["params"]}
    wrapper = build_optim_wrapper(
        subject.model,
        {k: v for k, v in subject.config["optim_wrapper"].items() if k != "clip_grad"},
    )
    theirs = {id(p): g for g in wrapper.optimizer.param_groups for p in g["params"]}
    for name, parameter in subject.model.named_parameters():
        if parameter.requires_grad:
            mine, other = ours[id(parameter)], theirs[id(parameter)]
            assert mine["lr"] == pytest.approx(other["lr"]), name
            assert mine["weight_decay"] == pytest.approx(other["weight_decay"]), name
            assert mine["name"] == component(name)


def test_a_recipe_of_clips_is_shown_clips_and_answers_once_a_hand():
    subject = load_subject("csvit2_stage2")
    view, target = subject.shown(2, training=False)
    frames = subject.config["data"]["clip"]["frames"]
    assert view.times.shape == (2, frames)
    assert len(target) == 2
    assert torch.equal(subject.batch(2, training=False)[0].images, last_frames(view).images)
    assert torch.equal(last_frames(view).images[0], view.frames.images[frames - 1])
    with torch.no_grad():
        assert len(subject.model.predict_hand(view)) == 2


@pytest.mark.parametrize(
    ("parameter", "path"),
    [
        ("head.camera.decx.weight", "model.head.camera"),
        ("head.decpose.weight", "model.head"),
        ("losses.prior.net.weight", "model.losses.prior"),
        ("backbone.stem.0.weight", "model.backbone"),
    ],
)
def test_a_parameter_belongs_to_a_path_of_the_config(parameter, path):
    assert component(parameter) == path
