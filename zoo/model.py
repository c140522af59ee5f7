"""The whole model on one screen: parts arrive built, and here is where bf16 ends."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from zoo.contracts import (
    Backbone,
    ClipView,
    CropView,
    EncodedClips,
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
_IN_ORDER = ("backbone", "neck", "head")
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

    `frozen` names parts that stay as they are ("backbone", "neck", "head"): no gradients, always
    in evaluation mode, and under no-grad up to the first part that learns. A frozen head still
    passes gradients from its answer to the refined query.
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
        frozen: Sequence[str] = (),
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
        if unknown := set(frozen) - set(_IN_ORDER):
            raise ValueError(f"model.frozen names backbone, neck or head, not {sorted(unknown)}")
        self.frozen = tuple(frozen)
        for part in self._frozen_parts():
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the frozen parts."""
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
        return self

    def forward(
        self,
        inputs: CropView | ClipView | EncodedClips,
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

    def predict_hand(self, inputs: CropView | ClipView | EncodedClips) -> Prediction:
        """The hand of every crop, or of every clip's last frame."""
        if isinstance(inputs, EncodedClips):
            token = self._refined(inputs.tokens, inputs.times)
            query = HandQuery(token=token, estimates=inputs.estimates)
            return self._fp32(self.head.read, query, inputs.view)
        view = inputs.frames if isinstance(inputs, ClipView) else inputs
        query = self.queries(view)
        if isinstance(inputs, ClipView):
            query, view = self._last_frame(query, inputs)
        return self._fp32(self.head.read, query, view)

    def queries(self, view: CropView) -> HandQuery:
        """What the head knows of every crop before it reads it out; all of Stage 1 but that."""
        with self._until("backbone"), self.autocast(view.images.device):
            see = getattr(self.backbone, "see", None)  # a backbone that reads more than colour
            tokens = self.backbone(view.images) if see is None else see(view)
        if self.neck is not None:
            with self._until("neck"):
                tokens = self._run(self.neck, tokens, view)
        with self._until("head"):
            return self._run(self.head.query, tokens, view, owner=self.head)

    def loss_terms(self, prediction: Prediction, target: HandTarget) -> dict[str, Tensor]:
        """Weighted terms `loss_<name>`; their sum is what is minimised.

        Raises ValueError where answers and labels are not of the same hands: of one clip, labels
        of all frames would broadcast in silence.
        """
        if prediction.rotmats.shape != target.rotmats.shape:
            raise ValueError(
                f"losses got rotations of shape {tuple(prediction.rotmats.shape)} and labels of "
                f"{tuple(target.rotmats.shape)}; give labels of as many hands as are answered "
                f"(of a clip, the last frame's)."
            )
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

    def _until(self, name: str) -> torch.autograd.grad_mode.set_grad_enabled:
        """Gradients are off as long as this part and all before it are frozen."""
        before = _IN_ORDER[: _IN_ORDER.index(name) + 1]
        still = all(part in self.frozen or getattr(self, part) is None for part in before)
        return torch.set_grad_enabled(torch.is_grad_enabled() and not still)

    def _frozen_parts(self) -> Iterator[nn.Module]:
        return (part for name in self.frozen if (part := getattr(self, name)) is not None)

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
        rows = clip.rows
        if rows is None:
            rows = torch.arange(clip.times.numel(), device=clip.times.device).view_as(clip.times)
        latest = clip.times.sort(dim=1, stable=True).indices[:, -1:]
        last = rows.gather(1, latest)[:, 0]
        token = self._refined(query.token[rows], clip.times)
        view = clip.frames.map(lambda tensor: tensor[last])
        return dataclasses.replace(query.map(lambda tensor: tensor[last]), token=token), view

    def _refined(self, tokens: Tensor, times: Tensor) -> Tensor:
        if self.temporal is None:
            latest = times.sort(dim=1, stable=True).indices[:, -1]
            return tokens[torch.arange(len(tokens), device=tokens.device), latest]
        with torch.autocast(tokens.device.type, enabled=False):
            return self.temporal(tokens.float(), times)


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
