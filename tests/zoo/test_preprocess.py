from __future__ import annotations

import copy
import dataclasses

import cv2
import numpy as np
import pytest
import torch

from zoo.augment.crop import HandCrop
from zoo.augment.perspective import (
    FocalScale,
    PerspectiveNormalization,
    PerspectiveRotation,
    PrincipalPointNoise,
    Roll,
    ZScale,
)
from zoo.contracts import Frame, FrameBatch, HandTarget
from zoo.geometry.camera import assumed_intrinsics, project
from zoo.geometry.view import move_points
from zoo.preprocess import Preprocess

ALL_VIEWS = {
    "roll": Roll(),
    "z_scale": ZScale(mano="keep"),
    "focal_scale": FocalScale(),
    "principal_point_noise": PrincipalPointNoise(),
    "perspective_rotation": PerspectiveRotation(max_degrees=20),
}


def _grid(spacing=0.04):
    """A 7 x 3 grid of points in a tilted plane in front of the camera: 21 well separated dots."""
    x, y = np.meshgrid(np.arange(7) - 3.0, np.arange(3) - 1.0)
    points = np.stack((x, y, 0.3 * x - 0.2 * y), axis=-1).reshape(21, 3) * spacing
    return torch.tensor(points + np.array([0.03, -0.02, 0.8]), dtype=torch.float32)


def _frame(*, is_left=False, size=(240, 320), focal=500.0, valid=None, seed=0):
    """A picture of one white dot at every keypoint, drawn with sub-pixel centres."""
    rng = torch.Generator().manual_seed(seed)
    height, width = size
    intrinsics = torch.tensor(
        [[focal, 0.0, width / 2 - 3.3], [0.0, focal * 1.01, height / 2 + 1.7], [0.0, 0.0, 1.0]]
    )
    joints = _grid()
    keypoints = project(joints, intrinsics)
    valid = torch.ones(21) if valid is None else valid
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    squared = (torch.stack((xs, ys), -1)[..., None, :] - keypoints).square().sum(-1)
    dots = torch.exp(-squared / (2 * 1.5**2)).amax(-1)
    image = (dots * 255).round().byte()[..., None].repeat(1, 1, 3).permute(2, 0, 1)
    rotmats = torch.linalg.qr(torch.randn(16, 3, 3, generator=rng))[0]
    label = HandTarget(
        rotmats=rotmats * torch.linalg.det(rotmats)[:, None, None],
        betas=torch.randn(10, generator=rng),
        has_mano=torch.tensor(1.0),
        joints=joints,
        joints_valid=torch.ones(21),
        keypoints=keypoints,
        keypoints_valid=valid,
        has_intrinsics=torch.tensor(1.0),
    )
    box = torch.cat((keypoints.amin(0), keypoints.amax(0)))
    return Frame(image, intrinsics, box, is_left, label, f"{seed}", "test")


def _batch(*frames):
    return FrameBatch(frames=frames or (_frame(), _frame(is_left=True, size=(200, 300), seed=1)))


def _preprocess(views=None, *, seed=0, pixels=None, **crop):
    return Preprocess(
        crop=HandCrop(**{"size": (160, 160), "expand": 1.6, **crop}),
        view_augmentations=ALL_VIEWS if views is None else views,
        pixel_augmentations=pixels or {},
        seed=seed,
    )


def _dot_centres(image, expected):
    """Centre of brightness in a window around each expected keypoint."""
    found = []
    for x, y in expected.round().long().tolist():
        window = image[y - 5 : y + 6, x - 5 : x + 6]
        ys, xs = torch.meshgrid(
            torch.arange(y - 5, y + 6), torch.arange(x - 5, x + 6), indexing="ij"
        )
        weight = window / window.sum()
        found.append(torch.stack(((weight * xs).sum(), (weight * ys).sum())))
    return torch.stack(found)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", [*ALL_VIEWS, "all"])
def test_dots_drawn_in_the_picture_lie_at_the_moved_keypoints(name, training):
    views = ALL_VIEWS if name == "all" else {name: ALL_VIEWS[name]}
    out = _preprocess(views)(_batch(), training)
    images, keypoints = out["inputs"].images, out["data_samples"].keypoints
    assert len(images) == 2
    for image, expected in zip(images, keypoints, strict=True):
        error = (_dot_centres(image[0], expected) - expected).norm(dim=-1)
        assert error.max() < 0.25, error


@pytest.mark.parametrize("training", [False, True])
def test_keypoints_are_the_joints_seen_by_the_camera_of_the_crop(training):
    out = _preprocess()(_batch(), training)
    seen = project(out["data_samples"].joints, out["inputs"].intrinsics)
    torch.testing.assert_close(seen, out["data_samples"].keypoints, rtol=0, atol=2e-2)


@pytest.mark.parametrize("training", [False, True])
def test_frame_from_crop_leads_back_to_the_stored_picture_of_either_hand(training):
    batch = _batch()
    out = _preprocess()(batch, training)
    back = move_points(out["data_samples"].keypoints, out["inputs"].frame_from_crop)
    stored = torch.stack([frame.label.keypoints for frame in batch.frames])
    torch.testing.assert_close(back, stored, rtol=0, atol=2e-2)
    assert out["inputs"].is_left.tolist() == [False, True]


def test_a_left_hand_is_a_right_hand_in_a_mirrored_picture():
    left = _frame(is_left=True)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    width = left.image.shape[2]
    intrinsics = left.intrinsics.clone()
    intrinsics[0, 2] = width - 1 - intrinsics[0, 2]
    keypoints = left.label.keypoints * mirror[:2] + torch.tensor([width - 1.0, 0.0])
    label = dataclasses.replace(
        left.label,
        joints=left.label.joints * mirror,
        keypoints=keypoints,
        rotmats=left.label.rotmats * mirror[:, None] * mirror,
    )
    x0, y0, x1, y1 = left.hand_box
    box = torch.stack((width - 1 - x1, y0, width - 1 - x0, y1))
    right = Frame(left.image.flip(2), intrinsics, box, False, label, "right", "test")
    for training in (False, True):
        out = _preprocess()(_batch(left), training)
        expected = _preprocess()(_batch(right), training)
        for name in ("rotmats", "joints", "keypoints"):
            torch.testing.assert_close(
                getattr(out["data_samples"], name),
                getattr(expected["data_samples"], name),
                rtol=1e-5,
                atol=2e-3,
            )
        assert (out["inputs"].images - expected["inputs"].images).abs().max() <= 1.5 / 255


def test_training_without_augmentation_equals_evaluation_exactly():
    for box in ("stored", "keypoints"):  # the stored boxes here are tight
        trained = _preprocess({}, box=box)(_batch(), True)
        evaluated = _preprocess({}, box=box)(_batch(), False)
        for part in ("inputs", "data_samples"):
            for field in dataclasses.fields(trained[part]):
                value, other = (getattr(out[part], field.name) for out in (trained, evaluated))
                if value is None:
                    assert other is None
                elif box == "stored" or field.name == "is_left":
                    assert torch.equal(value, other), field.name
                else:
                    torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-3)


def test_an_identity_augmentation_changes_nothing():
    views = {
        "roll": Roll(max_degrees=0),
        "z_scale": ZScale(scale=(1, 1)),
        "focal_scale": FocalScale(scale=(1, 1)),
        "perspective_rotation": PerspectiveRotation(max_degrees=0),
    }
    trained = _preprocess(views, box="stored")(_batch(), True)
    evaluated = _preprocess(views, box="stored")(_batch(), False)
    difference = (trained["inputs"].images - evaluated["inputs"].images).abs().max()
    assert difference <= 1 / 255
    assert trained["data_samples"].has_mano.tolist() == [1, 1]
    for name in ("rotmats", "joints", "keypoints"):
        torch.testing.assert_close(
            getattr(trained["data_samples"], name), getattr(evaluated["data_samples"], name)
        )


def test_the_input_is_not_edited():
    batch = _batch()
    before = copy.deepcopy(batch)
    _preprocess()(batch, True)
    for frame, old in zip(batch.frames, before.frames, strict=True):
        assert torch.equal(frame.image, old.image)
        assert torch.equal(frame.intrinsics, old.intrinsics)
        assert torch.equal(frame.hand_box, old.hand_box)
        for field in dataclasses.fields(HandTarget):
            value = getattr(frame.label, field.name)
            assert value is None or torch.equal(value, getattr(old.label, field.name))


def test_a_picture_without_a_camera_gets_an_assumed_one():
    frame = dataclasses.replace(_frame(), intrinsics=torch.zeros(3, 3))
    out = _preprocess(box="stored")(_batch(frame, _frame()), False)
    assert out["data_samples"].has_intrinsics.tolist() == [0, 1]
    side = float((frame.hand_box[2:] - frame.hand_box[:2]).amax()) * 1.6
    expected = assumed_intrinsics(torch.tensor([[240.0, 320.0]]))[0, 0, 0] * 160 / side
    torch.testing.assert_close(out["inputs"].intrinsics[0, 0, 0], expected)
    torch.testing.assert_close(out["inputs"].images[0], out["inputs"].images[1])
    torch.testing.assert_close(
        out["data_samples"].keypoints[0], out["data_samples"].keypoints[1], rtol=0, atol=1e-3
    )


@pytest.mark.parametrize(
    "box",
    [
        [0.0, 0, 0, 0],
        [50, 60, 50, 60],
        [90, 80, 20, 10],
        [float("nan")] * 4,
        [-900, -900, -800, -800],
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_a_broken_box_gives_a_finite_crop(box, training):
    frame = dataclasses.replace(_frame(valid=torch.zeros(21)), hand_box=torch.tensor(box))
    out = _preprocess()(_batch(frame), training)
    for part in out.values():
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            assert value is None or value.isfinite().all(), field.name


def test_too_few_keypoints_fall_back_to_the_stored_box():
    two = torch.zeros(21)
    two[:2] = 1
    few = _preprocess({})(_batch(_frame(valid=two)), True)["inputs"]
    stored = _preprocess({}, box="stored")(_batch(_frame()), True)["inputs"]
    assert torch.equal(few.images, stored.images)


def test_invalid_labels_become_zeros_whatever_they_held():
    frame = _frame()
    valid = torch.ones(21)
    valid[3] = 0
    keypoints, joints = frame.label.keypoints.clone(), frame.label.joints.clone()
    keypoints[3], joints[3] = float("nan"), float("nan")
    label = dataclasses.replace(
        frame.label, keypoints=keypoints, joints=joints, keypoints_valid=valid, joints_valid=valid
    )
    out = _preprocess()(_batch(dataclasses.replace(frame, label=label)), True)["data_samples"]
    assert out.keypoints[0, 3].tolist() == [0, 0]
    assert out.joints[0, 3].tolist() == [0, 0, 0]
    assert out.keypoints.isfinite().all()


def test_vertices_move_with_the_joints():
    frame = _frame()
    label = dataclasses.replace(frame.label, vertices=frame.label.joints.repeat(2, 1))
    out = _preprocess()(_batch(dataclasses.replace(frame, label=label)), True)["data_samples"]
    torch.testing.assert_close(out.vertices[0, :21], out.joints[0])
    assert out.vertices_valid.tolist() == [1]


def test_perspective_normalization_is_part_of_evaluation():
    plain = _preprocess({})(_batch(), False)
    turned = _preprocess({"normalize": PerspectiveNormalization()})(_batch(), False)
    axis = turned["inputs"].intrinsics[:, :2, 2]
    torch.testing.assert_close(axis, torch.full((2, 2), 80.0), rtol=0, atol=1e-2)
    assert (plain["inputs"].intrinsics[:, :2, 2] - 80).abs().max() > 5


def test_pixel_augmentations_come_last_and_only_in_training():
    pixels = {"invert": lambda images, rng: 1 - images}
    plain = _preprocess({}, box="stored")(_batch(), False)["inputs"].images
    trained = _preprocess({}, box="stored", pixels=pixels)(_batch(), True)["inputs"].images
    evaluated = _preprocess({}, box="stored", pixels=pixels)(_batch(), False)["inputs"].images
    assert torch.equal(evaluated, plain)
    torch.testing.assert_close(trained, 1 - plain)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="without a single hand"):
        _preprocess()(FrameBatch(frames=()), True)


def test_a_crop_is_the_box_resized():
    # an axis-aligned crop must agree with what OpenCV's own affine warp makes of the same square
    frame = _frame()
    out = _preprocess({}, box="stored")(_batch(frame), False)["inputs"]
    center = (frame.hand_box[:2] + frame.hand_box[2:]) / 2
    scale = 160 / (1.6 * (frame.hand_box[2:] - frame.hand_box[:2]).amax())
    matrix = torch.cat((scale * torch.eye(2), (80 - scale * center)[:, None]), dim=1).numpy()
    picture = np.ascontiguousarray(frame.image.permute(1, 2, 0).numpy())
    expected = cv2.warpAffine(picture, matrix, (160, 160), flags=cv2.INTER_LINEAR)
    difference = out.images[0].permute(1, 2, 0) * 255 - torch.from_numpy(expected).float()
    assert difference.abs().max() < 3
    assert difference.abs().mean() < 0.1
