"""Swin V2 as a backbone: its tokens lie a stride of several patches apart, and there is no CLS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor
from transformers import Swinv2Model

from zoo.backbones.hugging_face import Family, start
from zoo.backbones.load_report import LoadReport
from zoo.backbones.tokens import TokenBackbone, as_size


def _size(width: int, middle: int, heads: int, window: int) -> dict[str, Any]:
    depths, growing = (2, 2, middle, 2), tuple(heads * 2**stage for stage in range(4))
    return {"embed_dim": width, "depths": depths, "num_heads": growing, "window_size": window}


# Liu et al., CVPR 2022.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": _size(96, 6, 3, 8),
    "small": _size(96, 18, 3, 8),
    "base": _size(128, 18, 4, 8),
    "large": _size(192, 18, 6, 12),
}
FAMILY = Family(
    name="Swinv2",
    model=Swinv2Model,
    sizes=SIZES,
    published={
        "microsoft/swinv2-tiny-patch4-window8-256": "tiny",
        "microsoft/swinv2-small-patch4-window8-256": "small",
        "microsoft/swinv2-base-patch4-window8-256": "base",
        "microsoft/swinv2-large-patch4-window12-192-22k": "large",
    },
    published_fields={},
)


class Swinv2(TokenBackbone):
    """Tokens of a picture from Swin V2 (Liu et al., CVPR 2022): the last stage, no CLS token.

    Each stage but the first halves the grid, so a token stands for patch_size * 2^(stages - 1) px,
    32 as published: 6 x 6 tokens of a crop of 192 px. CS-ViT2 first counted one token a patch.

    pretrained: a Hugging Face name such as "microsoft/swinv2-large-patch4-window12-192-22k", or a
        folder written by `save_pretrained`; None starts from random weights. What was loaded is in
        `load_report`.
    image_size: px of the crops, one number or (H, W), multiples of the stride.
    config: with `pretrained=None` the size: a name ("tiny", "small", "base", "large"), a published
        model, or fields of `transformers.Swinv2Config`. With pretrained weights: fields that change
        none.
    frozen: no gradients, always in evaluation mode.
    report: called with the load report of pretrained weights, to print or log it.

    Raises PretrainedWeightsMissing when the weights are neither here nor to be had, ValueError
    when they do not fill the whole backbone.
    """

    tiny: ClassVar[dict[str, Any]] = {
        "pretrained": None,
        "image_size": 128,
        "config": {
            "embed_dim": 48,
            "depths": (1, 1, 1),
            "num_heads": (2, 4, 6),
            "window_size": 8,
        },
    }

    def __init__(
        self,
        *,
        pretrained: str | None = "microsoft/swinv2-large-patch4-window12-192-22k",
        image_size: int | tuple[int, int] = 192,
        config: str | Mapping[str, Any] | None = None,
        frozen: bool = False,
        gradient_checkpointing: bool = False,
        report: Callable[[LoadReport], None] | None = None,
    ) -> None:
        super().__init__()
        size = as_size(image_size)
        fields, always = {"drop_path_rate": 0.0}, {"image_size": size}
        self.swin, self.load_report = start(
            FAMILY, pretrained, config, fields=fields, always=always, report=report
        )
        if gradient_checkpointing:
            self.swin.gradient_checkpointing_enable({"use_reentrant": False})
        settings = self.swin.config
        self._finish(
            image_size=size,
            stride=settings.patch_size * 2 ** (len(settings.depths) - 1),
            token_dim=self.swin.num_features,
            frozen=frozen,
        )

    def encode(self, pictures: Tensor) -> Sequence[Tensor]:
        """See TokenBackbone."""
        return [self.swin(pictures).last_hidden_state]
