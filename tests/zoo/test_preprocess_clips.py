"""Frames of one clip are cropped each by itself and augmented together."""

from __future__ import annotations

import torch

from zoo.augment.crop import HandCrop
from zoo.augment.perspective import FocalScale, PerspectiveRotation, Roll
from zoo.augment.pixels import ChannelScale, GaussianNoise
from zoo.contracts import ClipView, Frame, FrameBatch, HandTarget
from zoo.preprocess import Preprocess

FILMS, FRAMES = 3, 5


def frame(film: int, number: int) -> Frame:
    rng = torch.Generator().manual_seed(film)
    joints = torch.randn(21, 3, generator=rng) * 0.03 + torch.tensor([0.01 * number, 0, 0.7])
    intrinsics = torch.tensor([[300.0, 0, 80], [0, 300.0, 60], [0, 0, 1]])
    pixels = joints @ intrinsics.T
    keypoints = pixels[:, :2] / pixels[:, 2:]
    label = HandTarget(
        rotmats=torch.eye(3).expand(16, 3, 3),
        betas=torch.full((10,), float(film)),
        has_mano=torch.tensor(1.0),
        joints=joints,
        joints_valid=torch.ones(21),
        keypoints=keypoints,
        keypoints_valid=torch.ones(21),
        has_intrinsics=torch.tensor(1.0),
    )
    image = torch.full((3, 120, 160), 100, dtype=torch.uint8)
    box = torch.cat((keypoints.amin(0), keypoints.amax(0)))
    return Frame(image, intrinsics, box, False, label, f"{film}#0.{number}", "test")


def films(frames: int = FRAMES, clip: int = FRAMES) -> FrameBatch:
    starts = range(frames - clip + 1)
    rows = [[f * frames + s + i for i in range(clip)] for f in range(FILMS) for s in starts]
    times = torch.linspace(-0.1, 0, clip, dtype=torch.float64).expand(len(rows), clip)
    return FrameBatch(
        frames=tuple(frame(f, n) for f in range(FILMS) for n in range(frames)),
        times=times,
        rows=torch.tensor(rows),
        runs=torch.arange(FILMS).repeat_interleave(frames),
    )


def preprocess(**views) -> Preprocess:
    pixels = views.pop("pixels", {})
    crop = HandCrop(size=(32, 32), expand=2.0, box="keypoints")
    return Preprocess(crop=crop, view_augmentations=views, pixel_augmentations=pixels, seed=0)


def test_a_batch_of_clips_becomes_a_clip_view_and_the_last_frames_labels():
    data = preprocess()(films(frames=7, clip=3), training=False)
    view, target = data["inputs"], data["data_samples"]
    assert isinstance(view, ClipView)
    assert len(view.frames) == FILMS * 7
    assert view.times.shape == view.rows.shape == (FILMS * 5, 3)
    assert len(target) == len(view) == FILMS * 5
    singles = preprocess()(FrameBatch(frames=films(frames=7).frames), training=False)
    last = view.rows[:, -1]
    assert torch.equal(target.joints, singles["data_samples"].joints[last])
    assert torch.equal(view.frames.images, singles["inputs"].images)


def test_frames_of_a_clip_share_their_change_of_view_and_films_do_not():
    part = preprocess(roll=Roll(), focal=FocalScale(), tilt=PerspectiveRotation(max_degrees=20))
    batch = films()
    view = part(batch, training=True)["inputs"].frames
    turns = view.frame_from_crop.unflatten(0, (FILMS, FRAMES))
    angle = torch.atan2(turns[..., 1, 0], turns[..., 0, 0])
    # The tilt depends on the place of the hand a little, so angles are close, not equal.
    assert (angle - angle[:, -1:]).sin().abs().max() < 0.05
    assert (angle[0, 0] - angle[1:, 0]).sin().abs().min() > 0.05


def test_frames_of_a_clip_share_their_colours_and_films_do_not():
    part = preprocess(pixels={"gain": ChannelScale(spread=0.4)})
    view = part(films(), training=True)["inputs"].frames
    colours = view.images[:, :, 16, 16].unflatten(0, (FILMS, FRAMES))
    torch.testing.assert_close(colours, colours[:, -1:].expand_as(colours), atol=1e-5, rtol=0)
    assert (colours[0, 0] - colours[1, 0]).abs().max() > 1e-3


def test_noise_differs_from_frame_to_frame():
    part = preprocess(pixels={"noise": GaussianNoise(std=0.1, probability=1.0)})
    images = part(films(), training=True)["inputs"].frames.images
    assert (images[0] - images[1]).abs().mean() > 0.01


def test_the_draws_of_a_clip_do_not_depend_on_its_neighbours_order_in_the_batch():
    batch = films()
    shuffled = torch.randperm(len(batch.frames), generator=torch.Generator().manual_seed(0))
    place = shuffled.argsort()  # where each frame went
    other = FrameBatch(
        frames=tuple(batch.frames[i] for i in shuffled),
        times=batch.times,
        rows=place[batch.rows],
        runs=batch.runs[shuffled],
    )
    first = preprocess(roll=Roll())(batch, training=True)["data_samples"]
    second = preprocess(roll=Roll())(other, training=True)["data_samples"]
    torch.testing.assert_close(first.joints, second.joints)
    assert first.joints.std() > 0
