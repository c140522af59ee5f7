"""The published names of WiLoR's weights and their shapes, at any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from zoo.weights.hamer_layout import MANO_SHAPES, Layout, Shape

_POSE, _ROT6D, _BETAS, _CAM = 96, 6, 10, 3
_EMBEDDED = ("pos_embed", "patch_embed.")


@dataclass(frozen=True)
class WilorLayout:
    """The sizes of a WiLoR; the defaults are the released model's."""

    vit: Layout
    channels: int = 640  # of the coarsest map

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Self:
        """The sizes of a published state dict; what it does not tell is as released."""
        vit, first = Layout.of(state), state.get("refine_net.deconv.first_conv.0.weight")
        return cls(vit) if first is None or first.ndim != 4 else cls(vit, first.shape[0])

    @property
    def query_dim(self) -> int:
        """Channels of the three maps together."""
        return self.channels + self.channels // 2 + self.channels // 4

    def shapes(self) -> dict[str, Shape]:
        """Every published key with its shape, in the published order."""
        published = self.vit.shapes()
        judge = {k: s for k, s in published.items() if k.startswith("discriminator.")}
        return {
            "initialized": (),
            **{f"backbone.{key}": shape for key, shape in self._backbone(published)},
            **{f"refine_net.{key}": shape for key, shape in self._refine_net()},
            **judge,
            **{f"mano.{key}": shape for key, shape in MANO_SHAPES.items()},
        }

    def _backbone(self, published: Mapping[str, Shape]) -> Iterator[tuple[str, Shape]]:
        dim, prefix = self.vit.dim, "backbone."
        vit = {k.removeprefix(prefix): s for k, s in published.items() if k.startswith(prefix)}
        yield "pos_embed", vit["pos_embed"]
        yield "init_cam", (1, _CAM)
        yield "init_hand_pose", (1, _POSE)
        yield "init_betas", (1, _BETAS)
        for key in ("patch_embed.proj.weight", "patch_embed.proj.bias"):
            yield key, vit[key]
        for name, width in (("pose_emb", _ROT6D), ("shape_emb", _BETAS), ("cam_emb", _CAM)):
            yield from _affine(name, dim, width)
        for name, width in (("decpose", _ROT6D), ("decshape", _BETAS), ("deccam", _CAM)):
            yield from _affine(name, width, dim)
        yield from ((k, s) for k, s in vit.items() if not k.startswith(_EMBEDDED))

    def _refine_net(self) -> Iterator[tuple[str, Shape]]:
        coarse, middle, fine = self.channels, self.channels // 2, self.channels // 4
        yield "deconv.first_conv.0.weight", (coarse, self.vit.dim, 1, 1)
        yield "deconv.first_conv.0.bias", (coarse,)
        yield from _doubled("deconv.deconv.0", 0, coarse, middle)
        yield from _doubled("deconv.deconv.1", 0, coarse, middle)
        yield from _doubled("deconv.deconv.1", 3, middle, fine)
        for name, width in (("dec_pose", _POSE), ("dec_cam", _CAM), ("dec_shape", _BETAS)):
            yield from _affine(name, width, self.query_dim)


def _affine(name: str, rows: int, columns: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (rows, columns)
    yield f"{name}.bias", (rows,)


def _doubled(name: str, index: int, before: int, after: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.{index}.weight", (before, after, 4, 4)
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{index + 1}.{leaf}", (after,)
    yield f"{name}.{index + 1}.num_batches_tracked", ()
