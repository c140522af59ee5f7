"""The loss on the hand's surface, for labels whose mesh is known."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from zoo.contracts import HandMesh, HandTarget, Prediction
from zoo.losses.reduce import (
    NORMS,
    REDUCTIONS,
    UNITS_PER_METRE,
    Norm,
    Reduction,
    Unit,
    distance,
    in_float32,
    labelled,
    one_of,
    reduce_errors,
)


class VertexLoss(nn.Module):
    """The error of the vertices, after each hand's wrist is moved to the origin or in the camera.

    The labelled vertices are the model's own hand posed by the labelled parameters; the model
    fills them in. Raises ValueError when they are missing.
    frame: "wrist" compares pose and size only, "camera" position as well.
    unit: "m" or "mm", whichever the paper's weight was written for.
    """

    needs: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        weight: float,
        frame: Literal["wrist", "camera"] = "wrist",
        norm: Norm = "l1",
        unit: Unit = "m",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.frame = one_of("VertexLoss.frame", frame, ("wrist", "camera"))
        self.norm = one_of("VertexLoss.norm", norm, NORMS)
        self.unit = one_of("VertexLoss.unit", unit, tuple(UNITS_PER_METRE))
        self.reduction = one_of("VertexLoss.reduction", reduction, REDUCTIONS)

    @property
    def places_hand(self) -> bool:
        """Whether it pulls the hand to its place in the camera."""
        return self.frame == "camera"

    @property
    def needs_true_camera(self) -> bool:
        """Whether a hand before a virtual camera cannot be compared."""
        return self.frame == "camera"

    @in_float32
    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        if target.vertices is None or target.vertices_valid is None:
            raise ValueError(
                "VertexLoss found no labelled vertices; pass the labels through "
                "ManoLayer.place_target first, as the model does."
            )
        valid = target.vertices_valid * (target.joints_valid[:, 0] > 0)
        label = labelled(target.vertices, valid)
        predicted = mesh.vertices
        if self.frame == "wrist":
            label = label - labelled(target.joints[:, :1], valid)
            predicted = predicted - mesh.joints[:, :1]
        errors = distance((predicted - label) * UNITS_PER_METRE[self.unit], self.norm)
        return reduce_errors(errors, valid, self.reduction)
