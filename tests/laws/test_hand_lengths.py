"""A head that counts hand lengths measures its own hand, row by row, and no label."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from registry.config import load
from registry.whole import build_model
from zoo.contracts import CropView, HandTarget
from zoo.mano.topology import hand_scale
from zoo.model import HandMeshModel

HANDS = 5


@pytest.fixture(scope="module")
def model() -> HandMeshModel:
    """A tiny csvit2 that says something different of every crop."""
    model = build_model(load("csvit2", ["model.precision=fp32"], size="tiny"))
    with torch.no_grad():  # so that hands differ in shape, and so in length
        model.head.decshape.weight.mul_(100)
    return model.eval()


@pytest.fixture(scope="module")
def view(model) -> CropView:
    rng = torch.Generator().manual_seed(0)
    height, width = model.backbone.image_size
    patterns = torch.rand(HANDS, 3, height, width, generator=rng)
    camera = torch.tensor([[300.0, 0.0, width / 2], [0.0, 300.0, height / 2], [0.0, 0.0, 1.0]])
    return CropView(
        images=torch.rand(HANDS, 3, 1, 1, generator=rng) * patterns,
        intrinsics=camera.expand(HANDS, 3, 3),
        hand_box=torch.tensor([[10.0, 10.0, 100.0, 100.0]]).expand(HANDS, 4),
        frame_from_crop=torch.eye(3).expand(HANDS, 3, 3),
        is_left=torch.zeros(HANDS, dtype=torch.bool),
    )


def target(scale: float) -> HandTarget:
    """A label of a hand `scale` times as large as a real one, half of its fingers not labelled."""
    valid = torch.ones(HANDS, 21)
    valid[::2, 9:13] = 0
    return HandTarget(
        rotmats=torch.eye(3).expand(HANDS, 16, 3, 3),
        betas=torch.zeros(HANDS, 10),
        has_mano=torch.ones(HANDS),
        joints=scale * torch.linspace(0.1, 1.0, HANDS * 63).view(HANDS, 21, 3),
        joints_valid=valid,
        keypoints=torch.zeros(HANDS, 21, 2),
        keypoints_valid=valid,
        has_intrinsics=torch.ones(HANDS),
    )


@torch.no_grad()
def test_each_hand_is_placed_by_its_own_length(model, view):
    prediction = model(view)
    lengths = hand_scale(model.hand(prediction.rotmats, prediction.betas)[1])
    assert lengths.std() > 3e-4, "all hands are equally long, nothing is told apart"
    expected = prediction.aux["wrist_in_hands"] * lengths[:, None]
    assert prediction.camera.position.shape == (HANDS, 3)
    torch.testing.assert_close(prediction.camera.position, expected)


@torch.no_grad()
def test_a_hand_does_not_depend_on_the_others_of_its_batch(model, view):
    together = model(view)
    for i in range(HANDS):
        alone = model(view.map(lambda tensor, i=i: tensor[i : i + 1]))
        place = together.camera.position[i : i + 1]
        torch.testing.assert_close(alone.camera.position, place, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_no_label_moves_a_prediction(model, view):
    said = {}
    for scale in (1.0, 1.1):
        records = model(view, target(scale), mode="predict")
        said[scale] = [record["prediction"]["joints"] for record in records]
    plain = model.hand.place(model(view)).joints
    for i in range(HANDS):
        assert (said[1.0][i] == said[1.1][i]).all()
        torch.testing.assert_close(torch.from_numpy(said[1.0][i]), plain[i])


def test_a_loss_may_ask_for_the_labels_length_by_name_alone(model, view):
    prediction, label = model(view), target(1.0)
    losses = {}
    for scale in ("predicted", "label"):
        said = [f"model.losses.reprojection.hand_scale={scale}"]
        terms = build_model(load("csvit2", said, size="tiny")).losses
        mesh = model.hand.place(prediction)
        losses[scale] = terms["reprojection"](prediction, mesh, dataclasses.replace(label))
    assert losses["predicted"].isfinite()
    assert losses["predicted"] != losses["label"]
