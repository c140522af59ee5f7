from __future__ import annotations

import torch

from zoo.contracts import CameraReadout
from zoo.heads.cameras.metric import MetricCamera

MEAN, STD = (0.1, -0.2, 0.8), (0.1, 0.2, 0.3)


def camera() -> MetricCamera:
    torch.manual_seed(0)
    return MetricCamera(dim=16, mean=MEAN, std=STD)


def test_the_average_hand_stands_at_the_mean(view, token):
    model = camera()
    torch.nn.init.zeros_(model.linear.weight)
    torch.nn.init.zeros_(model.linear.bias)
    reading = model(token, model.initial.expand(5, 3), view)
    torch.testing.assert_close(reading.pose.position, torch.tensor(MEAN).expand(5, 3))


def test_a_value_counts_standard_deviations(view, token):
    model = camera()
    reading, further = model(token, None, view), model(token, torch.ones(5, 3), view)
    assert isinstance(model, CameraReadout)
    torch.testing.assert_close(
        further.pose.position - reading.pose.position, torch.tensor(STD).expand(5, 3)
    )
    torch.testing.assert_close(further.values, reading.values + 1)


def test_the_pose_is_the_wrist_in_the_true_camera(view, token):
    pose = camera()(token, None, view).pose
    assert pose.anchor == "wrist"
    assert torch.equal(pose.intrinsics, view.intrinsics)


def test_a_small_readout_gain_starts_near_the_average_hand(view, token):
    near, far = MetricCamera(dim=16, readout_gain=0.01), MetricCamera(dim=16)
    for model in (near, far):
        torch.nn.init.zeros_(model.linear.bias)
    sizes = [model(token, None, view).values.abs().max() for model in (near, far)]
    assert sizes[0] < 0.1 * sizes[1]
