"""A small convolutional start for vision transformers that are trained from scratch."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class ConvStem(nn.Module):
    """Patch tokens from stride-2 convolutions instead of one linear projection a patch.

    Each of log2(patch_size) layers halves the picture (3x3 convolution, norm, GELU) and doubles
    the channels up to half of `dim`; a 1x1 convolution follows. Source: Xiao et al., Early
    Convolutions Help Transformers See Better, NeurIPS 2021, with a group norm of one group in
    place of batch norm, so that a token never depends on the other pictures of a batch.
    """

    def __init__(self, *, dim: int, patch_size: int, num_patches: int) -> None:
        super().__init__()
        halvings = patch_size.bit_length() - 1
        if patch_size != 1 << halvings or halvings < 1:
            raise ValueError(
                f"A convolutional stem halves the picture again and again, so patch_size is 2, 4, "
                f"8, 16 or 32, not {patch_size}; set config.patch_size or stem='linear'."
            )
        # What the transformer asks of its patch embedding when it interpolates positions.
        self.patch_size, self.num_patches = (patch_size, patch_size), num_patches
        widths = [3, *(_round_up(dim >> (halvings - i)) for i in range(halvings))]
        layers = [
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(1, after),
                nn.GELU(),
            )
            for before, after in pairwise(widths)
        ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], dim, 1))
        # On a CPU this layout makes the convolutions several times faster.
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens in row-major order.

        images: (B, 3, H, W), normalised.
        returns: (B, H / patch_size * W / patch_size, dim).
        """
        features = self.layers(images.contiguous(memory_format=torch.channels_last))
        return features.flatten(2).transpose(1, 2)


def _round_up(width: int, step: int = 16) -> int:
    # Vector units work on 16 channels at a time: 12 of them cost more than 16.
    return -(-width // step) * step
