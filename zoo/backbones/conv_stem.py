"""A convolutional start for vision transformers that are trained from scratch."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class ConvStem(nn.Module):
    """Patch tokens from a small residual network instead of one linear projection a patch.

    A 4x4 convolution with stride 4, one residual block there, then one block for each further
    halving down to `patch_size`. Convolutions early are Xiao et al., Early Convolutions Help
    Transformers See Better, NeurIPS 2021; the blocks are He et al., CVPR 2016. With batch norm a
    hand model learns from the first hundred steps on. In evaluation a token never depends on the
    other pictures of a batch.
    """

    def __init__(self, *, dim: int, patch_size: int, num_patches: int) -> None:
        super().__init__()
        halvings = patch_size.bit_length() - 1
        if patch_size != 1 << halvings or halvings < 2:
            raise ValueError(
                f"A convolutional stem halves the picture again and again, so patch_size is 4, 8, "
                f"16 or 32, not {patch_size}; set config.patch_size or stem='linear'."
            )
        # What the transformer asks of its patch embedding when it interpolates positions.
        self.patch_size, self.num_patches = (patch_size, patch_size), num_patches
        widths = [_round_up(dim >> (halvings - i)) for i in range(2, halvings + 1)]
        widths[-1] = dim
        first = max(16, _round_up(widths[0] * 2 // 3))
        self.first = nn.Sequential(
            nn.Conv2d(3, first, 4, stride=4, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        blocks = [ResidualBlock(first, widths[0], stride=1)]
        blocks += [ResidualBlock(before, after, stride=2) for before, after in pairwise(widths)]
        self.blocks = nn.Sequential(*blocks)
        # On a CPU this layout makes the convolutions several times faster.
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens in row-major order.

        images: (B, 3, H, W), normalised.
        returns: (B, H / patch_size * W / patch_size, dim).
        """
        features = self.first(images.contiguous(memory_format=torch.channels_last))
        return rearrange(self.blocks(features), "b d row column -> b (row column) d")


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__()
        self.shortcut = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        return F.relu(self.shortcut(features) + self.body(features))


def wave_positions(rows: int, columns: int, dim: int) -> Tensor:
    """Sines and cosines of a token's row and column, of size one, as a first position table.

    Positions a hundredth of that size, as transformers usually start, tell a model from scratch
    nothing about where a feature lies until it has learned to look. Source: Vaswani et al.,
    NeurIPS 2017, in two dimensions; the longest wave is 100 tokens.

    returns: (rows * columns, dim), row-major.
    """
    frequencies = 100.0 ** -torch.linspace(0, 1, dim // 4)
    waves = []
    for count, shape in ((rows, (rows, 1)), (columns, (1, columns))):
        phase = torch.arange(count).float()[:, None] * frequencies
        wave = torch.cat((phase.sin(), phase.cos()), dim=-1)
        waves.append(wave.view(*shape, -1).expand(rows, columns, -1))
    table = torch.cat(waves, dim=-1).flatten(0, 1)
    return F.pad(table, (0, dim - table.shape[-1]))


def _round_up(width: int, step: int = 16) -> int:
    # Vector units work on 16 channels at a time: 12 of them cost more than 16.
    return -(-width // step) * step
