"""DINOv2 as a backbone: pretrained or from scratch, with an account of every weight it loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model

from zoo.backbones.conv_stem import ConvStem, wave_positions
from zoo.backbones.pretrained import LoadReport, load_pretrained

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_PUBLISHER, _PUBLISHED_IMAGE_SIZE = "facebook/dinov2-", 518

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


class Dinov2(nn.Module):
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
        frozen: bool = False,
        gradient_checkpointing: bool = False,
        attention: Literal["sdpa", "eager"] = "sdpa",
        report: Callable[[LoadReport], None] | None = None,
    ) -> None:
        super().__init__()
        _check(stem, attention)
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        self.load_report: LoadReport | None = None
        if pretrained is None:
            self.vit = _from_scratch(config, size)
        else:
            self.vit, self.load_report = _from_pretrained(pretrained, config)
            if report is not None:
                report(self.load_report)
        self.vit.set_attn_implementation(attention)
        self._describe(size, drop_cls)
        if stem == "conv":
            self._use_conv_stem(pretrained)
        if self.vit.embeddings.mask_token is not None:
            # Only masked pretraining uses it; a trainable weight without a gradient breaks DDP.
            self.vit.embeddings.mask_token.requires_grad_(False)
        if gradient_checkpointing:
            self.vit.gradient_checkpointing_enable({"use_reentrant": False})
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Normalised tokens of the last layer, patches in row-major order.

        images: (B, 3, H, W) RGB in [0, 1], of `image_size`.
        returns: (B, num_prefix_tokens + rows * columns, token_dim).
        """
        if tuple(images.shape[-2:]) != self.image_size:
            raise ValueError(
                f"Dinov2 was built for crops of {self.image_size} px (H, W) and got "
                f"{tuple(images.shape[-2:])}; set the crop's size or the backbone's image_size."
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens = self.vit((images - self.mean) / self.std).last_hidden_state
        return tokens[:, 1 - self.num_prefix_tokens :]

    def train(self, mode: bool = True) -> Dinov2:
        """Training mode, unless the backbone is frozen."""
        return super().train(mode and not self.frozen)

    def _describe(self, size: tuple[int, int], drop_cls: bool) -> None:
        patch = self.vit.config.patch_size
        if any(side < patch or side % patch for side in size):
            raise ValueError(
                f"Dinov2's image_size {size} is no multiple of its {patch} px patches; the nearest "
                f"is {tuple(max(1, round(side / patch)) * patch for side in size)}."
            )
        self.image_size, self.token_dim = size, self.vit.config.hidden_size
        self.token_grid = (size[0] // patch, size[1] // patch)
        self.num_prefix_tokens = 0 if drop_cls else 1

    def _use_conv_stem(self, pretrained: str | None) -> None:
        if pretrained is not None:
            raise ValueError(
                "Dinov2's stem='conv' has no pretrained weights; use stem='linear' with "
                f"{pretrained!r}, or pretrained=None to train from scratch."
            )
        embeddings = self.vit.embeddings
        embeddings.patch_embeddings = ConvStem(
            dim=self.token_dim,
            patch_size=self.vit.config.patch_size,
            num_patches=embeddings.patch_embeddings.num_patches,
        )
        side = round(embeddings.patch_embeddings.num_patches**0.5)
        with torch.no_grad():
            embeddings.position_embeddings[:, 1:] = wave_positions(side, side, self.token_dim)


def _check(stem: str, attention: str) -> None:
    choices = {"stem": (stem, ("linear", "conv")), "attention": (attention, ("sdpa", "eager"))}
    for name, (value, known) in choices.items():
        if value not in known:
            raise ValueError(
                f"Dinov2's {name} is {value!r}; it can be {' or '.join(map(repr, known))}."
            )


def _from_scratch(config: str | Mapping[str, Any] | None, size: tuple[int, int]) -> Dinov2Model:
    # The position table is square; other shapes are interpolated from it.
    fields: dict[str, Any] = {"image_size": max(size)}
    if isinstance(config, str):
        name = config.removeprefix(_PUBLISHER)
        if name != config:
            fields["image_size"] = _PUBLISHED_IMAGE_SIZE
        config = SIZES.get(name)
    if config is None:
        raise ValueError(
            "Dinov2 with pretrained=None needs to know its size; give config as one of "
            f"{', '.join(SIZES)}, as {_PUBLISHER}large and so on, or as fields such as hidden_size "
            "and num_hidden_layers."
        )
    return Dinov2Model(Dinov2Config(**fields | dict(config)))


def _from_pretrained(
    pretrained: str, config: str | Mapping[str, Any] | None
) -> tuple[Dinov2Model, LoadReport]:
    if isinstance(config, str):
        raise ValueError(
            f"Dinov2 takes its size from {pretrained!r}; leave out config={config!r}, or set "
            "pretrained=None for a random start of that size."
        )
    return load_pretrained(Dinov2Model, pretrained, config or {})
