"""The whole Stage 1 of three versions: published weights in, what the original predicted out."""

from __future__ import annotations

import pytest
import torch

from zoo.geometry.rotation import geodesic_angle, rotvec_to_rotmat

CLOSE = {"atol": 5e-5, "rtol": 2e-4}


@pytest.mark.parametrize("version", ["old", "feb10", "head"])
@torch.no_grad()
def test_published_weights_say_what_the_original_said(version, csvit2_network, by_rule, tmp_path):
    recorded = csvit2_network.recorded
    model = csvit2_network.model_of(version, by_rule, tmp_path)
    prediction = model(csvit2_network.view())
    pose = prediction.aux["pose_rotvec"].flatten(1) - model.head.pose_offset
    torch.testing.assert_close(pose, recorded(f"{version}/pose"), **CLOSE)
    torch.testing.assert_close(prediction.betas, recorded(f"{version}/shape"), **CLOSE)
    place = prediction.camera.position * 1000 if version == "old" else None
    place = prediction.aux["wrist_in_hands"] if place is None else place
    torch.testing.assert_close(place, recorded(f"{version}/trans"), atol=2e-3, rtol=1e-4)
    for axis in "xyz" if version == "feb10" else "":
        found = prediction.aux[f"log_heatmap_{axis}"]
        torch.testing.assert_close(found, recorded(f"feb10/log_hm_{axis}"), atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_angles_are_offsets_to_the_mean_pose_of_the_models_hand(csvit2_network, by_rule, tmp_path):
    model, recorded = csvit2_network.model_of("feb10", by_rule, tmp_path), csvit2_network.recorded
    rotmats = model(csvit2_network.view()).rotmats
    offset = model.head.pose_offset.view(16, 3)
    expected = rotvec_to_rotmat(recorded("feb10/pose").unflatten(1, (16, 3)) + offset)
    assert geodesic_angle(rotmats, expected).max() < 1e-3
    assert offset[1:].abs().max() > 0.05
