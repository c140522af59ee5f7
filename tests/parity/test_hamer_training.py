"""Gradients and whole optimiser steps of HaMeR against numbers recorded from the original."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import HandTarget, Prediction
from zoo.geometry.rotation import rotvec_to_rotmat
from zoo.losses.real_hands import HandBatch
from zoo.weights.hamer import published_name

ORACLES = Path(__file__).parents[1] / "oracles"
GRADIENTS = np.load(ORACLES / "hamer_gradients.npz")
STEPS = np.load(ORACLES / "hamer_train_steps.npz")
# The originals' names of the terms, and the label's own flag of each.
TERMS = {
    "loss_keypoints_2d": ("reprojection", None),
    "loss_keypoints_3d": ("joints", None),
    "loss_global_orient": ("orientation", "global_orient"),
    "loss_hand_pose": ("rotations", "hand_pose"),
    "loss_betas": ("betas", "betas"),
}
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def tensor(value) -> torch.Tensor:
    return torch.from_numpy(np.asarray(value))


def label(arrays, prefix: str) -> tuple[HandTarget, dict[str, torch.Tensor]]:
    """A recorded label in pixels of the crop, and its validity by parameter."""
    keypoints, joints = (tensor(arrays[f"{prefix}label.keypoints_{n}d"]) for n in (2, 3))
    pose = [
        tensor(arrays[f"{prefix}label.mano_params.{part}"]).unflatten(1, (-1, 3))
        for part in ("global_orient", "hand_pose")
    ]
    flags = {
        part: tensor(arrays[f"{prefix}label.has_mano_params.{part}"])
        for part in ("global_orient", "hand_pose", "betas")
    }
    target = HandTarget(
        rotmats=rotvec_to_rotmat(torch.cat(pose, dim=1)),
        betas=tensor(arrays[f"{prefix}label.mano_params.betas"]),
        has_mano=flags["betas"],
        joints=joints[..., :3],
        joints_valid=joints[..., 3],
        keypoints=(keypoints[..., :2] + 0.5) * 256,
        keypoints_valid=keypoints[..., 2],
        has_intrinsics=torch.zeros(len(joints)),
    )
    return target, flags


def terms(model, prediction: Prediction, labelled) -> dict[str, torch.Tensor]:
    """The unweighted terms under the original's names, and their weighted sum `loss`."""
    (target, flags), mesh = labelled, model.hand.place(prediction)
    values, total = {}, 0.0
    for name, (ours, flag) in TERMS.items():
        seen = target if flag is None else dataclasses.replace(target, has_mano=flags[flag])
        values[name] = model.losses[ours](prediction, mesh, seen)
        total = total + model.losses[ours].weight * values[name]
    return {**values, "loss": total}


def by_published_name(model) -> dict[str, torch.nn.Parameter]:
    return {published_name(name): parameter for name, parameter in model.named_parameters()}


def test_one_generator_step_has_the_gradients_of_the_original(hamer, by_rule):
    model = hamer.model(depth=2)
    view = hamer.view(by_rule.normal("hamer.img", (3, 3, 256, 256)), model)
    prediction, prior = model(view), model.losses["adversarial"]
    said = terms(model, prediction, label(GRADIENTS, ""))
    said["loss_gen"] = prior.loss_generator(prediction)
    said["total"] = said["loss"] + prior.weight * said["loss_gen"]
    for name, value in said.items():
        torch.testing.assert_close(value, tensor(GRADIENTS[name]), **CLOSE)
    said["total"].backward()
    named = by_published_name(model)
    norms = dict(zip(GRADIENTS["names"].tolist(), GRADIENTS["norms"], strict=True))
    learned = {name for name, parameter in named.items() if parameter.requires_grad}
    assert learned == {name for name in norms if not name.startswith("discriminator.")}
    for name in learned:
        assert float(named[name].grad.double().norm()) == pytest.approx(
            norms[name], rel=1e-4, abs=1e-9
        )
    whole = {k.removeprefix("full."): GRADIENTS[k] for k in GRADIENTS.files if "full." in k}
    for name, gradient in whole.items():
        close = {"atol": 1e-4 * float(np.abs(gradient).max()), "rtol": 0}
        torch.testing.assert_close(named[name].grad, tensor(gradient), **close)
    slot = GRADIENTS["pos_embed_grad_slot0"]
    close = {"atol": 1e-4 * float(np.abs(slot).max()), "rtol": 0}
    torch.testing.assert_close(named["backbone.pos_embed"].grad[0, 0], tensor(slot), **close)
    assert not named["mano_head.transformer.to_token_embedding.weight"].grad.any()


class Recorded:
    """Real hands in the order in which they were recorded."""

    def draw(self, count: int, *, entropy, device) -> HandBatch:
        step = entropy[1]
        pose = tensor(STEPS[f"step{step}.mocap.hand_pose"]).unflatten(1, (15, 3))
        assert len(pose) == count
        return HandBatch(rotvec_to_rotmat(pose), tensor(STEPS[f"step{step}.mocap.betas"]))


def train(model, hamer, by_rule, run: str) -> tuple[list[dict[str, float]], dict]:
    """Three iterations as `run` was recorded: the terms of each, and the weights after each."""
    lr, decay, clip = STEPS[f"{run}.lr_wd_clip"].tolist()
    prior = model.losses["adversarial"]
    prior.real, prior.lr, prior.weight_decay = Recorded(), lr, decay
    own = prior.optimizer()
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
    told, after = [], {}
    for step in range(3):
        view = hamer.view(by_rule.normal(f"train.step{step}.img", (2, 3, 256, 256)), model)
        prediction, labelled = model(view), label(STEPS, f"step{step}.")
        said = terms(model, prediction, labelled)
        mesh = model.hand.place(prediction)
        said["loss_gen"] = prior(prediction, mesh, labelled[0])
        optimizer.zero_grad()
        (said["loss"] + prior.weight * said["loss_gen"]).backward()
        said["grad_norm"] = torch.nn.utils.clip_grad_norm_(learned, clip or float("inf"))
        optimizer.step()
        said["loss_disc"] = prior.learn(own)
        told.append({name: float(value.detach()) for name, value in said.items()})
        after[step + 1] = {n: p.detach().clone() for n, p in by_published_name(model).items()}
    return told, after


@pytest.mark.parametrize("run", ["released", "strong"])
def test_three_steps_of_both_optimisers_are_the_originals(run, hamer, by_rule):
    model = hamer.model(depth=1).train()
    before = {n: p.detach().clone() for n, p in by_published_name(model).items()}
    told, after = train(model, hamer, by_rule, run)
    for values, expected in zip(told, STEPS[f"{run}.losses"], strict=True):
        named = dict(zip(STEPS[f"{run}.loss_names"].tolist(), expected, strict=True))
        assert values == pytest.approx(named, rel=1e-5)
    names, moved = STEPS[f"{run}.param_names"].tolist(), STEPS[f"{run}.param_delta_norm"]
    assert set(names) == set(before)
    for name, expected in zip(names, moved, strict=True):
        change = after[3][name] - before[name]
        assert float(change.double().norm()) == pytest.approx(expected, rel=1e-3, abs=1e-9), name
    for step in (1, 3):
        prefix = f"{run}.after_step{step}."
        for key in (key for key in STEPS.files if key.startswith(prefix)):
            name, expected = key.removeprefix(prefix), tensor(STEPS[key])
            change = expected - before[name]
            close = {"atol": 1e-3 * float(change.abs().max()) + 1e-9, "rtol": 0}
            torch.testing.assert_close(after[step][name] - before[name], change, **close)
    assert_final(model.eval(), hamer, by_rule, run)


@torch.no_grad()
def assert_final(model, hamer, by_rule, run: str) -> None:
    prediction = model(hamer.view(by_rule.normal("train.step0.img", (2, 3, 256, 256)), model))
    exact = {"atol": 1e-5, "rtol": 0}
    for name, value in {
        "global_orient": prediction.rotmats[:, :1],
        "hand_pose": prediction.rotmats[:, 1:],
        "betas": prediction.betas,
    }.items():
        torch.testing.assert_close(value, tensor(STEPS[f"{run}.final.{name}"]), **exact)
