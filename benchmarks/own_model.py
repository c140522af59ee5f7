"""A model that is not of the zoo, diagnosed like one: a few lines say what goes in and comes out.

    from benchmarks.own_model import hand_of, wrap

    def read(out, view):
        return hand_of(out["rotmats"], out["betas"], position=out["translation"], view=view)

    subject = wrap(MyModel, read=read, losses={"joints": joint_loss}, crop=(256, 256))

`zoo diagnose my_model.py` reads the name `subject` from such a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmarks.subject import FRAMES, Subject, rendered_frames
from registry.build import build_hand
from registry.whole import build_preprocess
from zoo.contracts import CameraPose, CropView, FrameBatch, HandMesh, HandTarget, Prediction
from zoo.mano.layer import ManoLayer

Read = Callable[[Any, CropView], Prediction]
Make = Callable[[], nn.Module]
MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]
Loss = Callable[[Prediction, HandMesh, HandTarget], Tensor]


class OwnTerm(nn.Module):
    """A user's loss function as one term; its weight is inside."""

    needs: ClassVar[frozenset[str]] = frozenset()
    weight = 1.0

    def __init__(self, function: Loss) -> None:
        super().__init__()
        self.function = function  # registered, if it is a module with parameters

    def forward(self, prediction: Prediction, mesh: HandMesh, target: HandTarget) -> Tensor:
        return self.function(prediction, mesh, target)


class OwnModel(nn.Module):
    """A user's module behind the face every probe knows."""

    def __init__(
        self,
        *,
        module: nn.Module,
        read: Read,
        losses: Mapping[str, Loss],
        hand: ManoLayer,
        data_preprocessor: nn.Module,
    ) -> None:
        super().__init__()
        self.module, self.hand, self.data_preprocessor = module, hand, data_preprocessor
        self.read = read
        self.losses = nn.ModuleDict({name: OwnTerm(term) for name, term in losses.items()})

    def predict_hand(self, inputs: CropView) -> Prediction:
        """What the module says of every crop, as the zoo says it.

        Raises ValueError where `read` gives something of another shape.
        """
        prediction = self.read(self.module(inputs.images), inputs)
        batch = len(inputs)
        expected = {
            "rotmats": (prediction.rotmats, (batch, 16, 3, 3)),
            "betas": (prediction.betas, (batch, 10)),
            "camera.position": (prediction.camera.position, (batch, 3)),
        }
        for name, (tensor, shape) in expected.items():
            if tuple(tensor.shape) != shape:
                raise ValueError(
                    f"read: {name} has the shape {tuple(tensor.shape)}; for {batch} crops it has "
                    f"to be {shape}."
                )
        return prediction

    def loss_terms(self, prediction: Prediction, target: HandTarget) -> dict[str, Tensor]:
        """The user's weighted terms by `loss_` and their name."""
        mesh = self.hand.place(prediction)
        return {f"loss_{n}": term(prediction, mesh, target) for n, term in self.losses.items()}


def wrap(
    make: Make,
    *,
    read: Read,
    losses: Mapping[str, Loss] | None = None,
    crop: tuple[int, int] = (256, 256),
    expand: float = 2.0,
    hand: str = "clayhand",
    optimizer: MakeOptimizer | None = None,
    frames: FrameBatch | None = None,
    weights: Mapping[str, Tensor] | None = None,
    name: str = "own model",
    seed: int = 0,
) -> Subject:
    """A subject for `zoo diagnose` from a user's own module.

    make: builds the module anew (a class serves): (B, 3, H, W) RGB in [0, 1] -> anything.
    read: turns what the module returned for some crops into a Prediction; see `hand_of`.
    losses: by name, functions of prediction, placed hand and target that give a weighted scalar.
    crop: (H, W) px of the crops the module wants. expand: box sides in hand sizes.
    hand: "clayhand", or the path of a MANO file.
    optimizer: of the training recipe; None is AdamW at 1e-4.
    frames: labelled hands; None renders some. weights: a trained state dict of the module.
    """
    recipe = _recipe(hand, crop, expand)

    def build() -> OwnModel:
        torch.manual_seed(seed)
        return OwnModel(
            module=make(),
            read=read,
            losses=losses or {},
            hand=build_hand(recipe),
            data_preprocessor=build_preprocess(recipe, image_size=crop, seed=seed),
        )

    model = build().eval()
    if weights is not None:
        model.module.load_state_dict(weights)
    return Subject(
        name=name,
        config=None,
        model=model,
        frames=frames or rendered_frames(FRAMES, seed=seed),
        synthetic=frames is None,
        seed=seed,
        make_model=build,
        make_optimizer=optimizer or _adamw,
    )


def hand_of(
    rotmats: Tensor,
    betas: Tensor,
    *,
    position: Tensor,
    view: CropView,
    anchor: str = "wrist",
    intrinsics: Tensor | None = None,
) -> Prediction:
    """A prediction from plain tensors.

    rotmats: (B, 16, 3, 3) absolute, the wrist first. betas: (B, 10).
    position: (B, 3) m, where the anchor ("wrist" or "mano_origin") stands in the camera.
    intrinsics: (B, 3, 3) px of the camera the module reasons in; None is the crop's own.
    """
    camera = view.intrinsics if intrinsics is None else intrinsics
    return Prediction(rotmats, betas, CameraPose(position, anchor, camera))


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-4)


def _recipe(hand: str, crop: tuple[int, int], expand: float) -> dict[str, Any]:
    """The part of a config that is the zoo's business: the hand and the crop."""
    crop_part = {"type": "hand", "size": crop, "expand": expand}
    return {"model": {"hand": {"asset": hand}}, "augmentation": {"crop": crop_part}}
