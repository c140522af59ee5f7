"""Random state of preprocessing: exact on resuming, its own on every rank, never autocast."""

from __future__ import annotations

import copy

import torch

from zoo.augment.crop import HandCrop
from zoo.augment.perspective import FocalScale, Roll
from zoo.augment.pixels import GaussianNoise
from zoo.contracts import Frame, FrameBatch, HandTarget
from zoo.preprocess import Preprocess


def _batch():
    keypoints = torch.rand(21, 2, generator=torch.Generator().manual_seed(0)) * 30 + 10
    one, ones = torch.tensor(1.0), torch.ones(21)
    label = HandTarget(
        rotmats=torch.eye(3).expand(16, 3, 3),
        betas=torch.zeros(10),
        has_mano=one,
        joints=torch.ones(21, 3),
        joints_valid=ones,
        keypoints=keypoints,
        keypoints_valid=ones,
        has_intrinsics=one,
    )
    image = torch.full((3, 50, 50), 128, dtype=torch.uint8)
    intrinsics = torch.tensor([[80.0, 0, 25], [0, 80, 25], [0, 0, 1]])
    box = torch.cat((keypoints.amin(0), keypoints.amax(0)))
    return FrameBatch((Frame(image, intrinsics, box, False, label, "hand", "test"),) * 2)


def _preprocess(*, seed=0):
    return Preprocess(
        crop=HandCrop(size=(32, 32), expand_jitter=0.1),
        view_augmentations={"roll": Roll(), "focal_scale": FocalScale()},
        pixel_augmentations={"noise": GaussianNoise(probability=1.0)},
        seed=seed,
    )


def _draws(preprocess, calls):
    """Everything random about some training calls, as one tensor each."""
    views = [preprocess(_batch(), True)["inputs"] for _ in range(calls)]
    return [torch.cat((view.intrinsics.flatten(), view.images.flatten())) for view in views]


def test_a_resumed_run_goes_on_with_the_same_augmentations():
    whole = _draws(_preprocess(), 4)
    assert not torch.equal(whole[0], whole[1])
    first = _preprocess()
    _draws(first, 2)
    saved = copy.deepcopy(first.state_dict())
    resumed = _preprocess()
    _draws(resumed, 1)  # whatever it did before it loaded must not matter
    resumed.load_state_dict(saved)
    for got, expected in zip(_draws(resumed, 2), whole[2:], strict=True):
        assert torch.equal(got, expected)


def test_evaluation_draws_nothing():
    preprocess = _preprocess()
    preprocess(_batch(), False)
    assert preprocess.draws == 0
    assert torch.equal(_draws(preprocess, 1)[0], _draws(_preprocess(), 1)[0])


def test_seeds_and_ranks_augment_differently(monkeypatch):
    first = _draws(_preprocess(), 1)[0]
    assert not torch.equal(first, _draws(_preprocess(seed=1), 1)[0])
    monkeypatch.setattr("zoo.preprocess.get_rank", lambda: 1)
    assert not torch.equal(first, _draws(_preprocess(), 1)[0])


def test_the_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    _preprocess()(_batch(), True)
    assert torch.equal(torch.get_rng_state(), state)


def test_autocast_does_not_reach_geometry():
    batch = _batch()
    expected = _preprocess()(batch, True)
    with torch.autocast("cpu", torch.bfloat16):
        out = _preprocess()(batch, True)
    assert torch.equal(out["data_samples"].keypoints, expected["data_samples"].keypoints)
    assert out["inputs"].intrinsics.dtype == torch.float32
