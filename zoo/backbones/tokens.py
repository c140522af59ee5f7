"""What every vision transformer here does alike, so that each file holds only what is its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from zoo.backbones.load_report import LoadReport

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class TokenBackbone(nn.Module):
    """A backbone that checks its pictures, normalises them, and cuts the tokens it gives.

    A part of this kind builds its network, calls `_finish`, and says in `encode` how pictures
    become tokens. With several `levels` (hidden states of a transformer, 0 the embeddings) the
    tokens of one level follow those of the level before, (B, levels * N, C): each token keeps its
    width, so that every neck and head can look at all of them; `layer_fusion` makes one of them.
    """

    # Every level's tokens, special tokens first: (B, specials + rows * columns, C) each.
    encode: Callable[[Tensor], Sequence[Tensor]]
    load_report: LoadReport | None = None
    num_levels: int = 1

    def _finish(
        self,
        *,
        image_size: tuple[int, int],
        stride: int,
        token_dim: int,
        kept: Sequence[bool] = (),
        frozen: bool,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        """Records what the backbone gives, and freezes it where asked.

        stride: px from one patch token to the next.
        kept: one a special token, whether it is handed on.
        """
        name = type(self).__name__
        if any(side < stride or side % stride for side in image_size):
            raise ValueError(
                f"{name}'s image_size {image_size} is no multiple of its {stride} px patches; the "
                f"nearest is {tuple(max(1, round(s / stride)) * stride for s in image_size)}."
            )
        self.image_size, self.token_dim = image_size, token_dim
        self.token_grid = (image_size[0] // stride, image_size[1] // stride)
        self._kept, self.num_prefix_tokens = tuple(kept), sum(kept)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Tokens, patches in row-major order, level after level.

        images: (B, 3, H, W) RGB in [0, 1], of `image_size`.
        returns: (B, num_levels * (num_prefix_tokens + rows * columns), token_dim).
        """
        if tuple(images.shape[-2:]) != self.image_size:
            raise ValueError(
                f"{type(self).__name__} was built for crops of {self.image_size} px (H, W) and got "
                f"{tuple(images.shape[-2:])}; set the crop's size or the backbone's image_size."
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            levels = self.encode((images - self.mean) / self.std)
            return torch.cat([self._cut(tokens) for tokens in levels], dim=1)

    def train(self, mode: bool = True) -> Self:
        """Training mode, unless the backbone is frozen."""
        return super().train(mode and not self.frozen)

    def _cut(self, tokens: Tensor) -> Tensor:
        special = len(self._kept)
        found, wanted = tokens.shape[1] - special, self.token_grid[0] * self.token_grid[1]
        if found != wanted:
            raise ValueError(
                f"{type(self).__name__} gave {found} patch tokens where its grid of "
                f"{self.token_grid} has {wanted}; one of them was dropped or merged."
            )
        if all(self._kept):
            return tokens
        prefix = [tokens[:, i : i + 1] for i, kept in enumerate(self._kept) if kept]
        return torch.cat((*prefix, tokens[:, special:]), dim=1)


def as_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """(H, W) of a side or of a pair."""
    if isinstance(image_size, int):
        return image_size, image_size
    height, width = image_size
    return height, width
