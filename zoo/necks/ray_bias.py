"""Tells tokens where the crop sits in the camera's view by one vector added to them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.contracts import CropView
from zoo.necks.rays import ray_grid

Fusion = Literal["cls", "patch", "all", "cls_as_released"]
_FUSIONS = ("cls", "patch", "all", "cls_as_released")
_LAYERS = 3


class RayBias(nn.Module):
    """Tokens plus one vector made of their crop's viewing rays (CS-ViT2, the `dense` embedder).

    The rays of a grid of `num_samples` x `num_samples` pass three linear layers with batch norm, so
    training needs batches of two hands or more.

    fusion: which tokens are told: the "cls" token (all prefix tokens), the "patch" tokens, or
        "all". "cls_as_released" tells none, as the released code does by mistake: it makes the
        vector and adds it to an empty slice.
    token_grid, num_prefix_tokens: of the backbone, whose levels follow one another.

    Raises ValueError for fusion "cls" of tokens without a CLS token.
    """

    bf16_safe: ClassVar[bool] = True  # the rays enter in fp32
    tiny: ClassVar[dict[str, Any]] = {"num_samples": 4}

    def __init__(
        self,
        *,
        token_dim: int,
        token_grid: tuple[int, int],
        num_prefix_tokens: int,
        num_samples: int = 8,
        fusion: Fusion = "all",
    ) -> None:
        super().__init__()
        if fusion not in _FUSIONS:
            raise ValueError(
                f"RayBias's fusion is {fusion!r}; it can be {', '.join(map(repr, _FUSIONS))}."
            )
        if fusion == "cls" and not num_prefix_tokens:
            raise ValueError(
                "RayBias's fusion='cls' needs a CLS token and the backbone hands none on; set "
                "drop_cls=False there, or fusion='patch' or 'all'."
            )
        self.num_samples, self.fusion = num_samples, fusion
        patches = token_grid[0] * token_grid[1]
        told = torch.zeros(num_prefix_tokens + patches, 1)
        told[:num_prefix_tokens] = fusion in ("cls", "all")
        told[num_prefix_tokens:] = fusion in ("patch", "all")
        self.register_buffer("told", told, persistent=False)
        widths = (2 * num_samples**2, *(token_dim,) * _LAYERS)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += (nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())
        self.mlp = nn.Sequential(*layers)
        if fusion == "cls_as_released":
            # A weight that can have no gradient breaks distributed training.
            self.mlp.requires_grad_(False)

    def forward(self, tokens: Tensor, view: CropView) -> Tensor:
        """The tokens, told about the camera of the crop.

        tokens: (B, levels * N, C).
        returns: the same shape; the tokens given stay as they are.
        """
        if self.training and tokens.shape[0] < 2:
            raise ValueError(
                "RayBias normalises over the batch and was given one hand to train on; set "
                "data.train.batch_size to 2 or more, or use the neck ray_attention."
            )
        bias = self.bias(view)[:, None, None] * self.told
        levels = tokens.unflatten(1, (-1, len(self.told)))
        return (levels + bias).flatten(1, 2)

    def bias(self, view: CropView) -> Tensor:
        """What is added to the tokens of each crop, (B, C)."""
        ray, _ = ray_grid(view, self.num_samples)
        first, *rest = self.mlp
        with torch.autocast(ray.device.type, enabled=False):
            vector = first(ray.flatten(1))
        for layer in rest:
            vector = layer(vector)
        return vector
