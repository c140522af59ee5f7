"""The whole of HaMeR, picture to mesh, against numbers recorded from the original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

ORACLES = Path(__file__).parents[1] / "oracles"
BACKBONE = np.load(ORACLES / "hamer_backbone.npz")
KEPT = torch.from_numpy(np.load(ORACLES / "hamer_mano.npz")["vertices_kept"].astype(np.int64))
EXACT = {"atol": 1e-5, "rtol": 0}


def recorded(arrays, name: str) -> torch.Tensor:
    return torch.from_numpy(arrays[name])


@pytest.fixture(scope="module")
def model(hamer):
    return hamer.model(depth=2)


@pytest.fixture(scope="module")
def pictures(by_rule):
    return by_rule.normal("hamer.img", (3, 3, 256, 256))


@torch.no_grad()
def test_tokens_are_the_originals_from_the_patches_to_the_last_norm(model, pictures, hamer):
    seen: list[torch.Tensor] = []
    first_block, second_block = model.backbone.blocks
    handles = [
        first_block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])),
        first_block.register_forward_hook(lambda _, __, output: seen.append(output)),
        second_block.register_forward_hook(lambda _, __, output: seen.append(output)),
    ]
    tokens = model.backbone(hamer.view(pictures, model).images)
    for handle in handles:
        handle.remove()
    embedded, first, second = seen
    close = torch.testing.assert_close
    close(embedded[:, ::4, ::20], recorded(BACKBONE, "embedded"), **EXACT)
    close(first[0, ::4, ::20], recorded(BACKBONE, "block0"), **EXACT)
    close(second.mean(1), recorded(BACKBONE, "block1_mean"), **EXACT)
    features = tokens.mT.unflatten(-1, (16, 12))
    close(features[:, ::16, ::2, ::2], recorded(BACKBONE, "feats"), **EXACT)
    close(features.mean((2, 3)), recorded(BACKBONE, "feats_mean"), **EXACT)


@torch.no_grad()
def test_the_epsilon_of_the_norms_shows_on_a_picture_of_one_colour(model, hamer):
    view = hamer.view(torch.zeros(1, 3, 256, 256), model)
    features = model.backbone(view.images).mT.unflatten(-1, (16, 12))
    torch.testing.assert_close(features[:, ::16], recorded(BACKBONE, "zero_image"), **EXACT)


def assert_hand(model, view, arrays) -> None:
    prediction = model(view)
    mesh = model.hand.place(prediction)
    place = prediction.camera.position[:, None]
    said = {
        "global_orient": prediction.rotmats[:, :1],
        "hand_pose": prediction.rotmats[:, 1:],
        "betas": prediction.betas,
        "pred_keypoints_3d": mesh.joints - place,
        "pred_vertices": (mesh.vertices - place)[:, KEPT],
    }
    for name, value in said.items():
        torch.testing.assert_close(value, recorded(arrays, name), **EXACT)
    loose = {
        "pred_keypoints_2d": mesh.keypoints / 256 - 0.5,
        "pred_cam_t": prediction.camera.position,
    }
    for name, value in loose.items():
        torch.testing.assert_close(value, recorded(arrays, name), atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_hand_of_a_picture_is_the_originals(model, pictures, hamer):
    arrays = np.load(ORACLES / "hamer_forward.npz")
    view = hamer.view(pictures, model)
    assert_hand(model, view, arrays)
    focal = model(view).camera.intrinsics[:, (0, 1), (0, 1)]
    torch.testing.assert_close(focal, recorded(arrays, "focal_length"))


@pytest.mark.slow
@torch.no_grad()
def test_the_hand_of_a_picture_is_the_originals_at_full_depth(hamer, by_rule):
    arrays = np.load(ORACLES / "hamer_forward_full_depth.npz")
    model = hamer.model(depth=32)
    view = hamer.view(by_rule.normal("full.img", (3, 3, 256, 256)), model)
    features = model.backbone(view.images).mT.unflatten(-1, (16, 12))
    torch.testing.assert_close(features[:, ::8, ::4, ::4], recorded(arrays, "feats_sub"), **EXACT)
    torch.testing.assert_close(features.mean((2, 3)), recorded(arrays, "feats_mean"), **EXACT)
    assert_hand(model, view, arrays)
