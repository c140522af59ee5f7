"""Neck and head at the published widths, against numbers recorded from the original CS-ViT2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CropView
from zoo.heads.cameras.heatmap import HeatmapCamera
from zoo.heads.mano_decoder import ManoDecoder
from zoo.necks.ray_attention import RayAttention

RECORDED = np.load(Path(__file__).parents[1] / "oracles" / "csvit2_production.npz")
CLOSE = {"atol": 5e-4, "rtol": 1e-3}
WIDTH, TOKENS = 1024, 257


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(RECORDED[name])


@pytest.fixture(scope="module")
def view() -> CropView:
    """The recorded patch box as a crop of 224 px."""
    box, focal, center = (recorded(f"ca/{name}") for name in ("bbox", "focal", "princpt"))
    scale = 224 / (box[:, 2:] - box[:, :2])
    intrinsics = torch.eye(3)[None].clone()
    intrinsics[:, (0, 1), (0, 1)] = focal * scale
    intrinsics[:, :2, 2] = (center - box[:, :2]) * scale
    return CropView(
        images=torch.zeros(1, 3, 224, 224),
        intrinsics=intrinsics,
        hand_box=torch.zeros(1, 4),
        frame_from_crop=torch.eye(3)[None],
        is_left=torch.zeros(1, dtype=torch.bool),
    )


@torch.no_grad()
def test_the_neck_at_full_width_is_the_original(view, by_rule):
    neck = RayAttention(token_dim=WIDTH, num_tokens=TOKENS)
    by_rule.fill(neck, "persp_info_embedder.")
    tokens = neck(by_rule.normal("csvit2/prod/context", (1, TOKENS, WIDTH)), view)
    torch.testing.assert_close(tokens[:, ::16], recorded("ca/out_every16"), **CLOSE)


@torch.no_grad()
def test_the_head_at_full_width_is_the_original(view, by_rule):
    camera = HeatmapCamera(dim=WIDTH)
    sizes = {"dim": WIDTH, "depth": 4, "num_heads": 16, "head_dim": 64, "mlp_dim": 4096}
    head = ManoDecoder(
        token_dim=WIDTH,
        camera=camera,
        residual=False,
        init="random",
        representation="rotvec",
        **sizes,
    )
    starts = recorded("head/query")[0, 0].split(head.widths)
    given = dict(zip(("init_hand_pose", "init_betas", "init_cam"), starts, strict=True))
    given |= {f"camera.{axis}_centers": getattr(camera, f"{axis}_centers") for axis in "xyz"}
    by_rule.fill(
        head, "handec.", original=lambda key: key.replace("camera.", "deccam."), given=given
    )
    query = head.query(by_rule.normal("csvit2/prod/context", (1, TOKENS, WIDTH)), view)
    prediction = head.read(query, view)
    torch.testing.assert_close(query.token, recorded("head/token"), **CLOSE)
    torch.testing.assert_close(prediction.betas, recorded("head/shape"), **CLOSE)
    for axis in "xyz":
        log_heatmap = prediction.aux[f"log_heatmap_{axis}"]
        torch.testing.assert_close(log_heatmap, recorded(f"head/log_hm_{axis}"), **CLOSE)
