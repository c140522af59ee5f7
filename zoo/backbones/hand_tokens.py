"""A vision transformer that carries tokens of the hand's own numbers, as WiLoR and UTNet do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.backbones.load_report import LoadReport
from zoo.backbones.vitpose import ViTPose
from zoo.contracts import NUM_BETAS, NUM_ROTATIONS
from zoo.geometry.representation import REPRESENTATIONS
from zoo.mano.mean_hand import HasMeanPose, mean_hand


class HandTokenViT(ViTPose):
    """ViTPose with 18 tokens of an average hand before those of the patches (WiLoR, CVPR 2025).

    They are sixteen rotations, a shape and a camera, each projected linearly; every block lets them
    look at the picture and at each other, and a head reads the hand back out of them. Positions are
    added to the patches only.

    hand: gives the mean pose; needed without `mean_params`.
    mean_params: npz with `pose` and `shape` of the average hand, as published.
    mean_root: see `zoo.mano.mean_hand`; give the head the same.
    representation: a name of `zoo.geometry.representation`; how the average rotations are written.
    initial_camera: (3,) s, tx, ty of an average hand in the crop.
    The other arguments are ViTPose's.
    """

    num_prefix_tokens: ClassVar[int] = NUM_ROTATIONS + 2
    tiny: ClassVar[dict[str, Any]] = ViTPose.tiny

    def __init__(
        self,
        *,
        hand: HasMeanPose | None = None,
        mean_params: str | PathLike[str] | None = None,
        mean_root: Literal["as_released", "corrected"] = "corrected",
        representation: Literal["rot6d_columns", "rot6d_rows", "rotvec", "quat"] = "rot6d_columns",
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
        if representation not in REPRESENTATIONS:
            raise ValueError(
                f"HandTokenViT's representation is {representation!r}; it can be "
                f"{', '.join(map(repr, REPRESENTATIONS))}."
            )
        vit: dict[str, Any] = {"image_size": image_size, "dim": dim, "depth": depth}
        vit |= {"num_heads": num_heads, "mlp_ratio": mlp_ratio, "side_cut": side_cut}
        vit |= {"drop_path": drop_path, "pretrained": pretrained, "stem": stem, "report": report}
        vit |= {"gradient_checkpointing": gradient_checkpointing, "attention": attention}
        super().__init__(**vit)
        start = mean_hand(hand, mean_params, representation, root=mean_root)
        self._register_start(*start, initial_camera)
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False).eval()

    def _register_start(self, pose: Tensor, betas: Tensor, camera: Sequence[float]) -> None:
        self.register_buffer("init_hand_pose", pose.reshape(1, -1))
        self.register_buffer("init_betas", betas[None])
        self.register_buffer("init_cam", torch.tensor(camera).float()[None])
        self.pose_emb = nn.Linear(pose.shape[-1], self.token_dim)
        self.shape_emb = nn.Linear(NUM_BETAS, self.token_dim)
        self.cam_emb = nn.Linear(3, self.token_dim)

    def _embedded(self, images: Tensor) -> Tensor:
        patches = self._patches(images)
        tokens = self.hand_tokens().to(patches.dtype)
        return torch.cat((tokens.expand(images.shape[0], -1, -1), patches), dim=1)

    def hand_tokens(self) -> Tensor:
        """The tokens of the average hand: (1, 18, token_dim), rotations, shape, camera."""
        rotations = self.init_hand_pose.unflatten(-1, (NUM_ROTATIONS, -1))
        shape, camera = self.init_betas[:, None], self.init_cam[:, None]
        parts = (self.pose_emb(rotations), self.shape_emb(shape), self.cam_emb(camera))
        return torch.cat(parts, dim=1)
