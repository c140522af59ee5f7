"""Depth as UTNet reads it: within a cube around the hand, which is found without any label."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn


class DepthEmbed(nn.Module):
    """One linear projection of every patch of a depth crop, normalised, without positions."""

    def __init__(self, *, dim: int, patch: int) -> None:
        """dim: of a token. patch: px of a side."""
        super().__init__()
        self.proj = nn.Conv2d(1, dim, patch, stride=patch)
        self.norm = nn.LayerNorm(dim)

    def forward(self, depth: Tensor) -> Tensor:
        """depth: (B, H, W) in [-1, 1]; returns (B, rows * columns, dim)."""
        tokens = rearrange(self.proj(depth[:, None]), "b d row column -> b (row column) d")
        return self.norm(tokens)


def in_cube(depth: Tensor, hand_box: Tensor, *, side: float) -> tuple[Tensor, Tensor]:
    """Depth in half sides from the middle of the hand, and which hands have any.

    The middle is the median of what is known in the inner half of the hand box, or in all of the
    box where nothing is known there. What is nearer than the cube is -1; what is farther, and what
    is unknown, is 1, the far plane.

    depth: (B, H, W) m, 0 where unknown.
    hand_box: (B, 4) px, x0 y0 x1 y1.
    side: m, of the cube.
    returns: (B, H, W) in [-1, 1]; (B,) bool, false where nothing is known in the box.
    """
    center, half = (hand_box[:, :2] + hand_box[:, 2:]) / 2, (hand_box[:, 2:] - hand_box[:, :2]) / 2
    inner, all_of_it = (_median_within(depth, center, half * share) for share in (0.5, 1.0))
    middle = torch.where(inner.isnan(), all_of_it, inner)
    known = ~middle.isnan()
    numbers = (depth - middle.nan_to_num()[:, None, None]) / (side / 2)
    beyond = (depth <= 0) | ~known[:, None, None]
    return torch.where(beyond, 1.0, numbers.clamp(-1, 1)), known


def _median_within(depth: Tensor, center: Tensor, half: Tensor) -> Tensor:
    """(B,) m, the median of what is known in a box; NaN where nothing is."""
    ys, xs = (torch.arange(n, device=depth.device) for n in depth.shape[-2:])
    beside = ((xs - center[:, :1]).abs() <= half[:, :1])[:, None]
    level = ((ys - center[:, 1:]).abs() <= half[:, 1:])[:, :, None]
    inside = torch.where(beside & level & (depth > 0), depth, torch.nan)
    return inside.flatten(1).nanmedian(dim=1).values
