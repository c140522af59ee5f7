from __future__ import annotations

import dataclasses
import math
import os

import numpy as np
import pytest
import torch
import torch.distributed as dist

from zoo.contracts import LossTerm
from zoo.losses.adversarial import AdversarialPrior, Discriminator
from zoo.losses.real_hands import HandBatch, RealHands
from zoo.mano.procedural import PosePrior


@pytest.fixture(scope="module")
def poses(tmp_path_factory):
    file = tmp_path_factory.mktemp("poses") / "mocap.npz"
    rng = np.random.default_rng(0)
    pose = np.concatenate((rng.normal(size=(50, 3)), PosePrior.load().sample(50, rng)), axis=1)
    np.savez(file, hand_pose=pose, betas=rng.normal(size=(50, 10)))
    return file


@pytest.fixture
def prior(poses):
    torch.manual_seed(0)
    return AdversarialPrior(weight=0.5, poses=poses, lr=2e-3)


def test_it_is_a_term_whose_gradient_reaches_the_pose_and_no_discriminator(prior, hands, labels):
    prediction, mesh = hands(0, grad=True)
    value = prior(prediction, mesh, labels(1))
    value.backward()
    assert isinstance(prior, LossTerm)
    assert value.shape == ()
    assert not prediction.rotmats.grad[:, 0].any(), "where the whole hand points is free"
    assert prediction.rotmats.grad[:, 1:].flatten(1).any(1).all()
    assert prediction.betas.grad.any(1).all()
    assert all(p.grad is None and not p.requires_grad for p in prior.parameters())


def test_the_terms_are_means_over_predicted_hands(prior, hands):
    prediction, _ = hands(0)
    twice = prediction.map(lambda tensor: torch.cat((tensor, tensor)))
    torch.testing.assert_close(prior.loss_generator(twice), prior.loss_generator(prediction))
    real = prior.real.draw(4, entropy=(0,), device=torch.device("cpu"))
    more = HandBatch(*(torch.cat((part, part)) for part in real))
    once = prior.loss_discriminator(prediction, real)
    double = prior.loss_discriminator(prediction, more)
    made = prior.discriminator(prediction.rotmats[:, 1:], prediction.betas).square().sum() / 4
    torch.testing.assert_close(double - made, 2 * (once - made))


def test_a_step_learns_the_last_forward_once_and_leaves_no_gradient(prior, hands, labels):
    optimizer = prior.optimizer()
    assert prior.learn(optimizer) is None
    before = {name: p.clone() for name, p in prior.discriminator.named_parameters()}
    prior(*hands(0), labels(1))
    assert prior.learn(optimizer) > 0
    assert prior.learn(optimizer) is None
    moved = {n for n, p in prior.discriminator.named_parameters() if not torch.equal(p, before[n])}
    assert moved == set(before)
    assert all(p.grad is None and not p.requires_grad for p in prior.parameters())


def test_it_learns_nothing_of_evaluation(prior, hands, labels):
    prior.eval()(*hands(0), labels(1))
    assert prior.learn(prior.optimizer()) is None


def test_it_learns_the_last_refinement_and_not_the_ones_before_it(prior, hands, labels):
    (final, mesh), (earlier, _) = hands(0), hands(1)
    prior(final, mesh, labels(1))
    prior(earlier, mesh, labels(1))
    torch.testing.assert_close(prior._seen.betas, final.betas)


def test_the_discriminator_comes_to_tell_real_hands_from_others(prior, hands, labels):
    optimizer, (prediction, mesh) = prior.optimizer(), hands(0)
    losses = []
    for _ in range(45):
        prior(prediction, mesh, labels(1))
        losses.append(float(prior.learn(optimizer)))
    real = prior.real.draw(20, entropy=(5,), device=torch.device("cpu"))
    made = prior.discriminator(prediction.rotmats[:, 1:], prediction.betas)
    assert losses[-1] < losses[0] / 3
    assert prior.discriminator(*real).mean() > made.mean() + 0.3


def test_a_step_whose_gradient_is_not_finite_changes_nothing(prior, hands, labels):
    prediction, mesh = hands(0)
    broken = dataclasses.replace(prediction, betas=prediction.betas * math.nan)
    before = [p.clone() for p in prior.parameters()]
    prior(broken, mesh, labels(1))
    assert prior.learn(prior.optimizer()).isnan()
    assert all(torch.equal(a, b) for a, b in zip(before, prior.parameters(), strict=True))


def test_a_resumed_term_draws_the_real_hands_an_uninterrupted_one_would(poses, hands, labels):
    def run(term, optimizer, steps):
        for _ in range(steps):
            term(*hands(0), labels(1))
            term.learn(optimizer)

    torch.manual_seed(0)
    straight = AdversarialPrior(weight=0.5, poses=poses)
    resumed = AdversarialPrior(weight=0.5, poses=poses)
    resumed.load_state_dict(straight.state_dict())
    optimizer, first = straight.optimizer(), resumed.optimizer()
    run(straight, optimizer, 4)
    run(resumed, first, 2)
    again = AdversarialPrior(weight=0.5, poses=poses)
    again.load_state_dict(resumed.state_dict())
    second = again.optimizer()
    second.load_state_dict(first.state_dict())
    run(again, second, 2)
    assert again.draws == 4
    for key, value in straight.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


@pytest.fixture
def one_process(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_group_of_one_process_learns_as_a_process_alone(poses, hands, labels, request):
    learned = []
    for group in (False, True):
        if group:
            request.getfixturevalue("one_process")
        torch.manual_seed(0)
        term = AdversarialPrior(weight=0.5, poses=poses)
        term(*hands(0), labels(1))
        term.learn(term.optimizer())
        learned.append(term.state_dict())
    assert all(torch.equal(value, learned[1][key]) for key, value in learned[0].items())


def test_the_discriminator_judges_joints_apart_and_together():
    """One finger joint changes its own verdict and the one on all of them."""
    torch.manual_seed(0)
    model = Discriminator()
    rotmats, betas = torch.randn(2, 15, 3, 3), torch.randn(2, 10)
    before = model(rotmats, betas)
    changed = rotmats.clone()
    changed[:, 4] += 1
    moved = (model(changed, betas) != before).any(0)
    assert moved.nonzero().flatten().tolist() == [4, 16]
    moved = (model(rotmats, betas + 1) != before).any(0)
    assert moved.nonzero().flatten().tolist() == [15]


def test_real_hands_of_a_file_leave_the_wrist_out(poses):
    hands, stored = RealHands.from_file(poses), np.load(poses)
    assert len(hands) == 50
    np.testing.assert_allclose(hands.rotvecs.numpy(), stored["hand_pose"][:, 3:], rtol=1e-6)


def test_the_same_entropy_draws_the_same_hands_and_another_others(poses):
    hands, cpu = RealHands.from_file(poses), torch.device("cpu")
    first, same, other = (hands.draw(8, entropy=e, device=cpu) for e in ((1, 2), (1, 2), (1, 3)))
    assert first.rotmats.shape == (8, 15, 3, 3)
    assert torch.equal(first.betas, same.betas)
    assert not torch.equal(first.betas, other.betas)
    product = first.rotmats @ first.rotmats.mT
    torch.testing.assert_close(product, torch.eye(3).expand_as(product), atol=1e-5, rtol=0)


def test_without_a_file_real_hands_are_what_clayhand_can_do():
    hands = RealHands.from_prior(seed=0)
    assert len(hands) > 1000
    assert hands.rotvecs.abs().max() < math.pi
    assert torch.equal(hands.betas, RealHands.from_prior(seed=0).betas)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"hand_pose": np.zeros((4, 48))}, "betas"),
        ({"hand_pose": np.zeros((4, 44)), "betas": np.zeros((4, 10))}, r"shape \(4, 44\)"),
        ({"hand_pose": np.zeros((4, 48)), "betas": np.zeros((3, 10))}, "of the same N"),
        ({"hand_pose": np.full((4, 48), np.nan), "betas": np.zeros((4, 10))}, "not finite"),
        ({"hand_pose": np.array([{}]), "betas": np.zeros((1, 10))}, r"shape \(1,\)"),
    ],
)
def test_a_file_of_other_things_is_refused(arrays, sentence, tmp_path):
    np.savez(tmp_path / "poses.npz", **arrays)
    with pytest.raises(ValueError, match=sentence):
        AdversarialPrior(weight=1.0, poses=tmp_path / "poses.npz")


class Bomb:
    """Makes a folder when a careless reader unpickles it."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (os.mkdir, (self.place,))


def test_a_hostile_file_of_poses_is_refused_by_name_and_runs_nothing(tmp_path):
    bomb = np.array([Bomb(str(tmp_path / "ran"))], object)
    np.savez(tmp_path / "evil.npz", hand_pose=np.zeros((1, 48)), betas=np.zeros((1, 10)), x=bomb)
    with pytest.raises(ValueError, match=r"asks for \S*mkdir.*nothing was run"):
        RealHands.from_file(tmp_path / "evil.npz")
    assert not (tmp_path / "ran").exists()


def test_a_missing_file_of_poses_is_said_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"no such file of real poses.*None for the poses of clay"):
        AdversarialPrior(weight=1.0, poses=tmp_path / "poses.npz")
