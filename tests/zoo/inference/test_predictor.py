from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from zoo.augment.crop import HandCrop
from zoo.augment.perspective import PerspectiveNormalization
from zoo.contracts import CameraPose, CropView, FrameBatch, Prediction
from zoo.inference.boxes import HandBox
from zoo.inference.predictor import Predictor, frame_of
from zoo.preprocess import Preprocess


class KnowingModel(nn.Module):
    """Predicts exactly the labels it was shown, in each crop's own or in a virtual camera."""

    def __init__(self, hand, target, *, virtual: bool = False) -> None:
        super().__init__()
        self.hand, self.target, self.virtual, self.seen = hand, target, virtual, []

    def forward(self, inputs: CropView, mode: str) -> Prediction:
        assert mode == "tensor"
        assert not self.training
        start = sum(self.seen)
        self.seen.append(len(inputs))
        target = self.target.map(lambda tensor: tensor[start : start + len(inputs)])
        camera = inputs.intrinsics.clone()
        position = target.joints[:, 0].clone()
        if self.virtual:
            camera[:] = torch.tensor([[5000.0, 0, 64], [0, 5000, 64], [0, 0, 1]])
            position = torch.tensor([[0.01, -0.02, 8.0]]).expand(len(inputs), 3)
        return Prediction(target.rotmats, target.betas, CameraPose(position, "wrist", camera))


def preprocess(*, tilting: bool = False) -> Preprocess:
    views = {"center": PerspectiveNormalization()} if tilting else {}
    crop = HandCrop(size=(128, 128), expand=1.4, box="stored")
    return Preprocess(crop=crop, view_augmentations=views, pixel_augmentations={}, seed=0)


def predictor_that_knows(hand, frames, *, tilting=False, virtual=False, batch_size=16):
    moved = preprocess(tilting=tilting)(FrameBatch(tuple(frames)), training=False)["data_samples"]
    model = KnowingModel(hand, moved, virtual=virtual)
    return Predictor(model=model, preprocess=preprocess(tilting=tilting), batch_size=batch_size)


def seen(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    pixels = points @ intrinsics.T
    return pixels[:, :2] / pixels[:, 2:]


@pytest.mark.parametrize("tilting", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_right_answer_in_the_crop_is_the_right_answer_in_the_picture(
    hand, labelled_frame, side, tilting
):
    frame = labelled_frame(side)
    (result,) = predictor_that_knows(hand, [frame], tilting=tilting)([frame])
    assert (result.side, result.camera, result.anchor) == (side, "measured", "wrist")
    np.testing.assert_allclose(result.joints, frame.label.joints, atol=2e-5)
    np.testing.assert_allclose(result.vertices, frame.label.vertices, atol=2e-5)
    np.testing.assert_allclose(result.position, frame.label.joints[0], atol=2e-5)
    np.testing.assert_allclose(result.keypoints, frame.label.keypoints, atol=0.02)
    np.testing.assert_allclose(result.intrinsics, frame.intrinsics, atol=0.02)


@pytest.mark.parametrize("tilting", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_mano_parameters_pose_the_right_hand_whose_mirror_image_is_the_mesh(
    hand, labelled_frame, side, tilting
):
    frame = labelled_frame(side)
    (result,) = predictor_that_knows(hand, [frame], tilting=tilting)([frame])
    rotmats = torch.from_numpy(result.rotmats)[None]
    vertices, _ = hand(rotmats, torch.from_numpy(result.betas)[None])
    posed = vertices[0].double().numpy() + result.transl
    mirror = np.array([-1.0 if side == "left" else 1.0, 1.0, 1.0])
    np.testing.assert_allclose(posed * mirror, result.vertices, atol=2e-5)


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_outside_of_the_mesh_stays_outside_for_either_side(hand, labelled_frame, side):
    frame = labelled_frame(side)
    (result,) = predictor_that_knows(hand, [frame])([frame])
    a, b, c = (result.vertices[result.faces[:, k]] - result.vertices.mean(0) for k in range(3))
    assert np.einsum("fi,fi->", a, np.cross(b, c)) > 0


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_virtual_camera_is_told_as_such_and_sees_the_mesh_where_the_crop_did(
    hand, labelled_frame, side
):
    frame = labelled_frame(side)
    (result,) = predictor_that_knows(hand, [frame], virtual=True)([frame])
    assert result.camera == "virtual"
    np.testing.assert_allclose(seen(result.joints, result.intrinsics), result.keypoints, atol=0.02)
    assert result.intrinsics[0, 0] > 5000
    np.testing.assert_allclose(result.intrinsics[[1, 2, 2], [0, 0, 1]], 0, atol=1e-2)


def test_frames_come_back_in_order_through_batches_of_any_size(hand, labelled_frame):
    frames = [labelled_frame(side, seed) for seed in range(3) for side in ("left", "right")]
    results = predictor_that_knows(hand, frames, batch_size=4)(frames)
    assert [result.name for result in results] == [frame.key for frame in frames]
    for result, frame in zip(results, frames, strict=True):
        np.testing.assert_allclose(result.joints, frame.label.joints, atol=2e-5)


def test_a_model_in_training_is_given_back_in_training(hand, labelled_frame):
    frame = labelled_frame("right")
    predictor = predictor_that_knows(hand, [frame])
    predictor.model.train()
    predictor([frame])
    assert predictor.model.training


def test_numbers_that_are_not_finite_name_the_picture_and_the_cause(hand, labelled_frame):
    frame = labelled_frame("right")
    predictor = predictor_that_knows(hand, [frame])
    target = predictor.model.target
    predictor.model.target = dataclasses.replace(target, betas=target.betas * torch.nan)
    with pytest.raises(ValueError, match="right0 is not made of finite numbers"):
        predictor([frame])


def test_a_picture_without_a_camera_gets_the_assumed_one_and_says_so(hand, labelled_frame):
    image = np.zeros((480, 640, 3), np.uint8)
    box = HandBox((300.0, 120.0, 420.0, 260.0), "left")
    frame = frame_of(image, box, name="holiday")
    assert frame.is_left
    assert frame.label.has_intrinsics == 0
    assert frame.intrinsics[0, 0] == 800  # the diagonal
    assert frame.label.joints_valid.sum() == frame.label.keypoints_valid.sum() == 0
    (result,) = predictor_that_knows(hand, [labelled_frame("left")])([frame])
    assert result.camera == "assumed"
    np.testing.assert_allclose(result.intrinsics, frame.intrinsics, atol=0.02)
    np.testing.assert_allclose(result.box, box.corners)


def test_a_given_camera_is_kept_and_counts_as_measured():
    camera = np.array([[500.0, 0, 100], [0, 501, 90], [0, 0, 1]])
    image = np.zeros((200, 220, 3), np.uint8)
    frame = frame_of(image, HandBox((0, 0, 50, 50)), intrinsics=camera, name="a")
    np.testing.assert_allclose(frame.intrinsics, camera)
    assert frame.label.has_intrinsics == 1
