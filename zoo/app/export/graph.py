"""The model as named tensors in and named tensors out, which is what other programs can run."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from zoo.contracts import CropView
from zoo.mano.layer import ManoLayer
from zoo.model import HandMeshModel

# What every view holds; a model that can read depth answers as it does where there is none.
INPUTS = tuple(
    field.name for field in dataclasses.fields(CropView) if field.default is dataclasses.MISSING
)
OUTPUTS = ("rotmats", "betas", "position", "vertices", "joints", "keypoints", "camera")
_TRACED = 2  # hands the graph is traced with; 1 would make one hand a constant


class CannotExport(ValueError):
    """A part that no graph can hold."""


class HandGraph(nn.Module):
    """CropView in, HandMesh and its parameters out, every one a plain tensor.

    model: in evaluation mode and fp32.
    """

    def __init__(self, model: HandMeshModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        images: Tensor,
        intrinsics: Tensor,
        hand_box: Tensor,
        frame_from_crop: Tensor,
        is_left: Tensor,
    ) -> dict[str, Tensor]:
        """The hand of every crop, by the names of OUTPUTS.

        images, intrinsics, hand_box, frame_from_crop, is_left: as CropView has them.
        returns: rotmats (B, 16, 3, 3), betas (B, 10), position (B, 3) m, vertices (B, 778, 3) m,
            joints (B, 21, 3) m, keypoints (B, 21, 2) crop px, camera (B, 3, 3) px; fp32.
        """
        view = CropView(images, intrinsics, hand_box, frame_from_crop, is_left)
        prediction = self.model.predict_hand(view)
        mesh = self.model.hand.place(prediction)
        said = (
            prediction.rotmats,
            prediction.betas,
            prediction.camera.position,
            mesh.vertices,
            mesh.joints,
            mesh.keypoints,
            prediction.camera.intrinsics.clone(),  # an output may not be an input
        )
        return dict(zip(OUTPUTS, said, strict=True))


def trace(model: HandMeshModel, view: CropView) -> torch.export.ExportedProgram:
    """The program of a model for any number of hands.

    view: crops to trace with, 2 or more. Raises CannotExport, which names the part.
    """
    crops = as_tensors(view.map(lambda tensor: tensor[:_TRACED].clone()))
    batch = torch.export.Dim("batch", min=1)
    shapes = {name: {0: batch} for name in INPUTS}
    try:
        with torch.no_grad(), _all_fp32(), _plain_trees(model):
            return torch.export.export(HandGraph(model), (), crops, dynamic_shapes=shapes)
    except Exception as error:  # torch raises a different class for everything it cannot trace
        reason = str(error).strip().splitlines()[0][:200]
        raise CannotExport(
            f"{_parts(model)} cannot be exported as a graph for any number of hands ({reason}); "
            f"--to safetensors exports the weights of any model."
        ) from error


def as_tensors(view: CropView) -> dict[str, Tensor]:
    """The fields of a view by the names of INPUTS."""
    return {name: getattr(view, name) for name in INPUTS}


def _parts(model: HandMeshModel) -> str:
    parts = {"backbone": model.backbone, "neck": model.neck, "head": model.head}
    named = (f"{name} {type(part).__name__}" for name, part in parts.items() if part is not None)
    return f"A model of {', '.join(named)}"


@contextlib.contextmanager
def _all_fp32() -> Iterator[None]:
    # The model is in fp32, so each of its autocast regions is off and changes nothing; a program
    # that holds them can be saved, but not loaded.
    original = torch.autocast
    torch.autocast = lambda *_args, **_options: contextlib.nullcontext()
    try:
        yield
    finally:
        torch.autocast = original


@contextlib.contextmanager
def _plain_trees(model: HandMeshModel) -> Iterator[None]:
    # smplx walks its kinematic tree by a tensor's values, which no graph knows beforehand. Heads
    # that measure their own hand hold one too.
    hands = {module for module in model.modules() if isinstance(module, ManoLayer)}
    trees = {hand: hand.skinning.parents for hand in hands}
    for hand, parents in trees.items():
        del hand.skinning.parents
        hand.skinning.parents = parents.cpu().numpy()
    try:
        yield
    finally:
        for hand, parents in trees.items():
            del hand.skinning.parents
            hand.skinning.register_buffer("parents", parents, persistent=False)
