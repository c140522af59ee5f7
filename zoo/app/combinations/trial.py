"""Two training steps of a combination, or the sentence that refuses it; there is nothing else."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import Tensor

from registry.build import IncompatibleParts, build_hand
from registry.whole import build_model
from zoo.app.parts.example_hands import posed_hands
from zoo.app.training import precision as _register_wrapper  # noqa: F401
from zoo.contracts import NUM_BETAS, NUM_JOINTS, NUM_ROTATIONS, FrameBatch, HandMesh, Prediction
from zoo.model import HandMeshModel

_HANDS, _FRAMES = 2, 2
STEPS = 2


class NeitherTrainsNorRefused(RuntimeError):
    """A combination that was built, but does not train as it should."""


@dataclass(frozen=True)
class Outcome:
    """What became of a combination."""

    refusal: str = ""  # the sentence of IncompatibleParts; "" where it trains
    between: tuple[str, ...] = ()  # config paths of the parts that refuse each other
    losses: tuple[float, ...] = field(default=())  # of the steps

    @property
    def trains(self) -> bool:
        return not self.refusal


def try_out(config: Mapping[str, Any]) -> Outcome:
    """Builds the model of a config and takes two steps with it.

    Raises NeitherTrainsNorRefused for a loss that is not finite, a trainable parameter that no
    gradient ever reaches, or a shape that breaks the contract.
    """
    try:
        model = build_model(config)
    except IncompatibleParts as error:
        return Outcome(refusal=str(error), between=error.between)
    recipe = {"type": "CheckedOptimWrapper", **copy.deepcopy(config["optim_wrapper"])}
    MMLogger.get_current_instance().setLevel("ERROR")  # a line for every parameter otherwise
    optim_wrapper = build_optim_wrapper(model, recipe)
    clips = _FRAMES if model.temporal is not None else None
    batch = hands_for(config["model"]["hand"]["asset"], clips)
    model.train()
    reached: dict[str, bool] = {}
    losses = [_step(model, optim_wrapper, batch, reached) for _ in range(STEPS)]
    missed = [name for name, got in reached.items() if not got]
    if missed:
        raise NeitherTrainsNorRefused(
            f"No gradient reached {', '.join(missed[:5])} ({len(missed)} parameters)."
        )
    return Outcome(losses=tuple(losses))


@cache
def hands_for(asset: str, frames: int | None, count: int = _HANDS) -> FrameBatch:
    """The pictures every trial sees: so many hands, or clips of them."""
    hand = build_hand({"model": {"hand": {"asset": asset}}})
    return posed_hands(hand, count * (frames or 1), seed=0, frames=frames)


def _step(
    model: HandMeshModel, optim_wrapper: OptimWrapper, batch: FrameBatch, reached: dict[str, bool]
) -> float:
    data = model.data_preprocessor(batch, training=True)
    prediction = model.predict_hand(data["inputs"])
    check_shapes(prediction, model.hand.place(prediction), _HANDS)
    target = model.hand.place_target(data["data_samples"])
    total, _ = model.parse_losses(model.loss_terms(prediction, target))
    if not torch.isfinite(total):
        raise NeitherTrainsNorRefused(f"The loss is {float(total.detach())}.")
    optim_wrapper.backward(total)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            reached[name] = reached.get(name, False) or _arrived(name, parameter.grad)
    optim_wrapper.step()
    optim_wrapper.zero_grad()
    return float(total.detach())


def _arrived(name: str, gradient: Tensor | None) -> bool:
    if gradient is None:
        return False
    if not torch.isfinite(gradient).all():
        raise NeitherTrainsNorRefused(f"The gradient of {name} is not finite.")
    return True


def check_shapes(prediction: Prediction, mesh: HandMesh, count: int) -> None:
    """Raises where a prediction or its surface does not have the contract's shapes."""
    wanted = {
        "rotmats": (prediction.rotmats, (count, NUM_ROTATIONS, 3, 3)),
        "betas": (prediction.betas, (count, NUM_BETAS)),
        "camera.position": (prediction.camera.position, (count, 3)),
        "camera.intrinsics": (prediction.camera.intrinsics, (count, 3, 3)),
        "joints": (mesh.joints, (count, NUM_JOINTS, 3)),
        "keypoints": (mesh.keypoints, (count, NUM_JOINTS, 2)),
    }
    for name, (tensor, shape) in wanted.items():
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise NeitherTrainsNorRefused(
                f"{name} is {tuple(tensor.shape)} {tensor.dtype}, not {shape} float32."
            )
