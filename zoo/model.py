"""The whole model on one screen: parts arrive built, and here is where bf16 ends."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from zoo.contracts import (
    Backbone,
    ClipView,
    CropView,
    HandMesh,
    HandQuery,
    HandTarget,
    Head,
    LossTerm,
    Neck,
    Prediction,
    Temporal,
)
from zoo.mano.layer import ManoLayer

Precision = Literal["fp32", "bf16", "fp16"]
_LOW_PRECISION = {"bf16": torch.bfloat16, "fp16": torch.float16}


class HandMeshModel(BaseModel):
    """A hand from a crop: backbone, neck, head, [temporal], MANO, losses.

    The backbone runs in `precision`; a neck or head joins it only when it declares
    `bf16_safe = True`. Read-outs, MANO, projection and losses are always fp32: bf16 there was
    measured to cost 1.3 px and 0.2-1.1 mm.

    `supervise_earlier` adds the losses of the earlier IEF steps with that weight each; 0 trains
    the last step alone, as both HaMeR and CS-ViT2 do. With `detach_betas` the posed hand that
    losses see passes no gradient to the shape, so only a loss on betas trains it (CS-ViT2):
    otherwise a model that does not know the orientation yet shrinks the hand to a point.
    """

    def __init__(
        self,
        *,
        hand: ManoLayer,
        backbone: Backbone,
        head: Head,
        neck: Neck | None = None,
        temporal: Temporal | None = None,
        losses: Mapping[str, LossTerm] | None = None,
        precision: Precision = "bf16",
        supervise_earlier: float = 0.0,
        detach_betas: bool = False,
        data_preprocessor: nn.Module | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if precision not in ("fp32", *_LOW_PRECISION):
            raise ValueError(f"model.precision is 'fp32', 'bf16' or 'fp16', not {precision!r}")
        self.hand, self.backbone, self.neck, self.head = hand, backbone, neck, head
        self.temporal = temporal
        self.losses = nn.ModuleDict(losses or {})
        self.precision = precision
        self.supervise_earlier, self.detach_betas = supervise_earlier, detach_betas

    def forward(
        self,
        inputs: CropView | ClipView,
        data_samples: HandTarget | None = None,
        mode: str = "tensor",
    ) -> Prediction | dict[str, Tensor] | list[dict[str, Any]]:
        """Prediction ("tensor"), weighted loss terms ("loss") or one record a hand ("predict")."""
        prediction = self.predict_hand(inputs)
        if mode == "tensor":
            return prediction
        if mode == "loss":
            return self.loss_terms(prediction, self.hand.place_target(data_samples))
        if mode == "predict":
            target = None if data_samples is None else self.hand.place_target(data_samples)
            return list(records(prediction, self.hand.place(prediction), target))
        raise ValueError(f"mode is 'tensor', 'loss' or 'predict', not {mode!r}")

    def predict_hand(self, inputs: CropView | ClipView) -> Prediction:
        """The hand of every crop, or of every clip's last frame."""
        view = inputs.frames if isinstance(inputs, ClipView) else inputs
        with self.autocast(view.images.device):
            tokens = self.backbone(view.images)
        if self.neck is not None:
            tokens = self._run(self.neck, tokens, view)
        query = self._run(self.head.query, tokens, view, owner=self.head)
        if isinstance(inputs, ClipView):
            query, view = self._last_frame(query, inputs)
        return self._fp32(self.head.read, query, view)

    def loss_terms(self, prediction: Prediction, target: HandTarget) -> dict[str, Tensor]:
        """Weighted terms `loss_<name>`; their sum is what is minimised."""
        terms = {
            f"loss_{name}": value for name, value in self._weighted(prediction, target).items()
        }
        if self.supervise_earlier and prediction.earlier:
            terms["loss_earlier"] = self.supervise_earlier * sum(
                sum(self._weighted(step, target).values()) for step in prediction.earlier
            )
        return terms

    def _weighted(self, prediction: Prediction, target: HandTarget) -> dict[str, Tensor]:
        placed = prediction
        if self.detach_betas:
            placed = dataclasses.replace(prediction, betas=prediction.betas.detach())
        mesh = self.hand.place(placed)
        return {
            name: term.weight * term(prediction, mesh, target) for name, term in self.losses.items()
        }

    def autocast(self, device: torch.device) -> torch.autocast:
        """The low-precision region; nothing with a unit may be inside."""
        dtype = _LOW_PRECISION.get(self.precision, torch.bfloat16)
        return torch.autocast(device.type, dtype, enabled=self.precision != "fp32")

    def _run(self, part, tokens: Tensor, view: CropView, owner: Any = None):
        if getattr(owner or part, "bf16_safe", False):
            with self.autocast(tokens.device):
                return part(tokens, view)
        return self._fp32(part, tokens.float(), view)

    @staticmethod
    def _fp32(part, first: Tensor | HandQuery, view: CropView):
        with torch.autocast(view.images.device.type, enabled=False):
            if isinstance(first, HandQuery):
                first = first.map(lambda tensor: tensor.float())
            return part(first, view)

    def _last_frame(self, query: HandQuery, clip: ClipView) -> tuple[HandQuery, CropView]:
        batch, frames = clip.times.shape

        def last(tensor: Tensor) -> Tensor:
            return tensor.unflatten(0, (batch, frames))[:, -1]

        token = query.token.unflatten(0, (batch, frames))
        refined = token[:, -1] if self.temporal is None else self.temporal(token, clip.times)
        return dataclasses.replace(query.map(last), token=refined), clip.frames.map(last)


def records(
    prediction: Prediction, mesh: HandMesh, target: HandTarget | None
) -> Iterator[dict[str, Any]]:
    """One dict of numpy arrays a hand: what metrics, reports and `predictions.npz` are made of."""
    said = {
        "vertices": mesh.vertices,
        "joints": mesh.joints,
        "keypoints": mesh.keypoints,
        "rotmats": prediction.rotmats,
        "betas": prediction.betas,
        "position": prediction.camera.position,
    }
    said = {name: _numpy(value) for name, value in said.items()}
    labelled = {}
    if target is not None:
        fields = ((f.name, getattr(target, f.name)) for f in dataclasses.fields(target))
        labelled = {name: _numpy(value) for name, value in fields if value is not None}
    for i in range(len(prediction)):
        record = {"prediction": {name: value[i] for name, value in said.items()}}
        if target is not None:
            record["target"] = {name: value[i] for name, value in labelled.items()}
        yield record


def _numpy(tensor: Tensor):
    return tensor.detach().cpu().numpy()
