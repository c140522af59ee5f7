"""Hands whose truth is known: predictions and labels that agree because one layer posed both."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.probe import Unrunnable
from benchmarks.subject import Subject
from zoo.contracts import (
    CameraPose,
    CropView,
    FrameBatch,
    HandMesh,
    HandTarget,
    Prediction,
)
from zoo.geometry.camera import rays
from zoo.geometry.representation import REPRESENTATIONS
from zoo.geometry.rotation import rotvec_to_rotmat

SHARP = 0.6  # bins, the width of a true heat map: sharper than any target of several bins
_USUAL_DISTANCE = 0.6  # m, for hands whose place is not labelled
_AXES = ("x", "y", "z")


@dataclass(frozen=True)
class KnownHands:
    """Hands of a batch with labels nobody can doubt: the model's own hand, posed and seen."""

    view: CropView
    truth: Prediction  # what a perfect head would say, without aux
    target: HandTarget  # every label valid, vertices filled


def single_frames(subject: Subject, count: int, *, start: int = 0) -> tuple[CropView, HandTarget]:
    """Unaugmented hands one frame each, whether or not the recipe trains on clips.

    The frames repeat; the caller owns the tensors.
    """

    def make() -> tuple[CropView, HandTarget]:
        frames = subject.frames.frames
        chosen = tuple(frames[(start + i) % len(frames)] for i in range(count))
        return subject.preprocess(FrameBatch(chosen), False)

    view, target = subject.remember(("single frames", count, start), make)
    return view.map(torch.clone), target.map(torch.clone)


def known_hands(subject: Subject, count: int, *, start: int = 0) -> KnownHands:
    """Hands of the subject's frames, unaugmented, posed anew by the model's own hand layer.

    Joints, vertices and keypoints follow from rotations, betas and wrist, so that a wrong label in
    the data cannot be taken for a fault of a loss or a metric.
    """
    view, labels = single_frames(subject, count, start=start)
    hand = hand_of(subject)
    with torch.no_grad():
        mean = hand.mean_pose_rotmats().expand_as(labels.rotmats)
        has_mano = (labels.has_mano > 0)[:, None, None, None]
        has_wrist = (labels.joints_valid[:, :1] > 0) & (labels.joints[:, 0, 2:] > 0)
        center = (view.hand_box[:, None, :2] + view.hand_box[:, None, 2:]) / 2
        guess = rays(center, view.intrinsics)[:, 0] * _USUAL_DISTANCE
        position = torch.where(has_wrist, labels.joints[:, 0], guess)
        truth = Prediction(
            rotmats=torch.where(has_mano, labels.rotmats, mean),
            betas=torch.where(has_mano[:, 0, 0], labels.betas, torch.zeros_like(labels.betas)),
            camera=CameraPose(position, "wrist", view.intrinsics),
        )
        mesh = hand.place(truth)
    return KnownHands(view, truth, target_of(truth, mesh))


def target_of(truth: Prediction, mesh: HandMesh) -> HandTarget:
    """The labels that a posed hand fulfils, all of them valid."""
    one = torch.ones(len(mesh.joints))
    return HandTarget(
        rotmats=truth.rotmats,
        betas=truth.betas,
        has_mano=one,
        joints=mesh.joints,
        joints_valid=torch.ones(mesh.joints.shape[:2]),
        keypoints=mesh.keypoints,
        keypoints_valid=torch.ones(mesh.keypoints.shape[:2]),
        has_intrinsics=one,
        vertices=mesh.vertices,
        vertices_valid=one,
    )


def hand_of(subject: Subject) -> nn.Module:
    """The model's hand layer; Unrunnable where a user's own module has none."""
    hand = getattr(subject.model, "hand", None)
    if hand is None or not hasattr(hand, "place"):
        raise Unrunnable("the model has no `hand` that places predictions")
    return hand


def losses_of(subject: Subject) -> Mapping[str, Any]:
    """The loss terms by name; Unrunnable where there are none to call."""
    losses = getattr(subject.model, "losses", None)
    if not losses:
        raise Unrunnable("the model has no `losses` to call one by one")
    return dict(losses.items())


def with_truthful_aux(truth: Prediction, said: Mapping[str, Tensor]) -> Prediction:
    """A perfect prediction with what its head alone would tell, as far as names say what it is.

    said: the aux of any prediction of the same model, for its bins.
    returns: aux `pose_<representation>` and heat maps about the true wrist; other names left out.
    """
    aux = {}
    for name in said:
        if name.removeprefix("pose_") in REPRESENTATIONS:
            written = REPRESENTATIONS[name.removeprefix("pose_")]
            aux[name] = written.from_rotmat(truth.rotmats)
    for axis, letter in enumerate(_AXES):
        centers = said.get(f"heatmap_centers_{letter}")
        if centers is None or f"log_heatmap_{letter}" not in said:
            continue
        centers = centers[:1].expand(len(truth), -1)
        step = (centers[:, -1:] - centers[:, :1]) / (centers.shape[-1] - 1)
        distance = (truth.camera.position[:, axis, None] - centers) / (SHARP * step)
        aux[f"heatmap_centers_{letter}"] = centers
        aux[f"log_heatmap_{letter}"] = (-distance.square() / 2).log_softmax(-1)
    return dataclasses.replace(truth, aux=aux)


def steps_from(truth: Prediction) -> Iterator[tuple[str, Prediction]]:
    """Predictions one step away from the truth, by what was changed: small and gross, both ways."""
    for size, gross in ((0.05, False), (1.0, True)):
        for sign in (-1.0, 1.0):
            word = f"{'+' if sign > 0 else '-'}{'gross' if gross else 'small'}"
            for axis, letter in enumerate(_AXES):
                offset = torch.zeros(3)
                offset[axis] = sign * (0.1 if gross else 0.005)
                camera = dataclasses.replace(truth.camera, position=truth.camera.position + offset)
                yield f"position {letter} {word}", dataclasses.replace(truth, camera=camera)
                vector = torch.zeros(3)
                vector[axis] = sign * size
                turn = rotvec_to_rotmat(vector)
                whole, fingers = truth.rotmats.clone(), truth.rotmats.clone()
                whole[:, 0] = turn @ truth.rotmats[:, 0]
                fingers[:, 1:] = truth.rotmats[:, 1:] @ turn
                yield f"orientation {letter} {word}", dataclasses.replace(truth, rotmats=whole)
                yield f"fingers {letter} {word}", dataclasses.replace(truth, rotmats=fingers)
            betas = truth.betas + sign * (2.0 if gross else 0.2)
            yield f"shape {word}", dataclasses.replace(truth, betas=betas)


def said_by(subject: Subject, view: CropView) -> tuple[Prediction, HandMesh]:
    """What the model itself predicts, detached, and its mesh."""
    with torch.no_grad():
        prediction = subject.model.predict_hand(view)
        mesh = hand_of(subject).place(prediction)
    return prediction.detach(), mesh.detach()


def hands(record: Any, chosen: Any) -> Any:
    """A record or tensor of the chosen hands: an index, a slice or a tensor of indices."""
    chosen = slice(chosen, chosen + 1) if isinstance(chosen, int) else chosen
    return record[chosen] if isinstance(record, Tensor) else record.map(lambda t: t[chosen])


def reads_labels(term: Any, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> bool:
    """Whether a loss term compares with labels at all: a prior on predictions alone does not."""
    with torch.no_grad():
        values = {
            field.name: 0.9 * getattr(target, field.name)
            for field in dataclasses.fields(target)
            if "valid" not in field.name and not field.name.startswith("has_")
        }
        other = dataclasses.replace(target, **values)
        return not torch.equal(term(prediction, mesh, target), term(prediction, mesh, other))


def unlabelled(target: HandTarget, missing: Any, filling: float = 0.0) -> HandTarget:
    """Labels of some hands marked as missing, what they hold set to `filling`."""
    changes = {}
    for field in dataclasses.fields(target):
        value = getattr(target, field.name)
        if value is None:
            continue
        is_validity = "valid" in field.name or field.name.startswith("has_")
        changes[field.name] = value.clone()
        changes[field.name][missing] = 0.0 if is_validity else filling
    return dataclasses.replace(target, **changes)


def leaves(record: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a record by name, nested records included."""
    if isinstance(record, Tensor):
        yield prefix, record
    elif isinstance(record, Mapping):
        for key, item in record.items():
            yield from leaves(item, f"{prefix}.{key}".lstrip("."))
    elif isinstance(record, tuple | list):
        for index, item in enumerate(record):
            yield from leaves(item, f"{prefix}[{index}]")
    elif dataclasses.is_dataclass(record):
        for field in dataclasses.fields(record):
            yield from leaves(getattr(record, field.name), f"{prefix}.{field.name}".lstrip("."))
