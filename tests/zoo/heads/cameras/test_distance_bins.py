"""Both cameras that read how far a hand is from bins around its box's own guess."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from zoo.contracts import CameraReadout
from zoo.geometry.camera import project
from zoo.heads.cameras.depth_bins import DepthBinsCamera
from zoo.heads.cameras.distance_bins import box_geometry
from zoo.heads.cameras.ray_distance import RayDistanceCamera

SMALL = {"dim": 16, "hidden_dim": 8, "dropout": 0.0}
CAMERAS = {
    "depth": lambda **kw: DepthBinsCamera(bins=(9, 11), **SMALL | kw),
    "distance": lambda **kw: RayDistanceCamera(cells=(12, 10), **SMALL | kw),
}
CROSS = torch.tensor([[30.0, 40.0, 70.0, 80.0]])


def camera(name: str, **changes):
    torch.manual_seed(0)
    return CAMERAS[name](**changes)


@pytest.fixture
def boxed(view):
    sizes = torch.tensor([1.0, 1.5, 0.5, 2.0, 1.2])[:, None]
    return dataclasses.replace(view, hand_box=CROSS * sizes)


@pytest.mark.parametrize("name", CAMERAS)
def test_it_is_a_camera_and_tells_what_it_promises(name, token, boxed):
    model = camera(name)
    reading = model(token, None, boxed)
    assert isinstance(model, CameraReadout)
    assert reading.aux.keys() == model.provides
    assert reading.values.shape == (5, 3)
    assert reading.pose.anchor == "wrist"
    assert torch.equal(reading.pose.intrinsics, boxed.intrinsics)
    assert all(value.isfinite().all() for value in reading.aux.values())


@pytest.mark.parametrize("name", CAMERAS)
def test_the_distance_is_the_prior_times_the_chosen_bin(name, token, boxed):
    reading = camera(name)(token, None, boxed)
    aux = {key.removeprefix(f"{name}_"): value for key, value in reading.aux.items()}
    chosen = aux["logits"].argmax(-1)
    residual = aux["residuals"][torch.arange(5), chosen].clamp(-0.5, 0.5)
    width = aux["bin_centers"][0].diff()[0]
    log_ratio = aux["bin_centers"][0][chosen] + residual * width
    position = reading.pose.position
    far = position[:, 2] if name == "depth" else position.norm(dim=-1)
    torch.testing.assert_close(far.log(), aux["log_prior"] + log_ratio)


@pytest.mark.parametrize("name", CAMERAS)
def test_a_box_half_as_large_puts_the_prior_twice_as_far(name, boxed):
    half = dataclasses.replace(boxed, hand_box=boxed.hand_box * 0.5)
    near, far = box_geometry(boxed, 0.121), box_geometry(half, 0.121)
    torch.testing.assert_close(far.depth, 2 * near.depth)
    assert (near.distance >= near.depth).all()


@pytest.mark.parametrize("name", CAMERAS)
def test_box_and_camera_change_the_answer(name, token, boxed):
    model = camera(name)
    position = model(token, None, boxed).pose.position
    wider = boxed.hand_box + torch.tensor([0.0, 0.0, 15.0, 5.0])
    for other in (
        dataclasses.replace(boxed, hand_box=wider),
        dataclasses.replace(
            boxed, intrinsics=boxed.intrinsics * torch.tensor([1.5, 1.5, 1.0])[:, None]
        ),
    ):
        moved = model(token, None, other).pose.position
        assert ((moved - position).abs().amax(-1) > 1e-4).all()


@pytest.mark.parametrize("name", CAMERAS)
def test_gradients_reach_every_parameter_through_what_losses_read(name, token, boxed):
    model = camera(name)
    reading = model(token, None, boxed)
    read = [value.square().sum() for value in reading.aux.values() if value.requires_grad]
    (sum(read) + reading.pose.position.square().sum()).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("name", CAMERAS)
def test_one_hand_does_not_depend_on_the_others_and_a_box_without_extent_is_finite(
    name, token, boxed
):
    model = camera(name).eval()
    among = model(token, None, boxed).pose.position
    alone = model(token[2:3], None, boxed.map(lambda tensor: tensor[2:3])).pose.position
    torch.testing.assert_close(alone, among[2:3])
    flat = dataclasses.replace(boxed, hand_box=torch.full((5, 4), 7.0))
    assert model(token, None, flat).pose.position.isfinite().all()


def test_the_wrist_is_seen_where_the_heat_map_says(token, boxed):
    model = camera("distance")
    reading = model(token, None, boxed)
    heat = reading.aux["log_heatmap_crop"].exp()
    x = (heat.sum(1) * reading.aux["heatmap_columns"]).sum(-1)
    y = (heat.sum(2) * reading.aux["heatmap_rows"]).sum(-1)
    seen = project(reading.pose.position[:, None], boxed.intrinsics)[:, 0]
    torch.testing.assert_close(seen, torch.stack((x, y), dim=-1), atol=1e-3, rtol=1e-4)
    assert reading.aux["heatmap_columns"][0, [0, -1]].tolist() == [0, 96]
    assert reading.aux["heatmap_rows"][0, [0, -1]].tolist() == [0, 128]


@pytest.mark.parametrize("name", CAMERAS)
def test_bins_without_extent_are_refused(name):
    with pytest.raises(ValueError, match="needs two or more bins"):
        camera(name, log_range=(0.5, 0.5))
