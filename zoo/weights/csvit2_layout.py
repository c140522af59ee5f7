"""The published names of CS-ViT2's weights and their shapes, at any size, both versions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from torch import Tensor

Shape = tuple[int, ...]

HEAD_DIM = 64  # of backbone and decoder; no weight tells it
_BETAS, _CAM, _STATISTICS = 10, 3, 61
REPRESENTATIONS = {48: "rotvec", 64: "quat", 96: "rot6d_columns"}  # by width of the pose
_EMBEDDER, _DECODER = "persp_info_embedder.net.", "handec.transformer."
_LAYERS = "transformer.layers."


@dataclass(frozen=True)
class Layout:
    """The sizes of a CS-ViT2, Stage 1; the defaults are those of February 2026."""

    dim: int = 1024
    depth: int = 24
    mlp_dim: int = 4096
    patch_size: int = 14
    positions: int = 1370  # of the backbone's own table
    tokens: int = 257  # of the crop
    context_dim: int = 4  # of a ray: 4 with its place in the crop, 2 without
    neck_inner: int = 512
    neck_mlp_dim: int = 4096
    pose: int = 48
    head_dim: int = 1024
    head_depth: int = 4
    head_inner: int = 1024
    head_mlp_dim: int = 4096
    camera: Literal["heatmap", "metric"] = "heatmap"
    bins: tuple[int, int, int] = (512, 512, 1024)
    statistics: bool = False

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Self:
        """The sizes of a published state dict; what it does not tell is as in February 2026."""

        def size(field: str, key: str, axis: int, divisor: int = 1) -> dict[str, int]:
            found = state.get(key)
            if found is None or found.ndim <= axis:
                return {}
            return {field: found.shape[axis] // divisor}

        vit, neck, head = "backbone.backbone.", _EMBEDDER + _LAYERS, _DECODER + _LAYERS
        sizes = {
            **size("dim", f"{vit}embeddings.position_embeddings", 2),
            **size("positions", f"{vit}embeddings.position_embeddings", 1),
            **size("patch_size", f"{vit}embeddings.patch_embeddings.projection.weight", 2),
            **size("mlp_dim", f"{vit}encoder.layer.0.mlp.fc1.weight", 0),
            **_count("depth", f"{vit}encoder.layer.", state),
            **size("tokens", f"{_EMBEDDER}pos_embedding", 1),
            **size("context_dim", f"{neck}0.1.fn.to_kv.weight", 1),
            **size("neck_inner", f"{neck}0.1.fn.to_q.weight", 0),
            **size("neck_mlp_dim", f"{neck}0.2.fn.net.0.weight", 0),
            **size("pose", "handec.decpose.weight", 0),
            **size("head_dim", f"{_DECODER}pos_embedding", 2),
            **size("head_inner", f"{head}0.0.fn.to_qkv.weight", 0, 3),
            **size("head_mlp_dim", f"{head}0.2.fn.net.0.weight", 0),
            **_count("head_depth", head, state),
        }
        bins = [state.get(f"handec.deccam.{axis}_centers") for axis in "xyz"]
        if all(centers is not None for centers in bins):
            sizes["bins"] = tuple(len(centers) for centers in bins)
        elif "handec.deccam.weight" in state:
            sizes["camera"] = "metric"
        return cls(**sizes, statistics="handec.scale_tril" in state)

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) px of the crop."""
        side = math.isqrt(self.tokens) * self.patch_size
        return side, side

    @property
    def drop_cls(self) -> bool:
        """Whether the tokens are the patches alone."""
        return math.isqrt(self.tokens) ** 2 == self.tokens

    @property
    def representation(self) -> str:
        """How the head writes rotations; rotation vectors where the width is none of the known."""
        return REPRESENTATIONS.get(self.pose, "rotvec")

    def shapes(self) -> dict[str, Shape]:
        """Every published weight of backbone, embedder and head with its shape, in order."""
        return {
            **{f"backbone.backbone.{key}": shape for key, shape in self._backbone()},
            **{f"persp_info_embedder.{key}": shape for key, shape in self._embedder()},
            **{f"handec.{key}": shape for key, shape in self._head()},
        }

    def _backbone(self) -> Iterator[tuple[str, Shape]]:
        dim, patch = self.dim, self.patch_size
        yield "embeddings.cls_token", (1, 1, dim)
        yield "embeddings.mask_token", (1, dim)
        yield "embeddings.position_embeddings", (1, self.positions, dim)
        yield from _affine("embeddings.patch_embeddings.projection", (dim, 3, patch, patch))
        for i in range(self.depth):
            layer = f"encoder.layer.{i}"
            yield from _affine(f"{layer}.norm1", (dim,))
            for part in ("attention.query", "attention.key", "attention.value", "output.dense"):
                yield from _affine(f"{layer}.attention.{part}", (dim, dim))
            yield f"{layer}.layer_scale1.lambda1", (dim,)
            yield from _affine(f"{layer}.norm2", (dim,))
            yield from _affine(f"{layer}.mlp.fc1", (self.mlp_dim, dim))
            yield from _affine(f"{layer}.mlp.fc2", (dim, self.mlp_dim))
            yield f"{layer}.layer_scale2.lambda1", (dim,)
        yield from _affine("layernorm", (dim,))

    def _embedder(self) -> Iterator[tuple[str, Shape]]:
        dim = self.dim
        yield "net.pos_embedding", (1, self.tokens, dim)
        yield from _affine("net.to_token_embedding", (dim, dim))
        layer = f"net.{_LAYERS}0"
        yield from _block(layer, dim, self.neck_inner, self.context_dim, self.neck_mlp_dim)
        yield "zero_linear.weight", (dim, dim)

    def _head(self) -> Iterator[tuple[str, Shape]]:
        dim, query = self.head_dim, self.pose + _BETAS + _CAM
        yield "init_hand_pose", (1, self.pose)
        yield "init_betas", (1, _BETAS)
        yield "init_cam", (1, _CAM)
        if self.statistics:
            yield "scale_tril", (_STATISTICS, _STATISTICS)
            yield "output_mean", (_STATISTICS,)
        yield "transformer.pos_embedding", (1, 1, dim)
        yield from _affine("transformer.to_token_embedding", (dim, query))
        for i in range(self.head_depth):
            layer = f"transformer.{_LAYERS}{i}"
            yield from _block(layer, dim, self.head_inner, self.dim, self.head_mlp_dim)
        yield from _affine("decpose", (self.pose, dim))
        yield from _affine("decshape", (_BETAS, dim))
        if self.camera == "metric":
            yield from _affine("deccam", (_CAM, dim))
            return
        for axis, count in zip("xyz", self.bins, strict=True):
            yield f"deccam.{axis}_centers", (count,)
        for axis, count in zip("xyz", self.bins, strict=True):
            yield f"deccam.dec{axis}.weight", (count, dim)


def _block(layer: str, dim: int, inner: int, context: int, mlp: int) -> Iterator[tuple[str, Shape]]:
    yield from _affine(f"{layer}.0.norm", (dim,))
    yield f"{layer}.0.fn.to_qkv.weight", (3 * inner, dim)
    yield from _affine(f"{layer}.0.fn.to_out.0", (dim, inner))
    yield from _affine(f"{layer}.1.norm", (dim,))
    yield f"{layer}.1.fn.to_kv.weight", (2 * inner, context)
    yield f"{layer}.1.fn.to_q.weight", (inner, dim)
    yield from _affine(f"{layer}.1.fn.to_out.0", (dim, inner))
    yield from _affine(f"{layer}.2.norm", (dim,))
    yield from _affine(f"{layer}.2.fn.net.0", (mlp, dim))
    yield from _affine(f"{layer}.2.fn.net.3", (dim, mlp))


def _affine(name: str, weight: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]


def _count(field: str, prefix: str, state: Mapping[str, Tensor]) -> dict[str, int]:
    """How many numbered layers stand under a prefix; a gap in them shows as missing keys."""
    numbers = {key[len(prefix) :].split(".", 1)[0] for key in state if key.startswith(prefix)}
    return {field: len(numbers)} if numbers else {}
