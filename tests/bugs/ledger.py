"""Faults of the loss' bookkeeping: sums, weights, units, starting points."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults import Fault, override, with_config, with_model, with_settings


class MixedParameters(nn.Module):
    """Betas, and the wrist in millimetres, in one mean."""

    needs = frozenset()

    def __init__(self, *, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, prediction: Any, mesh: Any, target: Any) -> Tensor:
        wrist = 1000 * (mesh.joints[:, 0] - target.joints[:, 0])
        return torch.cat((prediction.betas - target.betas, wrist), -1).abs().mean()


def mixed_units(config: dict) -> None:
    config["model"]["losses"]["numbers"] = {"type": MixedParameters, "weight": 0.01}


def squared_weight(model: nn.Module) -> None:
    def _weighted(self: Any, original: Any, prediction: Any, target: Any) -> dict[str, Tensor]:
        terms = original(prediction, target)
        return {name: value * self.losses[name].weight for name, value in terms.items()}

    override(model, _weighted=_weighted)


def term_without_loss_in_its_name(model: nn.Module) -> None:
    def loss_terms(self: Any, original: Any, prediction: Any, target: Any) -> dict[str, Tensor]:
        terms = original(prediction, target)
        terms["reprojection_px"] = terms.pop("loss_reprojection")
        return terms

    override(model, loss_terms=loss_terms)


def joints_counted_twice(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        value = original(prediction, mesh, target)
        return value * self.calls

    override(model.losses["joints"], forward=forward)


def other_label_rotation(model: nn.Module) -> None:
    def forward(self: Any, original: Any, prediction: Any, mesh: Any, target: Any) -> Tensor:
        turned = dataclasses.replace(target, rotmats=target.rotmats.transpose(-1, -2))
        return original(prediction, mesh, turned)

    override(model.losses["orientation"], forward=forward)


def hand_in_millimetres(model: nn.Module) -> None:
    def forward(self: Any, original: Any, rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        vertices, joints = original(rotmats, betas)
        return vertices * 1000, joints * 1000

    override(model.hand, forward=forward)


def normalised_focal(model: nn.Module) -> None:
    def forward(self: Any, original: Any, token: Tensor, estimate: Any, view: Any) -> Any:
        reading = original(token, estimate, view)
        shrunk = reading.pose.intrinsics.clone()
        shrunk[:, :2] /= 192
        pose = dataclasses.replace(reading.pose, intrinsics=shrunk)
        return dataclasses.replace(reading, pose=pose)

    override(model.head.camera, forward=forward)


def metres_as_millimetres(model: nn.Module) -> None:
    for axis in "xyz":
        getattr(model.head.camera, f"{axis}_centers").mul_(1000)


def keypoints_of_another_size(model: nn.Module) -> None:
    def place(self: Any, original: Any, prediction: Any) -> Any:
        mesh = original(prediction)
        return dataclasses.replace(mesh, keypoints=mesh.keypoints * (192 / 256))

    override(model.hand, place=place)


def narrow_pixels(model: nn.Module) -> None:
    def read(self: Any, original: Any, query: Any, view: Any) -> Any:
        said = original(query, view)
        stretch = torch.tensor([[4 / 3], [1.0], [1.0]])
        camera = dataclasses.replace(said.camera, intrinsics=said.camera.intrinsics * stretch)
        return dataclasses.replace(said, camera=camera)

    override(model.head, read=read)


FAULTS = [
    Fault(
        "weight-applied-twice",
        with_model(squared_weight),
        ("ledger.sum", "model.losses.reprojection"),
        "The term's weight enters squared.",
    ),
    Fault(
        "term-left-out-of-the-sum",
        with_model(term_without_loss_in_its_name),
        ("ledger.sum", "model.losses"),
        "A term is printed but not minimised (totals that are no sum, V15).",
    ),
    Fault(
        "loss-that-grows-with-every-call",
        with_model(joints_counted_twice),
        ("ledger.sum", "model.losses.joints"),
        "State kept between calls changes the loss of the same batch.",
    ),
    Fault(
        "label-rotation-transposed",
        with_model(other_label_rotation),
        ("label.truth", "model.losses.orientation"),
        "Label and prediction are rotations of opposite direction.",
    ),
    Fault(
        "parameters-in-mixed-units",
        with_config(mixed_units),
        ("ledger.units", "model.losses.numbers"),
        "Betas and millimetres share one mean (csvit2_old's parameter loss).",
    ),
    Fault(
        "hand-model-in-millimetres",
        with_model(hand_in_millimetres),
        ("ledger.scale", "model.hand"),
        "MANO's output in mm under losses in metres (UTNet, V6).",
    ),
    Fault(
        "normalised-focal-length",
        with_model(normalised_focal),
        ("ledger.scale", "model.head.camera"),
        "The 2D output is 192 times too small (UTNet, V1).",
        base="hamer",
    ),
    Fault(
        "bins-in-millimetres",
        with_model(metres_as_millimetres),
        ("ledger.scale", "model.head.camera"),
        "The read-out counts millimetres, everything else metres.",
    ),
    Fault(
        "keypoints-divided-by-another-size",
        with_model(keypoints_of_another_size),
        ("ledger.scale", "model.hand"),
        "Predicted keypoints are scaled for a crop of 256 where it has 192 (V12).",
    ),
    Fault(
        "no-residual-with-six-numbers",
        with_settings("model.head.residual=false"),
        ("ledger.scale", "model.head"),
        "Six small random numbers a joint are a random rotation, not a hand (P0).",
    ),
    Fault(
        "random-start-of-a-residual-head",
        with_settings("model.head.init=random"),
        ("ledger.scale", "model.head"),
        "The estimate starts from noise instead of the mean hand (P0).",
    ),
    Fault(
        "x-divided-by-the-columns-seen",
        with_model(narrow_pixels),
        ("ledger.square", "model.head.camera"),
        "x is divided by 192 columns where labels are divided by 256 (UTNet V12).",
    ),
]
