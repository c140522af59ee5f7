"""DINOv3 as a backbone: rotary positions at any size, registers that serve and then leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor
from transformers import DINOv3ViTModel

from zoo.backbones.hugging_face import Family, keep_levels, start
from zoo.backbones.load_report import LoadReport
from zoo.backbones.tokens import TokenBackbone, as_size

_GATED = {"use_gated_mlp": True, "hidden_act": "silu"}


def _size(width: int, depth: int, heads: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads}
    return {**sizes, "intermediate_size": 4 * width, "num_register_tokens": 4, **more}


SIZES: dict[str, dict[str, Any]] = {
    "small": _size(384, 12, 6),
    "small_plus": _size(384, 12, 6, **_GATED),
    "base": _size(768, 12, 12),
    "large": _size(1024, 24, 16),
    "huge_plus": _size(1280, 32, 20, **_GATED),
}
_NAMES = {"small": "s", "small_plus": "s", "base": "b", "large": "l", "huge_plus": "h"}
FAMILY = Family(
    name="Dinov3",
    model=DINOv3ViTModel,
    sizes=SIZES,
    published={
        f"facebook/dinov3-vit{_NAMES[size]}16{'plus' if 'plus' in size else ''}"
        "-pretrain-lvd1689m": size
        for size in SIZES
    },
    published_fields={},
)


class Dinov3(TokenBackbone):
    """Tokens of a picture from DINOv3 (Siméoni et al., 2025), the CLS token first.

    Positions are rotary, so any size of crop is at home. Their random rescaling, which the library
    switches on in training, is off: it draws from the global generator.

    pretrained: a Hugging Face name such as "facebook/dinov3-vitl16-pretrain-lvd1689m" (its licence
        has to be accepted there first), or a folder written by `save_pretrained`; None starts from
        random weights. What was loaded is in `load_report`.
    image_size: px of the crops, one number or (H, W), multiples of the patch.
    config: with `pretrained=None` the size: a name ("small", "small_plus", "base", "large",
        "huge_plus"), a published model, or fields of `transformers.DINOv3ViTConfig`. With
        pretrained weights: fields that change no weight, such as drop_path_rate.
    drop_cls: leave out the CLS token.
    drop_registers: leave out the register tokens, which hold no place in the picture.
    levels: hidden states to hand over one after the other, for the neck `layer_fusion`; see
        `zoo.backbones.tokens`. None is the normalised last layer.
    frozen: no gradients, always in evaluation mode.
    attention: "sdpa" is PyTorch's fused kernel, "eager" plain matrix products.
    report: called with the load report of pretrained weights, to print or log it.

    Raises PretrainedWeightsMissing when the weights are neither here nor to be had, ValueError
    when they do not fill the whole backbone.
    """

    tiny: ClassVar[dict[str, Any]] = {
        "pretrained": None,
        "image_size": 128,
        "config": {
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "num_register_tokens": 2,
        },
        "attention": "eager",
    }

    def __init__(
        self,
        *,
        pretrained: str | None = "facebook/dinov3-vitl16-pretrain-lvd1689m",
        image_size: int | tuple[int, int] = 224,
        config: str | Mapping[str, Any] | None = None,
        drop_cls: bool = False,
        drop_registers: bool = True,
        levels: Sequence[int] | None = None,
        frozen: bool = False,
        gradient_checkpointing: bool = False,
        attention: Literal["sdpa", "eager"] = "sdpa",
        report: Callable[[LoadReport], None] | None = None,
    ) -> None:
        super().__init__()
        fields, always = {"num_register_tokens": 4}, {"pos_embed_rescale": None}
        self.vit, self.load_report = start(
            FAMILY, pretrained, config, fields=fields, always=always, report=report
        )
        self.levels = keep_levels("Dinov3", self.vit, levels)
        self.num_levels = len(self.levels or (0,))
        self.vit.set_attn_implementation(attention)
        # Only masked pretraining uses it; a trainable weight without a gradient breaks DDP.
        self.vit.embeddings.mask_token.requires_grad_(False)
        if gradient_checkpointing:
            self.vit.gradient_checkpointing_enable({"use_reentrant": False})
        registers = self.vit.config.num_register_tokens
        self._finish(
            image_size=as_size(image_size),
            stride=self.vit.config.patch_size,
            token_dim=self.vit.config.hidden_size,
            kept=(not drop_cls, *(not drop_registers for _ in range(registers))),
            frozen=frozen,
        )

    def encode(self, pictures: Tensor) -> Sequence[Tensor]:
        """See TokenBackbone."""
        if self.levels is None:
            return [self.vit(pictures).last_hidden_state]
        hidden = self.vit(pictures, output_hidden_states=True).hidden_states
        return [hidden[level] for level in self.levels]
