"""UTNet's backbone: a ViT with hand tokens, whose patches may be of colour and of depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.backbones.hand_depth import DepthEmbed, in_cube
from zoo.backbones.hand_tokens import HandTokenViT
from zoo.backbones.load_report import LoadReport
from zoo.backbones.vitpose import PATCH
from zoo.contracts import CropView
from zoo.mano.mean_hand import HasMeanPose

_GRIDS = ("as_released", "corrected")
_NORM_EPS = 1e-5  # PyTorch's own, where ViTPose has 1e-6


class UTNetViT(HandTokenViT):
    """A ViT-H with 18 hand tokens before its patches, as UTNet runs it.

    Unlike ViTPose it does not pad the picture, normalises every patch token, and adds positions
    without the class token's. Weights of ViTPose fit but meet other numbers than they were trained
    on. Each patch is the sum of its colour and of its depth, or of the placeholder that is learnt
    for hands without depth.

    modality: "rgbd" reads depth wherever a hand has it; "rgb" holds the placeholder alone.
    depth_dropout: chance of a hand to lose its depth in training.
    cube: m, side of the cube around the hand in which depth is told apart. Its middle is measured
        in the depth map itself, see `zoo.backbones.hand_depth`: the original took it from labels.
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
        modality: Literal["rgb", "rgbd"] = "rgb",
        depth_dropout: float = 0.4,
        cube: float = 0.28,
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
        self._embed_depth(modality, depth_dropout, cube)
        self._lay_out(grid)
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False).eval()

    def _lay_out(self, grid: str) -> None:
        if grid not in _GRIDS:
            raise ValueError(f"UTNetViT's grid is {grid!r}; it can be {' or '.join(_GRIDS)}.")
        if grid == "as_released":
            self.token_grid = self.token_grid[::-1]

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

    def _embed_depth(self, modality: str, depth_dropout: float, cube: float) -> None:
        if modality not in ("rgb", "rgbd"):
            raise ValueError(f"UTNetViT's modality is {modality!r}; it can be 'rgb' or 'rgbd'.")
        if not 0 <= depth_dropout < 1 or cube <= 0:
            raise ValueError(
                f"UTNetViT's depth_dropout lies in [0, 1) and its cube is metres above 0, not "
                f"{depth_dropout} and {cube}."
            )
        self.depth_dropout, self.cube = depth_dropout, cube
        deep = modality == "rgbd"
        self.depth_embed = DepthEmbed(dim=self.token_dim, patch=PATCH) if deep else None

    def see(self, view: CropView, *, rng: torch.Generator | None = None) -> Tensor:
        """Tokens of a view: of its pictures, and of its depth where there is some.

        rng: decides on the CPU which hands lose their depth in training; None is torch's own state.
        returns: (B, 18 + rows * columns, token_dim).
        """
        if self.depth_embed is None or (view.depth is None and not self.training):
            return self(view.images)
        depth = torch.zeros_like(view.images[:, 0]) if view.depth is None else view.depth
        with torch.autocast(depth.device.type, enabled=False):
            numbers, known = in_cube(depth.float(), view.hand_box.float(), side=self.cube)
        if self.training:
            known = known & (torch.rand(len(known), generator=rng) >= self.depth_dropout).to(known)
        return self(view.images, numbers, known)

    def forward(
        self, images: Tensor, depth: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """Normalised tokens of the last layer, the hand's before the patches.

        images: (B, 3, H, W) RGB in [0, 1], of `image_size`.
        depth: (B, H, W) in [-1, 1], half sides of the cube from its middle; None for none.
        known: (B,) bool, the hands whose depth is read; the placeholder stands for the others'.
        returns: (B, 18 + rows * columns, token_dim).
        """
        if depth is None:
            return super().forward(images)
        if self.depth_embed is None:
            raise ValueError("UTNetViT of modality='rgb' got depth; build it with 'rgbd'.")
        self._check_size(images)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens = self._embedded(images)
            deep = self.depth_embed(self._seen(depth)) - self.placeholder
            deep = torch.where(known[:, None, None], deep, 0.0).to(tokens.dtype)
            hand, patches = tokens.tensor_split([self.num_prefix_tokens], dim=1)
            return self.last_norm(self._attended(torch.cat((hand, patches + deep), dim=1)))

    def _seen(self, pixels: Tensor) -> Tensor:
        return pixels[..., self.cut : pixels.shape[-1] - self.cut]

    def _patches(self, images: Tensor) -> Tensor:
        seen = (self._seen(images) - self.mean) / self.std
        return self.patch_norm(self.patch_embed(seen)) + self.pos_embed + self.placeholder
