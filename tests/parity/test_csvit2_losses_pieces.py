"""The element-wise pieces of CS-ViT2's losses, against numbers recorded from the original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.contracts import CropView
from zoo.heads.cameras.distance_bins import box_geometry
from zoo.losses.crop_heatmap import crop_target
from zoo.losses.distance_bins import bin_of
from zoo.losses.heatmap import gaussian_target
from zoo.losses.reduce import mean_over_valid, reduce_errors
from zoo.losses.reprojection import robust_l1

ORACLES = Path(__file__).parents[1] / "oracles"
LOSSES, OLD, HEATMAPS, CROPS = (
    np.load(ORACLES / f"csvit2_{name}.npz")
    for name in ("losses_head", "losses_feb10", "heatmap_ce", "heatmap_ce_2d")
)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(LOSSES[name])


@pytest.mark.parametrize("knee", [20, 84])
def test_the_robust_error_is_the_recorded_one_with_finite_gradients(knee):
    x = recorded(f"robust_l1_delta{knee}/x").requires_grad_()
    value = robust_l1(x, float(knee))
    torch.testing.assert_close(value, recorded(f"robust_l1_delta{knee}/y"), **CLOSE)
    value.sum().backward()
    expected = recorded(f"robust_l1_delta{knee}/grad")
    known = expected.isfinite()
    assert not known.all(), "the recorded defect"
    assert x.grad.isfinite().all()
    torch.testing.assert_close(x.grad[known], expected[known], **CLOSE)


def test_the_masked_mean_is_the_one_of_march():
    loss, mask = recorded("masked_mean/loss"), recorded("masked_mean/mask")
    value = mean_over_valid(loss, mask.expand_as(loss))
    torch.testing.assert_close(value, recorded("masked_mean/out_mask_broadcast"), **CLOSE)


@pytest.mark.parametrize("sigma", [0.5, 0.05])
def test_heatmap_targets_fade_as_recorded_when_asked_to(sigma):
    centers = torch.from_numpy(HEATMAPS["small/centers"])
    position = torch.from_numpy(HEATMAPS["small/gt"]).flatten()
    target = gaussian_target(
        position, centers.expand(len(position), -1), sigma, vanishing=True
    ).unflatten(0, (6, 2))
    expected = torch.from_numpy(HEATMAPS[f"small_sigma{sigma}/target"])
    torch.testing.assert_close(target, expected, **CLOSE)
    cost = -(target * torch.from_numpy(HEATMAPS["small/log_prob"])).sum(-1)
    torch.testing.assert_close(
        cost, torch.from_numpy(HEATMAPS[f"small_sigma{sigma}/loss"]), **CLOSE
    )
    vanished = expected.sum(-1) < 0.5
    assert vanished.any() == (sigma < 0.1), "a Gaussian far below the bin misses every centre"


@pytest.mark.parametrize(("grid", "nats"), [("x512", np.log(512)), ("z1024", np.log(1024))])
def test_a_uniform_guess_on_the_published_grid_costs_what_was_recorded(grid, nats):
    centers = torch.from_numpy(HEATMAPS[f"{grid}/centers"])
    position = torch.from_numpy(HEATMAPS[f"{grid}/gt"]).flatten()
    target = gaussian_target(position, centers.expand(len(position), -1), 0.09, vanishing=True)
    cost = (target.sum(-1) * nats).unflatten(0, (6, 2)).float()
    expected = torch.from_numpy(HEATMAPS[f"{grid}_sigma0.09/loss_uniform_prediction"])
    torch.testing.assert_close(cost, expected, rtol=1e-4, atol=1e-4)


def test_the_first_masked_mean_adds_components_as_released():
    loss, mask = (torch.from_numpy(OLD[f"masked_mean/{name}"]) for name in ("loss", "mask"))
    value = reduce_errors(loss, mask[..., 0], "component_sum")
    expected = torch.from_numpy(OLD["masked_mean/out_mask_not_broadcast"])
    torch.testing.assert_close(value, expected, **CLOSE)
    right = reduce_errors(loss, mask[..., 0], "mean")
    torch.testing.assert_close(value, right * loss.shape[-1])


def test_the_heat_map_over_the_crop_costs_what_was_recorded():
    x, y = (torch.from_numpy(CROPS[f"{axis}_centers"]) for axis in "xy")
    wrist = torch.from_numpy(CROPS["gt"]).flatten(0, 1)
    log_heat = torch.from_numpy(CROPS["log_prob"]).flatten(0, 1)
    sigma = float(CROPS["sigma"])
    columns, rows = (centers.expand(len(wrist), -1) for centers in (x, y))
    spread = crop_target(wrist, columns, rows, sigma=sigma, fading=True)
    cost = -(spread * log_heat).sum((-2, -1))
    expected = torch.from_numpy(CROPS["loss"]).flatten()
    torch.testing.assert_close(cost, expected, rtol=1e-4, atol=1e-4)


def test_labels_fall_into_the_recorded_bins():
    centers = torch.from_numpy(CROPS["decode/bin_centers"])
    log_ratio = torch.from_numpy(CROPS["encode/delta_log_z"])
    number, residual = bin_of(log_ratio, centers.expand(len(log_ratio), -1))
    assert torch.equal(number, torch.from_numpy(CROPS["encode/bin_idx"]))
    torch.testing.assert_close(residual, torch.from_numpy(CROPS["encode/residual"]), **CLOSE)


def test_a_box_suggests_the_recorded_depth_and_distance():
    recorded = {k[6:]: torch.from_numpy(CROPS[k]) for k in CROPS if k.startswith("prior/")}
    intrinsics = torch.eye(3).repeat(4, 1, 1)
    intrinsics[:, (0, 1), (0, 1)], intrinsics[:, :2, 2] = recorded["focal"], recorded["princpt"]
    blank = torch.zeros(4, 3, 1, 1)
    view = CropView(blank, intrinsics, recorded["hand_bbox"], intrinsics, torch.zeros(4))
    found = box_geometry(view, float(recorded["k"]) / 1000)
    box = recorded["hand_bbox"]
    some = (box[:, 2:] > box[:, :2]).all(-1)  # a box of no size stands 6e7 km away there
    assert not some.all()
    assert found.depth.max() < 1000
    for name, value in (("z", found.depth * 1000), ("rho", found.distance * 1000)):
        torch.testing.assert_close(value[some], recorded[f"{name}_prior"][some], **CLOSE)
        features = torch.cat((value.log()[:, None], found.shape), dim=-1)[some]
        torch.testing.assert_close(features, recorded[f"{name}_features"][some], **CLOSE)
