from __future__ import annotations

import pytest
import torch

from zoo.contracts import CameraReadout
from zoo.heads.cameras.heatmap import HeatmapCamera

RANGES = {"x_range": (-0.5, 0.3), "y_range": (-0.2, 0.6), "z_range": (0.0, 2.0)}
BINS = (9, 11, 21)


def camera(**changes) -> HeatmapCamera:
    torch.manual_seed(0)
    return HeatmapCamera(**{"dim": 16, "bins": BINS} | RANGES | changes)


def test_bins_stand_on_both_ends_of_their_range():
    model = camera()
    for axis, count in zip("xyz", BINS, strict=True):
        centers = getattr(model, f"{axis}_centers")
        assert len(centers) == count
        assert (centers[0], centers[-1]) == pytest.approx(RANGES[f"{axis}_range"])
        torch.testing.assert_close(centers.diff(), centers.diff()[:1].expand(count - 1))


def test_heat_that_lies_on_one_bin_puts_the_wrist_there(view, token):
    model = camera()
    for axis, bin_number in (("x", 2), ("y", 10), ("z", 0)):
        weight = getattr(model, f"dec{axis}").weight
        torch.nn.init.zeros_(weight)
        weight.data[bin_number] = 1e3 * token[0]
    reading = model(token[:1], None, view)
    expected = [model.x_centers[2], model.y_centers[10], model.z_centers[0]]
    torch.testing.assert_close(reading.pose.position[0], torch.stack(expected))


def test_even_heat_means_the_middle_which_is_the_average_hand(view, token):
    model = camera()
    for layer in (model.decx, model.decy, model.decz):
        torch.nn.init.zeros_(layer.weight)
    reading = model(token, None, view)
    torch.testing.assert_close(reading.pose.position[0], torch.tensor([-0.1, 0.2, 1.0]))
    torch.testing.assert_close(reading.values, model.initial.expand(5, 3), atol=1e-5, rtol=0)


def test_heat_maps_are_log_probabilities_over_the_centres_they_come_with(view, token):
    model = camera()
    reading = model(token, None, view)
    assert isinstance(model, CameraReadout)
    assert reading.aux.keys() == model.provides
    for i, axis in enumerate("xyz"):
        log_heatmap = reading.aux[f"log_heatmap_{axis}"]
        assert log_heatmap.shape == (5, BINS[i])
        torch.testing.assert_close(log_heatmap.exp().sum(-1), torch.ones(5))
        expectation = (log_heatmap.exp() * reading.aux[f"heatmap_centers_{axis}"]).sum(-1)
        torch.testing.assert_close(expectation, reading.pose.position[:, i])


def test_values_are_of_order_one_at_the_ends_of_the_range():
    model = camera()
    ends = torch.tensor([[-0.5, -0.2, 0.0], [0.3, 0.6, 2.0]])
    values = (ends - model.middle) / model.spread
    torch.testing.assert_close(values, torch.tensor([[-5.0] * 3, [5.0] * 3]))


def test_the_pose_is_the_wrist_in_the_true_camera(view, token):
    reading = camera()(token, None, view)
    assert reading.pose.anchor == "wrist"
    assert torch.equal(reading.pose.intrinsics, view.intrinsics)


def test_the_previous_estimate_is_left_to_the_query(view, token):
    reading, other = camera()(token, None, view), camera()(token, torch.ones(5, 3), view)
    assert torch.equal(reading.values, other.values)


@pytest.mark.parametrize("changes", [{"x_range": (0.3, 0.3)}, {"bins": (1, 11, 21)}])
def test_an_axis_without_extent_is_refused(changes):
    with pytest.raises(ValueError, match=r"x axis has .* it needs two or more bins"):
        camera(**changes)
