"""Chooses what a network sees of a picture: a camera that looks at one hand."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from zoo.augment.draws import normal
from zoo.contracts import ViewChange
from zoo.geometry.camera import box_of_points, square_box
from zoo.geometry.view import unchanged


class HandCrop:
    """The camera whose picture is the expanded square around a hand.

    The square from corner to corner becomes the crop from column 0 to column W, as in both
    ancestors' training. A crop that is not square shows the middle part of the square whose side
    is the longer one, undistorted (HaMeR's 256 x 192 is the middle of 256 x 256).

    Args:
        size: (H, W) px of the crop.
        expand: side of the square in longer sides of the hand box.
        box: "keypoints" measures the hand box in training around the valid keypoints as they are
            after all changes of view (CS-ViT2); "stored" carries the labelled box along (HaMeR).
            Outside training the stored box is always used.
        expand_jitter: training; the side varies by the factor 1 + expand_jitter * n, where n is
            standard normal, cut off at +-1 (HaMeR: 0.3).
        shift_jitter: training; the centre moves by shift_jitter * n sides per axis (HaMeR: 0.02).
        min_keypoints: with fewer valid keypoints the stored box is used.
        eval_aspect: (w, h); outside training the hand box is first widened to this shape
            (HaMeR: (192, 256)); None leaves it.
        blur: smoothing before shrinking, see `zoo.geometry.view.warp_to_crop`; None for none.
        eval_blur: the same outside training alone (HaMeR's demo: 0.5); None takes `blur`.
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
    ) -> None:
        if box not in ("keypoints", "stored"):
            raise ValueError(f"crop.box is 'keypoints' or 'stored', not {box!r}")
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"crop.size is (H, W) in whole pixels, not {size}")
        if expand <= 0 or not 0 <= expand_jitter < 1:
            raise ValueError(
                f"crop.expand is positive and crop.expand_jitter lies in [0, 1), "
                f"not {expand} and {expand_jitter}"
            )
        self.size = (int(size[0]), int(size[1]))
        self.expand, self.box = expand, box
        self.expand_jitter, self.shift_jitter = expand_jitter, shift_jitter
        self.min_keypoints, self.eval_aspect, self.blur = min_keypoints, eval_aspect, blur
        self.eval_blur = blur if eval_blur is None else eval_blur

    def hand_box(self, stored: Tensor, keypoints: Tensor, valid: Tensor) -> Tensor:
        """The box a training crop is measured from.

        stored: (B, 4) px.
        keypoints: (B, J, 2) px, after every change of view; valid: (B, J).
        returns: (B, 4) px.
        """
        if self.box == "stored":
            return stored
        enough = (valid > 0).sum(-1, keepdim=True) >= self.min_keypoints
        return torch.where(enough, box_of_points(keypoints, valid), stored)

    def __call__(
        self, intrinsics: Tensor, hand_box: Tensor, rng: Generator | None = None
    ) -> ViewChange:
        """The camera of each crop; it jitters only where a generator is given (training).

        intrinsics: (B, 3, 3) px.
        hand_box: (B, 4) px; an empty or broken box gives a crop one pixel wide, never an error.
        """
        box = torch.nan_to_num(hand_box, nan=0.0, posinf=0.0, neginf=0.0)
        if rng is None and self.eval_aspect is not None:
            box = _widened(box, self.eval_aspect)
        square = square_box(box, expand=self.expand)
        center = (square[:, :2] + square[:, 2:]) / 2
        side = (square[:, 2:] - square[:, :2]).amax(-1, keepdim=True)
        if rng is not None:
            shift = normal(rng, len(box), box, clip=1.0, dims=(2,))
            center = center + side * self.shift_jitter * shift
            grow = normal(rng, len(box), box, clip=1.0, dims=(1,))
            side = side * (1 + self.expand_jitter * grow)
        height, width = self.size
        scale = max(self.size) / side.clamp(min=1.0)
        offset = box.new_tensor((width / 2, height / 2)) - scale * center
        crop = torch.diag_embed(torch.cat((scale, scale, torch.ones_like(scale)), dim=-1))
        crop[:, :2, 2] = offset
        return ViewChange(unchanged(intrinsics).linear, crop @ intrinsics)


def _widened(box: Tensor, aspect: tuple[float, float]) -> Tensor:
    """The box grown about its centre to the ratio w : h."""
    half = (box[:, 2:] - box[:, :2]) / 2
    ratio = aspect[0] / aspect[1]
    width = torch.maximum(half[:, 0], half[:, 1] * ratio)
    half = torch.stack((width, width / ratio), dim=-1)
    center = (box[:, :2] + box[:, 2:]) / 2
    return torch.cat((center - half, center + half), dim=-1)
