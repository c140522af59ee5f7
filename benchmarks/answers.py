"""Predictions written by hand, so that losses and the hand model can be asked what they do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.contracts import HandTarget, Prediction
from zoo.geometry.representation import REPRESENTATIONS
from zoo.geometry.rotation import nearest_rotation, rotvec_to_rotmat

POSE_NAME = "pose_"  # aux of this name and a representation holds the numbers behind `rotmats`
MAPS, CENTERS = "log_heatmap_", "heatmap_centers_"


@dataclass(frozen=True)
class Leaves:
    """A prediction taken apart into tensors that losses can be differentiated by."""

    tensors: Mapping[str, Tensor]  # orientation, fingers, betas, position, and aux by its name
    template: Prediction

    def prediction(self, **moved: Tensor) -> Prediction:
        """The prediction of these tensors, some of them exchanged."""
        parts = {**self.tensors, **moved}
        camera = dataclasses.replace(self.template.camera, position=parts["position"])
        return dataclasses.replace(
            self.template,
            rotmats=torch.cat((parts["orientation"], parts["fingers"]), dim=1),
            betas=parts["betas"],
            camera=camera,
            aux={name: parts[name] for name in self.template.aux},
            earlier=(),
        )


def leaves(prediction: Prediction) -> Leaves:
    """The prediction's outputs as leaf tensors that ask for gradients."""
    said = prediction.detach()
    tensors = {
        "orientation": said.rotmats[:, :1],
        "fingers": said.rotmats[:, 1:],
        "betas": said.betas,
        "position": said.camera.position,
        **said.aux,
    }
    fixed = {name for name in tensors if name.startswith(CENTERS)}
    return Leaves(
        {name: t.clone().requires_grad_(name not in fixed) for name, t in tensors.items()}, said
    )


def answer(
    prediction: Prediction,
    *,
    rotmats: Tensor,
    betas: Tensor,
    position: Tensor,
    bins: float | None = 1.0,
) -> Prediction:
    """The prediction with other content, its aux following where its meaning is known.

    Pose numbers are written anew, heat maps become Gaussians about the position; other aux stays.
    bins: standard deviation of the heat maps in bins; None makes them uniform.
    """
    aux = dict(prediction.aux)
    for name in aux:
        kind = name.removeprefix(POSE_NAME)
        if name.startswith(POSE_NAME) and kind in REPRESENTATIONS:
            aux[name] = REPRESENTATIONS[kind].from_rotmat(rotmats)
        if name.startswith(MAPS) and name.replace(MAPS, CENTERS) in aux:
            axis = name.removeprefix(MAPS)
            centers = prediction.aux[f"{CENTERS}{axis}"]
            step = (centers[:, 1:] - centers[:, :-1]).mean()
            away = (centers - position[:, "xyz".index(axis), None]) / step
            aux[name] = (-away.square() / 2 / (bins or torch.inf) ** 2).log_softmax(-1)
    camera = dataclasses.replace(prediction.camera, position=position)
    return dataclasses.replace(
        prediction, rotmats=rotmats, betas=betas, camera=camera, aux=aux, earlier=()
    )


def truth(prediction: Prediction, target: HandTarget, bins: float = 1.0) -> Prediction:
    """The prediction that says what the label says, in the prediction's own camera.

    A camera that is not the true one keeps its own position, for no label tells it.
    """
    position = prediction.camera.position
    if prediction.camera.anchor == "wrist":
        position = target.joints[:, 0].to(position)
    said = {"rotmats": target.rotmats, "betas": target.betas, "position": position}
    return answer(prediction, **said, bins=bins)


def blind(prediction: Prediction, target: HandTarget) -> Prediction:
    """The best constant: what an answer that never looks at the picture would say.

    The mean of the labels, rotations as the nearest rotation to their mean; heat maps uniform.
    """
    rotmats = nearest_rotation(target.rotmats.mean(0)).expand_as(target.rotmats)
    betas = target.betas.mean(0).expand_as(target.betas)
    position = prediction.camera.position
    if prediction.camera.anchor == "wrist":
        position = target.joints[:, 0].mean(0).expand_as(position)
    return answer(prediction, rotmats=rotmats, betas=betas, position=position, bins=None)


def agreed(prediction: Prediction, target: HandTarget, hand: nn.Module) -> HandTarget:
    """The label that says exactly, to the last bit, what the prediction says."""
    mesh = hand.place(prediction.detach())
    labels = {
        "rotmats": prediction.rotmats,
        "betas": prediction.betas,
        "joints": mesh.joints,
        "keypoints": mesh.keypoints,
    }
    if target.vertices is not None:
        labels["vertices"] = mesh.vertices
    return dataclasses.replace(target, **{name: t.detach() for name, t in labels.items()})


def moved(leaf: Leaves, name: str, direction: Tensor, amount: Tensor | float) -> Tensor:
    """One output moved along a direction, rotations staying rotations and maps distributions.

    direction: as the output's shape; a rotation's is (B, K, 3), the axis it turns about.
    amount: rad for a rotation, the output's own unit otherwise.
    """
    start = leaf.tensors[name].detach()
    if name in ("orientation", "fingers"):
        return start @ rotvec_to_rotmat(amount * direction)
    if name.startswith(MAPS):
        return (start + amount * direction).log_softmax(-1)
    return start + amount * direction


def direction(leaf: Leaves, name: str, rng: torch.Generator) -> Tensor:
    """A random direction for `moved`, each number of order 1."""
    shape = leaf.tensors[name].shape
    if name in ("orientation", "fingers"):
        shape = (*shape[:2], 3)
    return torch.randn(shape, generator=rng)


def partly_labelled(target: HandTarget) -> HandTarget:
    """The same hands as a mix of data sets would label them.

    Of every four hands the first keeps everything; the second has no MANO labels, the third
    only keypoints and an assumed camera, the fourth a wrist that is stored but not marked valid.
    """
    rows = torch.arange(len(target)) % 4
    flat = (rows == 2)[:, None].to(target.joints_valid)
    joints_valid = target.joints_valid * (1 - flat)
    joints_valid[rows == 3, 0] = 0
    keep = (rows == 0) | (rows == 3)
    nothing = torch.zeros_like(target.joints)
    return dataclasses.replace(
        target,
        has_mano=target.has_mano * keep.to(target.has_mano),
        joints=torch.where((rows == 2)[:, None, None], nothing, target.joints),
        joints_valid=joints_valid,
        has_intrinsics=target.has_intrinsics * (rows != 2).to(target.has_intrinsics),
    )
