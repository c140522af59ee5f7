"""Both ray necks against numbers recorded from the original CS-ViT2 embedder, two versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CropView
from zoo.necks.ray_attention import RayAttention
from zoo.necks.ray_bias import RayBias

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_embedder.npz")
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(RECORDED[name])


def crop_of(box: torch.Tensor, focal: torch.Tensor, center: torch.Tensor, size: int) -> CropView:
    """A crop that shows the patch box of a picture, so that its own camera sees the same rays."""
    batch, scale = len(box), size / (box[:, 2:] - box[:, :2])
    intrinsics = torch.eye(3).repeat(batch, 1, 1)
    intrinsics[:, (0, 1), (0, 1)] = focal * scale
    intrinsics[:, :2, 2] = (center - box[:, :2]) * scale
    return CropView(
        images=torch.zeros(batch, 3, size, size),
        intrinsics=intrinsics,
        hand_box=torch.zeros(batch, 4),
        frame_from_crop=torch.eye(3).expand(batch, 3, 3),
        is_left=torch.zeros(batch, dtype=torch.bool),
    )


def recorded_crop(version: str, size: int = 224) -> CropView:
    return crop_of(*(recorded(f"{version}/inputs/{n}") for n in ("bbox", "focal", "princpt")), size)


@pytest.mark.parametrize("version", ["feb10", "old"])
@pytest.mark.parametrize("samples", [8, 4])
def test_rays_and_tokens_are_those_of_the_original(version, samples, by_rule):
    neck = RayAttention(token_dim=64, num_tokens=17, num_samples=samples, uv=version == "feb10")
    by_rule.fill(neck, "persp_info_embedder.")
    view = recorded_crop(version)
    context = recorded(f"{version}/p{samples}/context")
    torch.testing.assert_close(neck.context(view), context, atol=1e-6, rtol=1e-5)
    tokens = neck(recorded(f"{version}/inputs/feats"), view)
    torch.testing.assert_close(tokens, recorded(f"{version}/p{samples}/out"), **CLOSE)


def test_the_size_of_the_crop_does_not_matter(by_rule):
    neck = by_rule.fill(RayAttention(token_dim=64, num_tokens=17), "persp_info_embedder.")
    small, large = (neck.context(recorded_crop("feb10", size)) for size in (96, 224))
    torch.testing.assert_close(small, large, atol=1e-6, rtol=1e-5)


# The dense embedder, the same in both versions.

FUSIONS = {"patch": "patch", "all": "all", "cls": "cls_as_released"}


def dense(samples: int, fusion: str, by_rule) -> RayBias:
    neck = RayBias(
        token_dim=64,
        token_grid=(4, 4),
        num_prefix_tokens=1,
        num_samples=samples,
        fusion=FUSIONS[fusion],
    )
    running = {
        key: by_rule.normal(f"persp_info_embedder.{key}", (64,), *size)
        for key in neck.state_dict()
        for name, size in (("running_mean", (0.1, 0.0)), ("running_var", (0.1, 1.0)))
        if key.endswith(name)
    }
    counts = {k: v for k, v in neck.state_dict().items() if k.endswith("num_batches_tracked")}
    return by_rule.fill(neck, "persp_info_embedder.", given=running | counts)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("samples", [8, 4])
def test_the_bias_and_whom_it_reaches_are_those_of_the_original(samples, fusion, by_rule):
    neck, view = dense(samples, fusion, by_rule), recorded_crop("feb10")
    case = f"feb10/dense_p{samples}_{fusion}"
    torch.testing.assert_close(neck.bias(view), recorded(f"{case}/vector"), **CLOSE)
    tokens = recorded("feb10/inputs/feats")
    torch.testing.assert_close(neck(tokens, view), recorded(f"{case}/out"), **CLOSE)


@pytest.mark.parametrize("samples", [8, 4])
def test_in_training_the_bias_is_normalised_over_the_batch_as_recorded(samples, by_rule):
    neck = dense(samples, "all", by_rule).train()
    case = f"feb10/dense_p{samples}_all_trainmode"
    tokens = neck(recorded("feb10/inputs/feats"), recorded_crop("feb10"))
    torch.testing.assert_close(tokens, recorded(f"{case}/out"), **CLOSE)
    for name in ("running_mean", "running_var"):
        expected = recorded(f"{case}/{name}_0")
        torch.testing.assert_close(getattr(neck.mlp[1], name), expected, **CLOSE)
