"""Bugs of labels: axes, units, orders, sides and the losses that read them in another way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import (
    Fault,
    Plant,
    override,
    with_config,
    with_frames,
    with_model,
    with_settings,
)
from zoo.contracts import Frame, FrameBatch, HandMesh, HandTarget, Prediction
from zoo.geometry.camera import project
from zoo.geometry.representation import REPRESENTATIONS
from zoo.mano.procedural import load
from zoo.mano.topology import OPENPOSE_FROM_MANO, mirror_points

_NATIVE = torch.tensor(OPENPOSE_FROM_MANO).argsort()  # MANO's 16, then the tips
_RING_AND_PINKY = torch.tensor([*range(13), *range(17, 21), *range(13, 17)])


def _label(change: Any) -> Plant:
    """Plants `change(label) -> dict of fields` in every frame's label."""
    return with_frames(
        lambda frame: dataclasses.replace(
            frame, label=dataclasses.replace(frame.label, **change(frame.label))
        )
    )


def _residual(label: HandTarget) -> dict[str, Tensor]:
    mean = REPRESENTATIONS["rotvec"].to_rotmat(torch.tensor(load().hands_mean).float().view(15, 3))
    return {"rotmats": torch.cat((label.rotmats[:1], mean.mT @ label.rotmats[1:]))}


def _box_as_corner_and_size(frame: Frame) -> Frame:
    box = frame.hand_box
    return dataclasses.replace(frame, hand_box=torch.cat((box[:2], box[2:] - box[:2])))


def _nan(label: HandTarget) -> dict[str, Tensor]:
    joints = label.joints.clone()
    joints[7] = torch.nan
    return {"joints": joints}


def _stray(label: HandTarget) -> dict[str, Tensor]:
    valid = label.joints_valid.clone()
    valid[5:9] = 0
    return {"joints_valid": valid}


class NormalisedTwice(nn.Module):
    """Projects to the crop's fraction and divides by its size once more (UTNet V1)."""

    needs: frozenset[str] = frozenset()

    def __init__(self, *, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        intrinsics = prediction.camera.intrinsics
        size = 2 * intrinsics[:, None, :2, 2].abs() + 1
        seen = project(mesh.joints, intrinsics, min_depth=0.01) / size / size - 0.5
        error = (seen - (target.keypoints / size - 0.5)).abs().sum(-1)
        return (error * target.keypoints_valid).sum() / target.keypoints_valid.sum().clamp(min=1)


class NativeOrder(nn.Module):
    """Compares joints in MANO's order with labels in OpenPose's (UTNet V4)."""

    needs: frozenset[str] = frozenset()

    def __init__(self, *, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        difference = (mesh.joints - mesh.joints[:, :1])[:, _NATIVE]
        difference = difference - (target.joints - target.joints[:, :1])
        error = difference.abs().sum(-1) * target.joints_valid
        return error.sum() / target.joints_valid.sum().clamp(min=1)


class WristForgotten(nn.Module):
    """Takes the wrist from the prediction and not from the label."""

    needs: frozenset[str] = frozenset()

    def __init__(self, *, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        error = (mesh.joints - mesh.joints[:, :1] - target.joints).abs().sum(-1)
        return (error * target.joints_valid).sum() / target.joints_valid.sum().clamp(min=1)


class Transposed(nn.Module):
    """Compares rotations with the transposed ones of the label."""

    needs: frozenset[str] = frozenset()

    def __init__(self, *, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        error = (prediction.rotmats - target.rotmats.mT).square().flatten(1).mean(1)
        return (error * target.has_mano).sum() / target.has_mano.sum().clamp(min=1)


def _as_loss(name: str, kind: type[nn.Module]) -> Plant:
    """Plants a loss of a broken kind under a name of the recipe."""

    def change(config: dict[str, Any]) -> None:
        config["model"]["losses"][name] = {"type": kind, "weight": 0.01}

    return with_config(change)


def _crop_by_label(model: nn.Module) -> None:
    def forward(
        self: nn.Module, original: Callable, data: FrameBatch, training: bool = False
    ) -> dict[str, Any]:
        frames = []
        for frame in data.frames:
            points = frame.label.keypoints
            box = torch.cat((points.amin(0), points.amax(0)))
            frames.append(dataclasses.replace(frame, hand_box=box))
        return original(dataclasses.replace(data, frames=tuple(frames)), training)

    override(model.data_preprocessor, forward=forward)


def _scaled_by_label(model: nn.Module) -> None:
    def forward(self: nn.Module, original: Callable, *given: Any) -> Any:
        said = original(*given)
        if len(given) == 3 and given[2] == "predict":
            for row, joints in zip(said, given[1].joints, strict=True):
                row["prediction"]["joints"] = row["prediction"]["joints"] * joints.norm().item()
        return said

    override(model, forward=forward)


FAULTS = (
    Fault(
        "evaluation-crops-around-labels",
        with_model(_crop_by_label),
        ("label.unseen", "augmentation"),
        "The crop of a test is cut around the keypoints that are to be found.",
    ),
    Fault(
        "prediction-scaled-by-the-label",
        with_model(_scaled_by_label),
        ("label.unseen", "model"),
        "The labelled size of the hand scales its prediction in tests (P-26b).",
    ),
    Fault(
        "opengl-joints",
        _label(lambda label: {"joints": label.joints * torch.tensor([1.0, -1.0, -1.0])}),
        ("label.plausible", "data"),
        "HO-3D's OpenGL axes are taken for OpenCV's (UTNet V5).",
    ),
    Fault(
        "joints-in-millimetres",
        _label(lambda label: {"joints": label.joints * 1000}),
        ("label.units", "data"),
        "Joints in millimetres meet a model in metres (UTNet V6).",
    ),
    Fault(
        "joints-in-mano-order",
        _label(lambda label: {"joints": label.joints[_NATIVE]}),
        ("label.order", "data"),
        "Joints are listed as MANO lists them, tips last (UTNet V4).",
    ),
    Fault(
        "ring-and-pinky-exchanged",
        _label(lambda label: {"joints": label.joints[_RING_AND_PINKY]}),
        ("label.fk", "data"),
        "Two fingers are exchanged, as between MANO's order and OpenPose's.",
    ),
    Fault(
        "sides-exchanged",
        with_frames(lambda frame: dataclasses.replace(frame, is_left=not frame.is_left)),
        ("label.side", "data"),
        "Left hands are called right.",
    ),
    Fault(
        "mirrored-joints",
        _label(lambda label: {"joints": mirror_points(label.joints)}),
        ("label.projection", "data"),
        "An axis is mirrored between picture and space.",
    ),
    Fault(
        "transposed-rotations",
        _label(lambda label: {"rotmats": label.rotmats.mT.contiguous()}),
        ("label.fk", "data"),
        "Rotation matrices are stored column by column.",
    ),
    Fault(
        "pose-relative-to-the-mean",
        _label(_residual),
        ("label.fk", "data"),
        "Residual poses are taken for absolute ones (datasets, fact 2).",
    ),
    Fault(
        "keypoints-x-and-y-exchanged",
        _label(lambda label: {"keypoints": label.keypoints.flip(-1)}),
        ("label.projection", "data"),
        "Rows and columns are exchanged.",
    ),
    Fault(
        "keypoints-of-another-size",
        _label(lambda label: {"keypoints": label.keypoints / 2}),
        ("label.projection", "data"),
        "Pictures were resized and their keypoints were not.",
    ),
    Fault(
        "box-as-corner-and-size",
        with_frames(_box_as_corner_and_size),
        ("label.plausible", "data"),
        "Boxes are x, y, width, height.",
    ),
    Fault("nan-joint", _label(_nan), ("label.validity", "data"), "A valid joint is NaN."),
    Fault(
        "placeholder-joints",
        _label(lambda label: {"joints": torch.zeros_like(label.joints)}),
        ("label.validity", "data"),
        "A test split without labels holds zeros that count as labels.",
    ),
    Fault(
        "invalid-joints-hold-numbers",
        _label(_stray),
        ("label.validity", "data"),
        "What is not labelled holds numbers a careless loss will read.",
    ),
    Fault(
        "reprojection-normalised-twice",
        _as_loss("reprojection", NormalisedTwice),
        ("label.truth", "model.losses.reprojection"),
        "Normalised pixels are normalised again, 192 times too small (UTNet V1).",
    ),
    Fault(
        "loss-in-mano-order",
        _as_loss("joints", NativeOrder),
        ("label.truth", "model.losses.joints"),
        "Prediction and label are listed in different orders (UTNet V4).",
    ),
    Fault(
        "loss-forgets-the-labelled-wrist",
        _as_loss("joints", WristForgotten),
        ("label.truth", "model.losses.joints"),
        "Wrist-relative joints are compared with absolute ones.",
    ),
    Fault(
        "weight-below-zero",
        with_settings("model.losses.joints.weight=-0.005"),
        ("label.truth", "model.losses.joints"),
        "A sign slips into a weight; the other terms fall and the sum with them.",
    ),
    Fault(
        "loss-transposes",
        _as_loss("orientation", Transposed),
        ("label.truth", "model.losses.orientation"),
        "A rotation is compared with its inverse.",
    ),
)
