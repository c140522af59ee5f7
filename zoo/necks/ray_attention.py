"""Tells tokens where the crop sits in the camera's view, as CS-ViT2's `ca` embedder does."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.contracts import CropView
from zoo.layers.decoder import TransformerDecoder
from zoo.necks.rays import ray_grid


class RayAttention(nn.Module):
    """Tokens that have looked at the viewing rays of their crop (CS-ViT2, cross-attention).

    A grid of `num_samples` x `num_samples` rays over the crop is the context of a decoder whose
    queries are the tokens; what it says is added through a zero-initialised linear layer, so a
    fresh neck is the identity. All tokens take part, prefix tokens too: `num_tokens` is the
    backbone's patches plus its prefix.

    uv: the context also holds each ray's place in the crop; without it two rays of different
    crops are told apart by direction alone (CS-ViT2 before 2026-01-13).
    """

    bf16_safe: ClassVar[bool] = True  # the rays themselves stay fp32
    tiny: ClassVar[dict[str, Any]] = {"num_heads": 4, "head_dim": 32}

    def __init__(
        self,
        *,
        token_dim: int,
        num_tokens: int,
        num_samples: int = 8,
        uv: bool = True,
        depth: int = 1,
        num_heads: int = 8,
        head_dim: int = 64,
        mlp_ratio: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_samples, self.uv = num_samples, uv
        self.net = TransformerDecoder(
            token_dim=token_dim,
            num_tokens=num_tokens,
            context_dim=4 if uv else 2,
            dim=token_dim,
            depth=depth,
            num_heads=num_heads,
            head_dim=head_dim,
            mlp_dim=mlp_ratio * token_dim,
            dropout=dropout,
            exact_context=True,
        )
        self.zero_linear = nn.Linear(token_dim, token_dim, bias=False)
        nn.init.zeros_(self.zero_linear.weight)

    def forward(self, tokens: Tensor, view: CropView) -> Tensor:
        """The tokens, told about the camera of the crop.

        tokens: (B, N, C), N = num_tokens.
        returns: (B, N, C).
        """
        return tokens + self.zero_linear(self.net(tokens, self.context(view)))

    def context(self, view: CropView) -> Tensor:
        """The rays the tokens look at, x first: sample (i, j) is row i * num_samples + j.

        returns: (B, num_samples^2, 4 or 2) x and y of the unit ray, then its place in the crop
        as fractions of its width and height; fp32.
        """
        ray, place = ray_grid(view, self.num_samples)
        return torch.cat((ray, place.expand(ray.shape[0], -1, -1)), dim=-1) if self.uv else ray

    def set_dropout(self, p: float) -> None:
        """The decoder's dropout probability from now on."""
        self.net.set_dropout(p)
