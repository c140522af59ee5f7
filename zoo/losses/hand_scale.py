"""Whose length makes metres of a distance in hand lengths: the predicted hand's or the label's."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.mano.hand_length import at_length, known_length

HandScale = Literal["predicted", "label"]

# What a head has to provide for either; only one that counts hand lengths can be placed anew.
HAND_SCALES: dict[str, frozenset[str]] = {
    "predicted": frozenset(),
    "label": frozenset({"wrist_in_hands"}),
}


def as_placed_by(
    scale: HandScale, prediction: Prediction, mesh: HandMesh, target: HandTarget
) -> tuple[HandMesh, Tensor]:
    """The mesh as the given hand's length places it, and (B,) where that length is known."""
    if scale == "predicted":
        return mesh, torch.ones_like(target.has_mano)
    length, known = known_length(target.joints, target.joints_valid)
    return at_length(mesh, prediction.camera.position, length), known.to(target.has_mano.dtype)
