"""A distance chosen among bins around what the size of the hand's box suggests."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.contracts import CropView
from zoo.heads.cameras.heatmap import Range

_MM_PER_M = 1000.0
_SMALLEST_BOX = 1.0  # px; a box without extent would stand infinitely far


class BoxGeometry(NamedTuple):
    """What the box of a hand says of its place before the picture is looked at."""

    depth: Tensor  # (B,) m, where a hand of known extent fills the box
    distance: Tensor  # (B,) m, the same along the ray through the box's centre
    shape: Tensor  # (B, 5) centre and sides over the focal length, log of width over height
    edge: Tensor  # (B,) px, the shorter side


def box_geometry(view: CropView, hand_extent: float) -> BoxGeometry:
    """The prior of CS-ViT2's multi-bin cameras: z = extent * sqrt(fx fy) / sqrt(w h).

    hand_extent: m, of a hand as its box shows it.
    """
    intrinsics, box = view.intrinsics.float(), view.hand_box.float()
    focal, center = intrinsics[:, (0, 1), (0, 1)], intrinsics[:, :2, 2]
    sides = (box[:, 2:] - box[:, :2]).clamp(min=_SMALLEST_BOX)
    slope = ((box[:, :2] + box[:, 2:]) / 2 - center) / focal
    depth = hand_extent * (focal.prod(-1) / sides.prod(-1)).sqrt()
    return BoxGeometry(
        depth=depth,
        distance=depth * (slope.square().sum(-1) + 1).sqrt(),
        shape=torch.cat((slope, sides / focal, (sides[:, :1] / sides[:, 1:]).log()), dim=-1),
        edge=sides.amin(-1),
    )


class DistanceBins(nn.Module):
    """ln(distance / prior) as one of `num_bins` bins and a place inside it (CS-ViT2 of 2026-03-30).

    The bin is an arg-max, so a loss on the distance itself reaches the chosen bin's residual
    alone; `zoo.losses.distance_bins` trains the choice.

    log_range: of ln(distance / prior); nothing outside it can be said.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_bins: int,
        log_range: Range,
        hidden_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        low, high = log_range
        if low >= high or num_bins < 2:
            raise ValueError(
                f"DistanceBins has {num_bins} bins from {low} to {high}; it needs two or more bins "
                "and a log_range that grows."
            )
        self.width = (high - low) / num_bins
        self.geom_proj = nn.Sequential(
            nn.Linear(6, hidden_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, hidden_dim),
            nn.GELU(),
        )
        self.fusion_norm = nn.LayerNorm(dim + hidden_dim)
        self.cls_head = nn.Linear(dim + hidden_dim, num_bins)
        self.res_head = nn.Linear(dim + hidden_dim, num_bins)
        centers = low + (torch.arange(num_bins) + 0.5) * self.width
        self.register_buffer("centers", centers, persistent=False)

    def forward(
        self, token: Tensor, prior: Tensor, shape: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The distance and what it was read from.

        token: (B, dim). prior: (B,) m. shape: (B, 5), see `BoxGeometry`.
        returns: (B,) m; logits (B, K), residuals (B, K) in bins from each bin's centre, log_prior
            (B,) ln of m, bin_centers (B, K).
        """
        # The published layers were trained on the logarithm of millimetres.
        geometry = torch.cat(((prior * _MM_PER_M).log()[:, None], shape), dim=-1)
        fused = self.fusion_norm(torch.cat((token, self.geom_proj(geometry)), dim=-1))
        logits, residuals = self.cls_head(fused), self.res_head(fused)
        chosen = logits.argmax(-1, keepdim=True)
        residual = residuals.gather(-1, chosen)[:, 0].clamp(-0.5, 0.5)
        log_ratio = self.centers[chosen[:, 0]] + residual * self.width
        aux = {
            "logits": logits,
            "residuals": residuals,
            "log_prior": prior.log(),
            "bin_centers": self.centers.expand_as(logits),
        }
        return prior * log_ratio.exp(), aux
