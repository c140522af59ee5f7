"""The published names of HaMeR's weights and their shapes, at any size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor

Shape = tuple[int, ...]

# Published heads by width; no weight tells them (Xu et al., 2022, table 8).
_VIT_HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
_HEAD_DIM = 64  # of the decoder
_POSE, _BETAS, _CAM = 96, 10, 3

MANO_SHAPES: dict[str, Shape] = {
    "shapedirs": (778, 3, 10),
    "faces_tensor": (1538, 3),
    "v_template": (778, 3),
    "J_regressor": (16, 778),
    "posedirs": (135, 2334),
    "parents": (16,),
    "lbs_weights": (778, 16),
    "hand_components": (6, 45),
    "hand_mean": (45,),
    "pose_mean": (48,),
    "extra_joints_idxs": (5,),
    "joint_map": (21,),
    "vertex_joint_selector.extra_joints_idxs": (5,),
}


@dataclass(frozen=True)
class Layout:
    """The sizes of a HaMeR; the defaults are the released model's."""

    dim: int = 1280
    depth: int = 32
    mlp_dim: int = 5120
    positions: int = 193
    head_dim: int = 1024
    head_depth: int = 6
    head_inner: int = 512
    head_mlp_dim: int = 1024
    query_width: int = 1  # 1: the constant zero query; 109: the mean parameters

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Self:
        """The sizes of a published state dict; what it does not tell is as released."""

        def size(field: str, key: str, axis: int, divisor: int = 1) -> dict[str, int]:
            found = state.get(key)
            if found is None or found.ndim <= axis:
                return {}
            return {field: found.shape[axis] // divisor}

        layer = "mano_head.transformer.transformer.layers."
        sizes = {
            **size("dim", "backbone.pos_embed", 2),
            **size("positions", "backbone.pos_embed", 1),
            **size("mlp_dim", "backbone.blocks.0.mlp.fc1.weight", 0),
            **size("head_dim", "mano_head.transformer.pos_embedding", 2),
            **size("head_inner", f"{layer}0.0.fn.to_qkv.weight", 0, 3),
            **size("head_mlp_dim", f"{layer}0.2.fn.net.0.weight", 0),
            **size("query_width", "mano_head.transformer.to_token_embedding.weight", 1),
            **_count("depth", "backbone.blocks.", state),
            **_count("head_depth", layer, state),
        }
        return cls(**sizes)

    @property
    def num_heads(self) -> int:
        """Attention heads of the backbone, as published for its width."""
        return _VIT_HEADS.get(self.dim, max(1, self.dim // 64))

    @property
    def head_num_heads(self) -> int:
        """Attention heads of the decoder, 64 wide each."""
        return max(1, self.head_inner // _HEAD_DIM)

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) px of the square crop whose upright middle has 4 k x 3 k patches of 16 px."""
        side = 64 * round(math.sqrt((self.positions - 1) / 12))
        return side, side

    def shapes(self) -> dict[str, Shape]:
        """Every published key with its shape, in the published order."""
        return {
            "initialized": (),
            **{f"backbone.{key}": shape for key, shape in self._backbone()},
            **{f"mano_head.{key}": shape for key, shape in self._head()},
            **{f"discriminator.{key}": shape for key, shape in _discriminator()},
            **{f"mano.{key}": shape for key, shape in MANO_SHAPES.items()},
        }

    def _backbone(self) -> Iterator[tuple[str, Shape]]:
        dim = self.dim
        yield "pos_embed", (1, self.positions, dim)
        yield from _affine("patch_embed.proj", (dim, 3, 16, 16))
        for i in range(self.depth):
            yield from _affine(f"blocks.{i}.norm1", (dim,))
            yield from _affine(f"blocks.{i}.attn.qkv", (3 * dim, dim))
            yield from _affine(f"blocks.{i}.attn.proj", (dim, dim))
            yield from _affine(f"blocks.{i}.norm2", (dim,))
            yield from _affine(f"blocks.{i}.mlp.fc1", (self.mlp_dim, dim))
            yield from _affine(f"blocks.{i}.mlp.fc2", (dim, self.mlp_dim))
        yield from _affine("last_norm", (dim,))

    def _head(self) -> Iterator[tuple[str, Shape]]:
        dim, inner = self.head_dim, self.head_inner
        yield from {
            "init_hand_pose": (1, _POSE),
            "init_betas": (1, _BETAS),
            "init_cam": (1, _CAM),
            "transformer.pos_embedding": (1, 1, dim),
        }.items()
        yield from _affine("transformer.to_token_embedding", (dim, self.query_width))
        for i in range(self.head_depth):
            layer = f"transformer.transformer.layers.{i}"
            yield from _affine(f"{layer}.0.norm", (dim,))
            yield f"{layer}.0.fn.to_qkv.weight", (3 * inner, dim)
            yield from _affine(f"{layer}.0.fn.to_out.0", (dim, inner))
            yield from _affine(f"{layer}.1.norm", (dim,))
            yield f"{layer}.1.fn.to_kv.weight", (2 * inner, self.dim)
            yield f"{layer}.1.fn.to_q.weight", (inner, dim)
            yield from _affine(f"{layer}.1.fn.to_out.0", (dim, inner))
            yield from _affine(f"{layer}.2.norm", (dim,))
            yield from _affine(f"{layer}.2.fn.net.0", (self.head_mlp_dim, dim))
            yield from _affine(f"{layer}.2.fn.net.3", (dim, self.head_mlp_dim))
        yield from _affine("decpose", (_POSE, dim))
        yield from _affine("decshape", (_BETAS, dim))
        yield from _affine("deccam", (_CAM, dim))


def _discriminator() -> Iterator[tuple[str, Shape]]:
    yield from _affine("D_conv1", (32, 9, 1, 1))
    yield from _affine("D_conv2", (32, 32, 1, 1))
    for joint in range(15):
        yield from _affine(f"pose_out.{joint}", (1, 32))
    yield from _affine("betas_fc1", (10, 10))
    yield from _affine("betas_fc2", (5, 10))
    yield from _affine("betas_out", (1, 5))
    yield from _affine("D_alljoints_fc1", (1024, 480))
    yield from _affine("D_alljoints_fc2", (1024, 1024))
    yield from _affine("D_alljoints_out", (1, 1024))


def _affine(name: str, weight: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]


def _count(field: str, prefix: str, state: Mapping[str, Tensor]) -> dict[str, int]:
    """How many numbered layers stand under a prefix; a gap in them shows as missing keys."""
    numbers = {key[len(prefix) :].split(".", 1)[0] for key in state if key.startswith(prefix)}
    return {field: len(numbers)} if numbers else {}
