from __future__ import annotations

import itertools

import pytest
import torch

from zoo.geometry.alignment import align
from zoo.geometry.rotation import rotvec_to_rotmat


def _points(seed=0, count=6):
    rng = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(count, 21, 3, generator=rng, dtype=torch.float64) + 0.4


def _motion(count=6):
    rng = torch.Generator().manual_seed(9)
    rotation = rotvec_to_rotmat(2 * torch.randn(count, 3, generator=rng, dtype=torch.float64))
    scale = 0.5 + torch.rand(count, 1, 1, generator=rng, dtype=torch.float64)
    shift = torch.randn(count, 1, 3, generator=rng, dtype=torch.float64)
    return scale, rotation, shift


def _error(points, target, weight=None):
    squared = (points - target).square().sum(-1)
    return (squared if weight is None else squared * weight).sum(-1)


@pytest.mark.parametrize("allowed", list(itertools.product([False, True], repeat=3)))
def test_a_motion_of_the_allowed_kinds_is_undone_exactly(allowed):
    translates, scales, rotates = allowed
    scale, rotation, shift = _motion()
    source = target = _points()
    if rotates:
        source = source @ rotation.mT
    if scales:
        source = source * scale
    if translates:
        source = source + shift
    aligned = align(source, target, translate=translates, scale=scales, rotate=rotates)
    torch.testing.assert_close(aligned, target, rtol=0, atol=1e-9)


@pytest.mark.parametrize("allowed", list(itertools.product([False, True], repeat=3)))
def test_no_other_motion_comes_closer(allowed):
    translates, scales, rotates = allowed
    source, target = _points(1), _points(2)
    weight = torch.rand(6, 21, generator=torch.Generator().manual_seed(3)).double()
    best = _error(
        align(source, target, weight, translate=translates, scale=scales, rotate=rotates),
        target,
        weight,
    )
    rng = torch.Generator().manual_seed(4)
    aligned = align(source, target, weight, translate=translates, scale=scales, rotate=rotates)
    for _ in range(100):
        other = aligned
        if rotates:
            small = 0.05 * torch.randn(6, 3, generator=rng, dtype=torch.float64)
            other = other @ rotvec_to_rotmat(small).mT
        if scales:
            other = other * (1 + 0.05 * torch.randn(6, 1, 1, generator=rng, dtype=torch.float64))
        if translates:
            other = other + 0.02 * torch.randn(6, 1, 3, generator=rng, dtype=torch.float64)
        assert (best <= _error(other, target, weight) + 1e-12).all()


def test_nothing_allowed_leaves_the_points_alone():
    source = _points(1)
    assert torch.equal(align(source, _points(2), translate=False), source)


def test_invalid_points_move_along_but_have_no_say():
    scale, rotation, shift = _motion()
    target = _points()
    source = scale * (target @ rotation.mT) + shift
    valid = torch.ones(6, 21).double()
    valid[:, ::4] = 0
    wrong = torch.where(valid[..., None] > 0, target, torch.nan)
    aligned = align(source, wrong, valid, scale=True, rotate=True)
    torch.testing.assert_close(aligned, target, rtol=0, atol=1e-9)


def test_a_mirror_image_is_never_mirrored_back():
    target = _points()
    source = target * torch.tensor([-1.0, 1, 1])
    aligned = align(source, target, scale=True, rotate=True)
    assert (_error(aligned, target) > 1e-3).all()
    centred = aligned - aligned.mean(1, keepdim=True)
    start = source - source.mean(1, keepdim=True)
    moved = torch.linalg.lstsq(start, centred).solution
    assert (torch.linalg.det(moved) > 0).all()


def test_flat_hands_are_aligned():
    target = _points() * torch.tensor([1.0, 1, 0])
    scale, rotation, shift = _motion()
    aligned = align(scale * (target @ rotation.mT) + shift, target, scale=True, rotate=True)
    torch.testing.assert_close(aligned, target, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_determines_no_motion_stays_finite_and_unturned(dtype):
    target = _points().to(dtype)
    single = torch.full_like(target, 0.3137)
    for source, goal in ((single, target), (target, single), (single, single + 1)):
        aligned = align(source, goal, rotate=True)
        expected = source - source.mean(1, keepdim=True) + goal.mean(1, keepdim=True)
        torch.testing.assert_close(aligned, expected, rtol=0, atol=1e-5)
        assert align(source, goal, scale=True, rotate=True).isfinite().all()
    nobody = align(target, target * torch.nan, torch.zeros(6, 21), scale=True, rotate=True)
    assert nobody.isfinite().all()


def test_a_hand_far_away_in_single_precision_is_still_aligned():
    target = _points().float() - 0.4
    _, rotation, _ = _motion()
    source = target @ rotation.float().mT + torch.tensor([0.3, -0.2, 1.5])
    aligned = align(source, target, rotate=True)
    torch.testing.assert_close(aligned, target, rtol=0, atol=2e-6)
