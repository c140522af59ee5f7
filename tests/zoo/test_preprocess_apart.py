"""Augmentations that move the picture without its labels, or labels without their picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.augment.crop import HandCrop
from zoo.augment.label_axes import LabelAxes
from zoo.augment.perspective import PerspectiveRotation, Roll
from zoo.contracts import FrameBatch
from zoo.data.synthetic.frames import RenderedFrames
from zoo.geometry.rotation import rotation_about_z
from zoo.preprocess import Preprocess

ORACLES = Path(__file__).parents[1] / "oracles"
FLIP = torch.tensor([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def frames() -> FrameBatch:
    return RenderedFrames(count=4, seed=0, image_size=64)()


def preprocessed(frames: FrameBatch, training: bool, **views):
    crop = HandCrop(size=(64, 64))
    preprocess = Preprocess(crop=crop, view_augmentations=views, pixel_augmentations={}, seed=0)
    data = preprocess(frames, training)
    return data["inputs"], data["data_samples"]


def test_a_roll_as_released_turns_picture_and_keypoints_and_nothing_else(frames):
    view, target = preprocessed(frames, True, roll=Roll(labels="as_released"))
    turned, whole = preprocessed(frames, True, roll=Roll())
    _, still = preprocessed(frames, True)
    assert torch.equal(view.images, turned.images)
    assert torch.equal(target.keypoints, whole.keypoints)
    for name in ("joints", "rotmats"):
        torch.testing.assert_close(getattr(target, name), getattr(still, name))
        assert not torch.allclose(getattr(target, name), getattr(whole, name), atol=1e-3)


def test_an_augmentation_after_it_moves_the_labels_that_stayed(frames):
    tilt = PerspectiveRotation(max_degrees=10.0)
    _, stayed = preprocessed(
        frames, True, roll=Roll(max_degrees=0, labels="as_released"), tilt=tilt
    )
    _, moved = preprocessed(frames, True, roll=Roll(max_degrees=0), tilt=tilt)
    torch.testing.assert_close(stayed.joints, moved.joints)


@pytest.mark.parametrize("training", [True, False])
def test_labels_in_other_axes_are_turned_alone_in_training_and_evaluation(frames, training):
    view, target = preprocessed(frames, training, axes=LabelAxes())
    plain, still = preprocessed(frames, training)
    assert torch.equal(view.images, plain.images)
    assert torch.equal(target.keypoints, still.keypoints)
    torch.testing.assert_close(target.joints, still.joints * FLIP)
    torch.testing.assert_close(target.rotmats[:, 0], FLIP[:, None] * still.rotmats[:, 0])
    torch.testing.assert_close(target.rotmats[:, 1:], still.rotmats[:, 1:])


def test_labels_that_do_not_turn_cost_what_was_measured_on_the_original():
    hands = torch.from_numpy(np.load(ORACLES / "utnet.npz")["defects/V4/gt_native_order_mm"])
    hands = hands - hands[:, :1]
    angles = torch.linspace(-torch.pi, torch.pi, 101)[:-1]
    turns = rotation_about_z(angles).to(hands)
    apart = (hands @ turns[:, None].mT - hands).abs().mean()
    assert float(apart) == pytest.approx(49.09, rel=0.03)  # mm a coordinate, of turned hands
