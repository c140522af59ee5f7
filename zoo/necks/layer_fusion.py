"""Makes one set of tokens of several layers' tokens, as the first CS-ViT2 configs did."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from zoo.contracts import CropView, Neck


class LayerFusion(nn.Module):
    """Tokens that hold what several layers of the backbone say of their place (CS-ViT2).

    Each level is brought to `width` channels; the levels' channels side by side become tokens of
    the old width again, the patches by a 3 x 3 convolution, so that neighbours are seen too. What
    comes out replaces the last layer and is nowhere negative. For backbones with `levels`, whose
    tokens arrive level after level.

    num_levels, token_grid, num_prefix_tokens: of the backbone. Without a CLS token only patches
        are fused.
    then: a neck that sees the fused tokens, `ray_attention` or `ray_bias`.

    Raises ValueError for a backbone with one level, or with register tokens.
    """

    bf16_safe: ClassVar[bool] = True
    tiny: ClassVar[dict[str, Any]] = {"width": 32}

    def __init__(
        self,
        *,
        token_dim: int,
        num_levels: int,
        token_grid: tuple[int, int],
        num_prefix_tokens: int,
        width: int = 64,
        then: Neck | None = None,
    ) -> None:
        super().__init__()
        if num_levels < 2 or num_prefix_tokens > 1:
            raise ValueError(
                f"LayerFusion found {num_levels} level(s) of tokens with {num_prefix_tokens} prefix"
                " tokens; it needs two levels or more (model.backbone.levels=(2, 6, 10)) and no "
                "register tokens (drop_registers=True)."
            )
        self.num_levels, self.token_grid = num_levels, tuple(token_grid)
        self.has_cls = num_prefix_tokens == 1
        if self.has_cls:
            self.projection_cls = nn.ModuleList(_dense(token_dim, width) for _ in range(num_levels))
            self.fusion_cls = _dense(num_levels * width, token_dim)
        self.projections_map = nn.ModuleList(
            _convolved(token_dim, width, kernel=1) for _ in range(num_levels)
        )
        self.fusion_conv = _convolved(num_levels * width, token_dim, kernel=3)
        self.then = then

    def forward(self, tokens: Tensor, view: CropView) -> Tensor:
        """The fused tokens, told what `then` tells them.

        tokens: (B, num_levels * N, C), level after level.
        returns: (B, N, C).
        """
        levels = rearrange(tokens, "b (level n) d -> level b n d", level=self.num_levels)
        rows = self.token_grid[0]
        maps = [
            project(rearrange(level[:, self.has_cls :], "b (row col) d -> b d row col", row=rows))
            for project, level in zip(self.projections_map, levels, strict=True)
        ]
        fused = self.fusion_conv(torch.cat(maps, dim=1))
        fused = rearrange(fused, "b d row col -> b (row col) d")
        if self.has_cls:
            summaries = [
                project(level[:, 0])
                for project, level in zip(self.projection_cls, levels, strict=True)
            ]
            cls = self.fusion_cls(torch.cat(summaries, dim=-1))
            fused = torch.cat((cls[:, None], fused), dim=1)
        return fused if self.then is None else self.then(fused, view)

    def set_dropout(self, p: float) -> None:
        """The dropout probability of `then` from now on, where it has one."""
        if hasattr(self.then, "set_dropout"):
            self.then.set_dropout(p)


def _dense(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())


def _convolved(before: int, after: int, *, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())
