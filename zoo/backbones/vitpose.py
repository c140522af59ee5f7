"""HaMeR's backbone: the plain vision transformer of ViTPose, under its published names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.backbones.conv_stem import ConvStem, wave_positions
from zoo.backbones.load_report import LoadReport
from zoo.backbones.vitpose_weights import load_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PATCH, PADDING = 16, 2  # the padding changes every token, but not how many there are
NORM_EPS = 1e-6


class ViTPose(nn.Module):
    """Patch tokens of a crop from ViTPose (Xu et al., NeurIPS 2022), as HaMeR runs it.

    Of a square crop it sees the upright middle: 256 x 256 becomes 256 x 192 and 16 x 12 tokens.
    There is no class token; its slot in the position table is added to every patch. The published
    sizes are B (dim 768, depth 12, 12 heads, drop_path 0.3), L (1024, 24, 16, 0.5) and H (1280,
    32, 16, 0.55).

    image_size: (H, W) px of the crops.
    side_cut: fraction of the crop's width left out on either side; HaMeR's is 1/8.
    drop_path: chance of the last block's branches to be skipped in training; it rises from 0 at
        the first block.
    pretrained: a file with ViTPose weights of this size: HaMeR's `vitpose_backbone.pth`, a ViTPose
        body model, or the same names as safetensors; None starts from random weights. What was
        loaded is in `load_report`.
    stem: "conv" replaces the linear patch projection by small convolutions (Xiao et al., NeurIPS
        2021), for models trained from scratch.
    frozen: no gradients, always in evaluation mode.
    attention: "sdpa" is PyTorch's fused kernel, "eager" plain matrix products: on a CPU in bf16 the
        fused kernel's backward pass is four times slower than those.
    report: called with the load report of pretrained weights, to print or log it.

    Raises PretrainedWeightsMissing when there is no such file, ValueError when it does not fill
    the whole backbone.
    """

    num_prefix_tokens: ClassVar[int] = 0
    tiny: ClassVar[dict[str, Any]] = {
        "image_size": (128, 128),
        "dim": 192,
        "depth": 2,
        "num_heads": 3,
        "drop_path": 0.0,
        "pretrained": None,
        "stem": "conv",
        "attention": "eager",
    }

    def __init__(
        self,
        *,
        image_size: tuple[int, int] = (256, 256),
        dim: int = 1280,
        depth: int = 32,
        num_heads: int = 16,
        mlp_ratio: int = 4,
        side_cut: float = 0.125,
        drop_path: float = 0.55,
        pretrained: str | None = None,
        stem: Literal["linear", "conv"] = "linear",
        frozen: bool = False,
        gradient_checkpointing: bool = False,
        attention: Literal["sdpa", "eager"] = "sdpa",
        report: Callable[[LoadReport], None] | None = None,
    ) -> None:
        super().__init__()
        _check(stem, attention, dim, num_heads, drop_path, pretrained)
        self.image_size, self.token_dim = tuple(image_size), dim
        self.cut, self.token_grid = _grid(self.image_size, side_cut)
        patches = self.token_grid[0] * self.token_grid[1]
        positions = nn.init.trunc_normal_(torch.empty(1, 1 + patches, dim), std=0.02)
        self.patch_embed = PatchEmbed(dim=dim)
        if stem == "conv":
            self.patch_embed = ConvStem(dim=dim, patch_size=PATCH, num_patches=patches)
            positions[0, 1:] = wave_positions(*self.token_grid, dim)
        self.pos_embed = nn.Parameter(positions)
        sizes = {"dim": dim, "num_heads": num_heads, "mlp_dim": mlp_ratio * dim}
        rates = [drop_path * i / max(depth - 1, 1) for i in range(depth)]
        blocks = (Block(**sizes, drop_path=rate, attention=attention) for rate in rates)
        self.blocks = nn.ModuleList(blocks)
        self.last_norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        self.load_report = None if pretrained is None else load_weights(self, pretrained, report)
        self.gradient_checkpointing, self.frozen = gradient_checkpointing, frozen
        if frozen:
            self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Normalised tokens of the last layer, patches in row-major order.

        images: (B, 3, H, W) RGB in [0, 1], of `image_size`.
        returns: (B, rows * columns, token_dim).
        """
        self._check_size(images)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.last_norm(self._attended(self._embedded(images)))

    def _check_size(self, images: Tensor) -> None:
        if tuple(images.shape[-2:]) != self.image_size:
            raise ValueError(
                f"ViTPose was built for crops of {self.image_size} px (H, W) and got "
                f"{tuple(images.shape[-2:])}; set the crop's size or the backbone's image_size."
            )

    def _embedded(self, images: Tensor) -> Tensor:
        """What enters the first block: (B, N, token_dim)."""
        return self._patches(images)

    def _patches(self, images: Tensor) -> Tensor:
        """The patches with their positions: (B, rows * columns, token_dim)."""
        seen = images[..., self.cut : images.shape[-1] - self.cut]
        patches = self.patch_embed((seen - self.mean) / self.std)
        return patches + self.pos_embed[:, 1:] + self.pos_embed[:, :1]

    def _attended(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        return tokens

    def train(self, mode: bool = True) -> ViTPose:
        """Training mode, unless the backbone is frozen."""
        return super().train(mode and not self.frozen)


class PatchEmbed(nn.Module):
    """One linear projection of every 16 x 16 patch, the picture padded by two pixels."""

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH, padding=PADDING)

    def forward(self, images: Tensor) -> Tensor:
        """images: (B, 3, H, W), normalised; returns (B, rows * columns, dim)."""
        return rearrange(self.proj(images), "b d row column -> b (row column) d")


class Block(nn.Module):
    """Attention, then a feed-forward layer, each pre-norm with a residual."""

    def __init__(
        self, *, dim: int, num_heads: int, mlp_dim: int, drop_path: float, attention: str
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = SelfAttention(dim=dim, num_heads=num_heads, attention=attention)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = FeedForward(dim=dim, mlp_dim=mlp_dim)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, N, dim); returns the same shape."""
        x = x + self._kept(self.attn(self.norm1(x)))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, branch: Tensor) -> Tensor:
        # A picture loses a branch as a whole; the others' grow so that the mean stays.
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep).div_(keep)


class SelfAttention(nn.Module):
    """Multi-head attention of patches to each other."""

    def __init__(self, *, dim: int, num_heads: int, attention: str) -> None:
        super().__init__()
        self.num_heads, self.attention = num_heads, attention
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, N, dim); returns the same shape."""
        query, key, value = rearrange(
            self.qkv(x), "b n (three head d) -> three b head n d", three=3, head=self.num_heads
        )
        if self.attention == "sdpa":
            attended = F.scaled_dot_product_attention(query, key, value)
        else:
            logits = query * query.shape[-1] ** -0.5 @ key.mT
            attended = logits.softmax(dim=-1).to(value.dtype) @ value
        return self.proj(rearrange(attended, "b head n d -> b n (head d)"))


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, *, dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, mlp_dim)
        self.fc2 = nn.Linear(mlp_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, N, dim); returns the same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


def _check(
    stem: str, attention: str, dim: int, num_heads: int, drop_path: float, pretrained: str | None
) -> None:
    choices = {"stem": (stem, ("linear", "conv")), "attention": (attention, ("sdpa", "eager"))}
    for name, (value, known) in choices.items():
        if value not in known:
            raise ValueError(
                f"ViTPose's {name} is {value!r}; it can be {' or '.join(map(repr, known))}."
            )
    if dim % num_heads:
        raise ValueError(
            f"ViTPose's dim {dim} does not divide into num_heads {num_heads}; ViT-H has 1280 and "
            "16, ViT-L 1024 and 16, ViT-B 768 and 12."
        )
    if not 0 <= drop_path < 1:
        raise ValueError(f"ViTPose's drop_path is {drop_path}; it lies in [0, 1).")
    if stem == "conv" and pretrained is not None:
        raise ValueError(
            f"ViTPose's stem='conv' has no pretrained weights; use stem='linear' with "
            f"{pretrained!r}, or pretrained=None to train from scratch."
        )


def _grid(size: tuple[int, int], side_cut: float) -> tuple[int, tuple[int, int]]:
    """The columns cut on either side, and the rows and columns of tokens in what is left."""
    height, width = size
    cut = round(width * side_cut)
    seen = (height, width - 2 * cut)
    if not 0 <= side_cut < 0.5 or any(side < PATCH or side % PATCH for side in seen):
        raise ValueError(
            f"ViTPose sees {seen} px (H, W) of its image_size {size} with side_cut {side_cut}, "
            f"which is no multiple of its {PATCH} px patches; HaMeR sees (256, 192) of (256, 256), "
            "and side_cut=0 keeps the whole crop."
        )
    return cut, (height // PATCH, seen[1] // PATCH)
