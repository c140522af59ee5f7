"""The encoder of a masked autoencoder as a backbone that masks nothing and keeps every place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from transformers import ViTMAEModel

from zoo.backbones.hugging_face import Family, keep_levels, start
from zoo.backbones.load_report import LoadReport
from zoo.backbones.tokens import TokenBackbone, as_size


def _size(width: int, depth: int, heads: int, patch: int = 16) -> dict[str, int]:
    sizes = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}
    return {**sizes, "intermediate_size": 4 * width, "patch_size": patch}


# He et al., CVPR 2022.
SIZES: dict[str, dict[str, Any]] = {
    "base": _size(768, 12, 12),
    "large": _size(1024, 24, 16),
    "huge": _size(1280, 32, 16, patch=14),
}
FAMILY = Family(
    name="ViTMAE",
    model=ViTMAEModel,
    sizes=SIZES,
    published={f"facebook/vit-mae-{size}": size for size in SIZES},
    published_fields={"image_size": 224},
)


class ViTMAE(TokenBackbone):
    """Tokens of a picture from the encoder of MAE (He et al., CVPR 2022), the CLS token first.

    No token is ever dropped, and none changes its place: with a mask ratio of 0 the library still
    shuffles the patches of every picture at random, so that a neck's position table means nothing
    (CS-ViT2 as released). Positions are fixed waves, which do not learn.

    pretrained: a Hugging Face name such as "facebook/vit-mae-large", or a folder written by
        `save_pretrained`; None starts from random weights. What was loaded is in `load_report`.
    image_size: px of the crops, one number or (H, W), multiples of the patch. Positions of another
        size are interpolated.
    config: with `pretrained=None` the size: a name ("base", "large", "huge"), a published model, or
        fields of `transformers.ViTMAEConfig`. With pretrained weights: fields that change none.
    drop_cls: leave out the CLS token.
    levels: hidden states to hand over one after the other, for the neck `layer_fusion`; see
        `zoo.backbones.tokens`. None is the normalised last layer.
    frozen: no gradients, always in evaluation mode.
    attention: "sdpa" is PyTorch's fused kernel, "eager" plain matrix products.
    report: called with the load report of pretrained weights, to print or log it.

    Raises PretrainedWeightsMissing when the weights are neither here nor to be had, ValueError
    when they do not fill the whole backbone or a mask is asked for.
    """

    tiny: ClassVar[dict[str, Any]] = {
        "pretrained": None,
        "image_size": 128,
        "config": {
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "patch_size": 16,
        },
        "attention": "eager",
    }

    def __init__(
        self,
        *,
        pretrained: str | None = "facebook/vit-mae-large",
        image_size: int | tuple[int, int] = 224,
        config: str | Mapping[str, Any] | None = None,
        drop_cls: bool = False,
        levels: Sequence[int] | None = None,
        frozen: bool = False,
        gradient_checkpointing: bool = False,
        attention: Literal["sdpa", "eager"] = "sdpa",
        report: Callable[[LoadReport], None] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(config, Mapping) and config.get("mask_ratio", 0) != 0:
            raise ValueError(
                f"ViTMAE's config has mask_ratio {config['mask_ratio']}; as a backbone it sees the "
                "whole picture, leave mask_ratio out."
            )
        size = as_size(image_size)
        # The position table is square; other shapes are interpolated from it.
        fields, always = {"image_size": max(size)}, {"mask_ratio": 0.0}
        self.vit, self.load_report = start(
            FAMILY, pretrained, config, fields=fields, always=always, report=report
        )
        self.levels = keep_levels("ViTMAE", self.vit, levels)
        self.num_levels = len(self.levels or (0,))
        self.vit.set_attn_implementation(attention)
        if gradient_checkpointing:
            self.vit.gradient_checkpointing_enable({"use_reentrant": False})
        self._finish(
            image_size=size,
            stride=self.vit.config.patch_size,
            token_dim=self.vit.config.hidden_size,
            kept=(not drop_cls,),
            frozen=frozen,
        )

    def encode(self, pictures: Tensor) -> Sequence[Tensor]:
        """See TokenBackbone."""
        patches = self.token_grid[0] * self.token_grid[1]
        # The library orders patches by this "noise", whose default is random at every mask ratio.
        order = torch.arange(patches, device=pictures.device, dtype=torch.float32)
        told = {"noise": order.expand(pictures.shape[0], -1), "interpolate_pos_encoding": True}
        if self.levels is None:
            return [self.vit(pictures, **told).last_hidden_state]
        hidden = self.vit(pictures, **told, output_hidden_states=True).hidden_states
        return [hidden[level] for level in self.levels]
