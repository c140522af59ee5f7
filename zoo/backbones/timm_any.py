"""Any vision transformer of timm by its name, with an account of every weight it loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo.backbones.load_report import LoadReport
from zoo.backbones.pretrained import find_pretrained
from zoo.backbones.tokens import TokenBackbone, as_size

_FILE = "model.safetensors"


class TimmViT(TokenBackbone):
    """Tokens of a picture from a plain vision transformer of timm, special tokens first.

    Pictures are normalised as that model was trained. Models of several grids (Swin, hybrids that
    merge tokens) are refused.

    name: of timm, such as "vit_small_patch14_dinov2.lvd142m" or "eva02_base_patch14_224.mim_in22k".
    pretrained: a Hugging Face name such as "timm/vit_small_patch14_dinov2.lvd142m", or a folder
        with config.json and model.safetensors; None starts from random weights. What was loaded is
        in `load_report`; a classifier in the file is left out.
    image_size: px of the crops, one number or (H, W), multiples of the patch. Positions learned at
        another size are interpolated.
    config: further arguments of the model, such as depth or drop_path_rate.
    drop_cls: leave out the CLS token, where there is one.
    drop_registers: leave out register tokens, which hold no place in the picture.
    levels: layers to hand over one after the other, from 1 (there is no level 0 here), for the neck
        `layer_fusion`; see `zoo.backbones.tokens`. None is the normalised last layer.
    frozen: no gradients, always in evaluation mode.
    report: called with the load report of pretrained weights, to print or log it.

    Raises PretrainedWeightsMissing when the weights are neither here nor to be had, ValueError
    when they do not fill the whole backbone or timm has no such plain transformer.
    """

    tiny: ClassVar[dict[str, Any]] = {
        "name": "vit_tiny_patch16_224",
        "pretrained": None,
        "image_size": 128,
        "config": {"depth": 2},
    }

    def __init__(
        self,
        *,
        name: str,
        pretrained: str | None = None,
        image_size: int | tuple[int, int] = 224,
        config: Mapping[str, Any] | None = None,
        drop_cls: bool = False,
        drop_registers: bool = True,
        levels: Sequence[int] | None = None,
        frozen: bool = False,
        gradient_checkpointing: bool = False,
        report: Callable[[LoadReport], None] | None = None,
    ) -> None:
        super().__init__()
        size = as_size(image_size)
        self.vit = _build(name, size, config or {})
        if pretrained is not None:
            self.load_report = _load(self.vit, pretrained)
            if report is not None:
                report(self.load_report)
        self.levels = self._keep(levels)
        self.num_levels = len(self.levels or (0,))
        if gradient_checkpointing:
            self.vit.set_grad_checkpointing()
        has_cls = getattr(self.vit, "cls_token", None) is not None
        registers = self.vit.num_prefix_tokens - has_cls
        trained = self.vit.pretrained_cfg
        self._finish(
            image_size=size,
            stride=self.vit.patch_embed.patch_size[0],
            token_dim=self.vit.embed_dim,
            kept=(*[not drop_cls] * has_cls, *[not drop_registers] * registers),
            frozen=frozen,
            mean=trained["mean"],
            std=trained["std"],
        )

    def encode(self, pictures: Tensor) -> Sequence[Tensor]:
        """See TokenBackbone."""
        if self.levels is None:
            return [self.vit.forward_features(pictures)]
        given = self.vit.forward_intermediates(
            pictures,
            indices=[level - 1 for level in self.levels],
            return_prefix_tokens=True,
            output_fmt="NLC",
            intermediates_only=True,
        )
        return [torch.cat((prefix, patches), dim=1) for patches, prefix in given]

    def _keep(self, levels: Sequence[int] | None) -> tuple[int, ...] | None:
        if levels is None:
            return None
        chosen, count = tuple(levels), len(self.vit.blocks)
        if (
            not chosen
            or sorted(set(chosen)) != list(chosen)
            or not 1 <= chosen[0] <= chosen[-1] <= count
        ):
            raise ValueError(
                f"TimmViT's levels are {chosen}; they are growing numbers from 1 to {count} (its "
                "last layer)."
            )
        self.vit.prune_intermediate_layers([level - 1 for level in chosen], prune_norm=True)
        return chosen


def _build(name: str, size: tuple[int, int], config: Mapping[str, Any]) -> nn.Module:
    if not timm.is_model(name):
        close = timm.list_models(f"*{name.split('.')[0].split('_patch')[0]}*")[:3]
        near = f"; near are {', '.join(close)}" if close else ""
        raise ValueError(f"TimmViT: timm has no model {name!r}{near}.")
    try:
        model = timm.create_model(name, num_classes=0, global_pool="", img_size=size, **config)
    except (TypeError, AssertionError) as error:
        raise ValueError(
            f"TimmViT: {name!r} does not build for {size} px with {dict(config)} ({error}); choose "
            "a plain vision transformer (vit_*, deit*, eva*), multiples of its patch, and "
            "arguments it has."
        ) from error
    missing = [
        part for part in ("patch_embed", "blocks", "num_prefix_tokens") if not hasattr(model, part)
    ]
    if missing:
        raise ValueError(
            f"TimmViT: {name!r} is no plain vision transformer (it has no {missing[0]}); choose a "
            "vit_*, deit* or eva* model, or the backbone swinv2."
        )
    return model


def _load(model: nn.Module, pretrained: str) -> LoadReport:
    file = Path(find_pretrained(pretrained)) / _FILE
    found = load_file(file)
    adapt = getattr(import_module(type(model).__module__), "checkpoint_filter_fn", None)
    if adapt is not None:
        found = adapt(found, model)
    wanted = model.state_dict()
    missing = sorted(
        key for key, value in wanted.items() if key not in found or found[key].shape != value.shape
    )
    report = LoadReport(
        source=pretrained,
        matched=len(wanted) - len(missing),
        total=len(wanted),
        missing=tuple(missing),
        unexpected=tuple(sorted(k for k in found.keys() - wanted.keys())),
    )
    if missing:
        raise ValueError(
            f"{pretrained!r} fills only {report.matched} of the backbone's {report.total} weights; "
            f"missing or of another shape: {', '.join(missing[:3])}... Choose weights of this "
            "architecture."
        )
    model.load_state_dict({key: found[key] for key in wanted})
    return report
