"""UTNet's backbone: a ViT with hand tokens whose patches are embedded its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.backbones.hand_tokens import HandTokenViT
from zoo.backbones.load_report import LoadReport
from zoo.mano.mean_hand import HasMeanPose

_GRIDS = ("as_released", "corrected")
_NORM_EPS = 1e-5  # PyTorch's own, where ViTPose has 1e-6


class UTNetViT(HandTokenViT):
    """A ViT-H with 18 hand tokens before its patches, as UTNet runs it on colour alone.

    Unlike ViTPose it does not pad the picture, normalises every patch token, and adds positions
    without the class token's. Weights of ViTPose fit but meet other numbers than they were trained
    on. Where UTNet adds tokens of a depth picture stands the placeholder it learns for hands
    without one: frames carry no depth here.

    mean_root: "as_released" starts from the wrist as the public mean file is misread, see
        `zoo.mano.mean_hand`; give the head the same.
    grid: "as_released" guesses the tokens' grid the wrong way round, 12 x 16 for 16 x 12, so that
        172 of 192 tokens stand elsewhere on the map than in the picture.
    The other arguments are those of HandTokenViT.
    """

    tiny: ClassVar[dict[str, Any]] = HandTokenViT.tiny

    def __init__(
        self,
        *,
        hand: HasMeanPose | None = None,
        mean_params: str | PathLike[str] | None = None,
        mean_root: Literal["as_released", "corrected"] = "corrected",
        grid: Literal["as_released", "corrected"] = "corrected",
        representation: Literal["rot6d_columns", "rot6d_rows", "rotvec", "quat"] = "rotvec",
        initial_camera: Sequence[float] = (4.0, 0.0, 0.0),
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
        vit: dict[str, Any] = {"image_size": image_size, "dim": dim, "depth": depth}
        vit |= {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "side_cut": side_cut}
        vit |= {"drop_path": drop_path, "pretrained": pretrained, "stem": stem, "report": report}
        vit |= {"gradient_checkpointing": gradient_checkpointing, "attention": attention}
        start: dict[str, Any] = {"hand": hand, "mean_params": mean_params, "mean_root": mean_root}
        start |= {"representation": representation, "initial_camera": initial_camera}
        super().__init__(**start, **vit)
        self._embed_as_utnet(stem)
        if grid not in _GRIDS:
            raise ValueError(f"UTNetViT's grid is {grid!r}; it can be {' or '.join(_GRIDS)}.")
        if grid == "as_released":
            self.token_grid = self.token_grid[::-1]
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False).eval()

    def _embed_as_utnet(self, stem: str) -> None:
        if stem == "linear":
            self.patch_embed.proj.padding = (0, 0)
        self.patch_norm = nn.LayerNorm(self.token_dim)
        self.pos_embed = nn.Parameter(self.pos_embed.detach()[:, 1:].clone())
        placeholder = nn.init.normal_(torch.empty_like(self.pos_embed), std=0.02)
        self.placeholder = nn.Parameter(placeholder)
        for norm in self.modules():
            if isinstance(norm, nn.LayerNorm):
                norm.eps = _NORM_EPS

    def _patches(self, images: Tensor) -> Tensor:
        seen = images[..., self.cut : images.shape[-1] - self.cut]
        patches = self.patch_norm(self.patch_embed((seen - self.mean) / self.std))
        return patches + self.pos_embed + self.placeholder
