"""A crop whose hand is moved aside by millimetres, as loaders of depth pictures augment."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from zoo.augment.crop import HandCrop
from zoo.augment.draws import chosen, require_fraction, uniform
from zoo.contracts import ViewChange
from zoo.geometry.camera import project, unproject

_MM = 1000.0
_CHOICES = ("as_released", "corrected")


class MovedHandCrop(HandCrop):
    """HandCrop whose centre is moved in space, by as much at any distance of the hand.

    The centre of the hand box is taken to the hand's distance, moved, and seen again. How far the
    hand stands is not labelled everywhere and is told from its box: `hand_side` m seen that large.
    Source: UTNet's loaders, which have it from those of networks on depth pictures.

    Args:
        shift: m; each axis of the centre moves by up to this much, in training.
        probability: share of the hands whose centre is moved.
        hand_side: m, of the square the hand box is taken for.
        moving: "as_released" takes the moved centre to space once more where it should be seen by
            the camera: millimetres are then taken for pixels, and such a crop shows no hand.

    The others are those of HandCrop.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int],
        expand: float = 2.0,
        box: Literal["keypoints", "stored"] = "keypoints",
        expand_jitter: float = 0.0,
        shift_jitter: float = 0.0,
        min_keypoints: int = 3,
        eval_aspect: tuple[float, float] | None = None,
        blur: float | None = None,
        eval_blur: float | None = None,
        shift: float = 0.01,
        probability: float = 0.25,
        hand_side: float = 0.15,
        moving: Literal["as_released", "corrected"] = "corrected",
    ) -> None:
        same = {"size": size, "expand": expand, "box": box, "min_keypoints": min_keypoints}
        same |= {"expand_jitter": expand_jitter, "shift_jitter": shift_jitter}
        super().__init__(eval_aspect=eval_aspect, blur=blur, eval_blur=eval_blur, **same)
        if moving not in _CHOICES:
            raise ValueError(f"moved_hand.moving is {moving!r}; it can be {' or '.join(_CHOICES)}.")
        if shift < 0 or hand_side <= 0:
            raise ValueError(
                f"moved_hand.shift is not negative and moved_hand.hand_side positive, not {shift} "
                f"and {hand_side}"
            )
        self.shift, self.hand_side, self.twice = shift, hand_side, moving == "as_released"
        self.probability = require_fraction("moved_hand.probability", probability)

    def __call__(
        self, intrinsics: Tensor, hand_box: Tensor, rng: Generator | None = None
    ) -> ViewChange:
        """The camera of each crop; centres move only where a generator is given (training).

        intrinsics: (B, 3, 3) px.
        hand_box: (B, 4) px; an empty or broken box is not moved.
        """
        if rng is not None:
            hand_box = hand_box + self._moved(intrinsics, hand_box, rng).repeat(1, 2)
        return super().__call__(intrinsics, hand_box, rng)

    def _moved(self, intrinsics: Tensor, hand_box: Tensor, rng: Generator) -> Tensor:
        """(B, 2) px by which each box moves."""
        count = len(hand_box)
        axes = [uniform(rng, count, -1, 1, hand_box) for _ in range(3)]
        offset = self.shift * torch.stack(axes, dim=-1)
        side = (hand_box[:, 2:] - hand_box[:, :2]).amax(-1)
        center = (hand_box[:, :2] + hand_box[:, 2:]) / 2
        distance = self.hand_side * intrinsics[:, 0, 0] / side
        place = unproject(center[:, None], distance[:, None], intrinsics) + offset[:, None]
        seen = self._seen(place, intrinsics)[:, 0]
        moved = torch.zeros(count, dtype=torch.bool)
        moved[chosen(rng, count, self.probability)] = True
        whole = (side > 1) & seen.isfinite().all(-1) & moved.to(side.device)
        return torch.where(whole[:, None], seen - center, torch.zeros_like(center))

    def _seen(self, place: Tensor, intrinsics: Tensor) -> Tensor:
        if not self.twice:
            return project(place, intrinsics)
        millimetres = _MM * place
        return unproject(millimetres[..., :2], millimetres[..., 2], intrinsics)[..., :2]
