from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.metrics import official
from zoo.metrics.joints import PAMPJPE


def points(seed: int, *shape: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=rng, dtype=torch.float64) * 0.05


def test_the_benchmarks_forgive_a_mirrored_hand_and_our_metric_does_not(mesh, label_of):
    label = mesh.joints.double()
    mirrored = label * torch.tensor([-1.0, 1, 1])
    aligned = official.procrustes_with_reflection(mirrored, label)
    torch.testing.assert_close(aligned, label, rtol=0, atol=1e-6)
    values, _ = PAMPJPE()(dataclasses.replace(mesh, joints=mirrored), label_of(mesh))
    assert (values > 5).all()


def test_scale_and_translation_fix_the_palm_and_the_wrist():
    label, said = points(0, 6, 21), points(1, 6, 21)
    moved = official.scale_and_translation(said, label)
    torch.testing.assert_close(moved[:, 0], label[:, 0])
    palm = (moved[:, 4] - moved[:, 0]).norm(dim=-1)
    torch.testing.assert_close(palm, (label[:, 4] - label[:, 0]).norm(dim=-1))
    carried = official.scale_and_translation(said * 3 + 1, label)
    torch.testing.assert_close(carried, moved)


def test_a_constant_guess_has_finite_scores():
    label, surface = points(0, 6, 21), points(2, 6, 50)
    nothing = torch.zeros_like(label)
    scores = official.ho3d(nothing, torch.zeros_like(surface), label, surface)
    assert all(score == score for score in scores.values())


def test_the_truth_scores_perfectly_everywhere():
    label, surface = points(0, 6, 21), points(2, 6, 50)
    scores = official.ho3d(label, surface, label, surface) | official.dexycb(label, label)
    for name, score in scores.items():
        perfect = 1.0 if "auc" in name or "score" in name else 0.0
        # aligned points are off by rounding, which is more than the first threshold, 0
        assert score == pytest.approx(perfect, abs=6e-3 if "auc" in name else 1e-6), name


def test_a_joint_counts_only_with_its_wrist():
    label, said = points(0, 3, 42), points(1, 3, 42)
    valid = torch.ones(3, 42)
    valid[0, 41] = 0
    errors = official.interhand(said, label, valid)
    later = official.interhand(said[1:], label[1:], valid[1:])
    both = official.interhand(said, label, torch.ones(3, 42))
    torch.testing.assert_close(errors[21:], later[21:])
    torch.testing.assert_close(errors[:21], both[:21])


def test_another_mesh_gets_the_scripts_numbers_for_none_and_scores_by_its_joints():
    label, said, surface = points(0, 2, 21), points(1, 2, 21), points(2, 2, 50)
    scores = official.freihand(said, points(3, 2, 40), label, surface)
    assert (scores["mesh_mean3d_cm"], scores["mesh_al_auc3d"]) == (-100, -1)
    assert 0 <= scores["f_al_score_15"] <= 1
    assert scores["xyz_mean3d_cm"] > 0


def test_a_surface_moved_with_its_joints_keeps_its_shape_and_shrinks_as_the_script_does():
    label, said, surface = points(0, 2, 21), points(1, 2, 21), points(2, 2, 50)
    moved = official.moved_with_joints(surface, said, label)
    found = official.Similarity.between(said, label)
    shrunk = torch.pdist(moved[0])[0] / torch.pdist(surface[0])[0]
    assert float(shrunk) == pytest.approx(float((found.share * found.label_size)[0, 0, 0]))
    whole = official.procrustes_with_reflection(said, label)
    middle = said.mean(1, keepdim=True)
    turned = (said - middle) @ found.rotation.mT * found.share * found.label_size / found.size
    torch.testing.assert_close(whole, turned + found.label_center)


def test_hands_are_told_rightly_only_when_both_are():
    told = torch.tensor([[0.9, 0.1], [0.9, 0.9], [0.2, 0.8], [0.9, 0.9]])
    label = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert float(official.handedness(told, label, torch.tensor([1, 1, 1, 0]))) == pytest.approx(
        2 / 3
    )
