"""DINOv2 as a backbone: pretrained or from scratch, with an account of every weight it loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from transformers import Dinov2Model

from zoo.backbones.conv_stem import ConvStem, wave_positions
from zoo.backbones.hugging_face import Family, keep_levels, start
from zoo.backbones.load_report import LoadReport
from zoo.backbones.tokens import TokenBackbone, as_size

# Oquab et al., 2024, table 17: widths, depths and heads of the published sizes.
SIZES: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
    "giant": {
        "hidden_size": 1536,
        "num_hidden_layers": 40,
        "num_attention_heads": 24,
        "use_swiglu_ffn": True,
    },
}
FAMILY = Family(
    name="Dinov2",
    model=Dinov2Model,
    sizes=SIZES,
    published={f"facebook/dinov2-{size}": size for size in SIZES},
    published_fields={"image_size": 518},
)


class Dinov2(TokenBackbone):
    """Tokens of a picture from DINOv2 (Oquab et al., TMLR 2024), the CLS token first.

    pretrained: a Hugging Face name such as "facebook/dinov2-large", or a folder written by
        `save_pretrained`; None starts from random weights. What was loaded is in `load_report`.
    image_size: px of the crops, one number or (H, W), multiples of the patch. Positions learned
        at another size are interpolated.
    config: with `pretrained=None` the size: a name ("small", "base", "large", "giant"), a published
        model ("facebook/dinov2-large": the same with its own position table, ready for weights
        that come later), or fields of `transformers.Dinov2Config`. With pretrained weights:
        fields that change no weight, such as drop_path_rate.
    stem: "conv" replaces the linear patch projection by small convolutions (Xiao et al., NeurIPS
        2021), for models trained from scratch.
    drop_cls: leave out the CLS token.
    levels: hidden states to hand over one after the other, for the neck `layer_fusion`; see
        `zoo.backbones.tokens`. None is the normalised last layer.
    frozen: no gradients, always in evaluation mode.
    attention: "sdpa" is PyTorch's fused kernel, "eager" plain matrix products: on a CPU in bf16 the
        fused kernel's backward pass is four times slower than those.
    report: called with the load report of pretrained weights, to print or log it.

    Raises PretrainedWeightsMissing when the weights are neither here nor to be had, ValueError
    when they do not fill the whole backbone.
    """

    tiny: ClassVar[dict[str, Any]] = {
        "pretrained": None,
        "image_size": 128,
        "stem": "conv",
        "config": {
            "hidden_size": 192,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "patch_size": 16,
        },
        "attention": "eager",
    }

    def __init__(
        self,
        *,
        pretrained: str | None = "facebook/dinov2-large",
        image_size: int | tuple[int, int] = 224,
        config: str | Mapping[str, Any] | None = None,
        stem: Literal["linear", "conv"] = "linear",
        drop_cls: bool = False,
        levels: Sequence[int] | None = None,
        frozen: bool = False,
        gradient_checkpointing: bool = False,
        attention: Literal["sdpa", "eager"] = "sdpa",
        report: Callable[[LoadReport], None] | None = None,
    ) -> None:
        super().__init__()
        _check(stem, attention)
        size = as_size(image_size)
        # The position table is square; other shapes are interpolated from it.
        fields = {"image_size": max(size)}
        self.vit, self.load_report = start(FAMILY, pretrained, config, fields=fields, report=report)
        self.levels = keep_levels("Dinov2", self.vit, levels)
        self.num_levels = len(self.levels or (0,))
        self.vit.set_attn_implementation(attention)
        if stem == "conv":
            self._use_conv_stem(pretrained)
        if self.vit.embeddings.mask_token is not None:
            # Only masked pretraining uses it; a trainable weight without a gradient breaks DDP.
            self.vit.embeddings.mask_token.requires_grad_(False)
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
        if self.levels is None:
            return [self.vit(pictures).last_hidden_state]
        hidden = self.vit(pictures, output_hidden_states=True).hidden_states
        return [hidden[level] for level in self.levels]

    def _use_conv_stem(self, pretrained: str | None) -> None:
        if pretrained is not None:
            raise ValueError(
                "Dinov2's stem='conv' has no pretrained weights; use stem='linear' with "
                f"{pretrained!r}, or pretrained=None to train from scratch."
            )
        embeddings, width = self.vit.embeddings, self.vit.config.hidden_size
        embeddings.patch_embeddings = ConvStem(
            dim=width,
            patch_size=self.vit.config.patch_size,
            num_patches=embeddings.patch_embeddings.num_patches,
        )
        side = round(embeddings.patch_embeddings.num_patches**0.5)
        with torch.no_grad():
            embeddings.position_embeddings[:, 1:] = wave_positions(side, side, width)


def _check(stem: str, attention: str) -> None:
    choices = {"stem": (stem, ("linear", "conv")), "attention": (attention, ("sdpa", "eager"))}
    for name, (value, known) in choices.items():
        if value not in known:
            raise ValueError(
                f"Dinov2's {name} is {value!r}; it can be {' or '.join(map(repr, known))}."
            )
