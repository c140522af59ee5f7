"""The discriminator, its two losses and their gradients, against numbers recorded from HaMeR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CameraPose, Prediction
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.losses.adversarial import AdversarialPrior
from zoo.losses.real_hands import HandBatch

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "hamer_discriminator.npz")
EXACT = {"atol": 1e-5, "rtol": 0}


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(np.asarray(RECORDED[name]))


@pytest.fixture(scope="module")
def prior(by_rule):
    prior = AdversarialPrior(weight=0.0005)
    by_rule.fill(prior.discriminator, "discriminator.")
    return prior


@pytest.fixture
def prediction():
    """The recorded predicted hands; the wrist's turn is not looked at."""
    fingers = recorded("fake_rotmats").requires_grad_()
    rotmats = torch.cat((torch.full((3, 1, 3, 3), 7.0), fingers), dim=1)
    camera = CameraPose(torch.zeros(3, 3), "mano_origin", torch.eye(3).expand(3, 3, 3))
    return fingers, Prediction(rotmats, recorded("fake_betas").requires_grad_(), camera)


@pytest.fixture(scope="module")
def real():
    rotvecs = recorded("real_axis_angle").unflatten(1, (15, 3))
    return HandBatch(rotvec_to_rotmat(rotvecs), recorded("real_betas"))


def test_every_verdict_is_the_originals(prior, prediction, real):
    made = prior.discriminator(prediction[1].rotmats[:, 1:], prediction[1].betas)
    torch.testing.assert_close(made, recorded("fake_out"), **EXACT)
    torch.testing.assert_close(prior.discriminator(*real), recorded("real_out"), **EXACT)


def test_the_generators_loss_and_gradient_are_the_originals(prior, prediction):
    fingers, said = prediction
    loss = prior.loss_generator(said)
    loss.backward()
    torch.testing.assert_close(loss, recorded("loss_gen"), rtol=1e-5, atol=0)
    for leaf, name in ((fingers, "grad_gen_rotmats"), (said.betas, "grad_gen_betas")):
        expected = recorded(name)
        close = {"atol": 1e-4 * float(expected.abs().max()), "rtol": 0}
        torch.testing.assert_close(leaf.grad, expected, **close)


def test_the_discriminators_loss_and_gradients_are_the_originals(prior, prediction, real):
    named = dict(prior.discriminator.requires_grad_(True).named_parameters())
    loss = prior.loss_discriminator(prediction[1], real)
    torch.testing.assert_close(loss, recorded("loss_disc"), rtol=1e-5, atol=0)
    gradients = torch.autograd.grad(prior.weight * loss, list(named.values()))
    prior.discriminator.requires_grad_(False)
    norms = dict(zip(RECORDED["param_names"], RECORDED["param_grad_norms"], strict=True))
    assert {name.removeprefix("discriminator.") for name in norms} == set(named)
    for name, gradient in zip(named, gradients, strict=True):
        expected = norms.get(name, norms.get(f"discriminator.{name}"))
        assert float(gradient.norm()) == pytest.approx(expected, rel=1e-4), name
    assert prediction[0].grad is None, "the prediction does not learn from the discriminator"
