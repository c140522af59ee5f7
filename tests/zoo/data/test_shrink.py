"""A picture decoded small is a picture of its own: crops and labels are where they were."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from zoo.augment.crop import HandCrop
from zoo.contracts import FrameBatch
from zoo.data.schema import BadSample, decode_slot
from zoo.data.shards import write_shard
from zoo.data.shrink import Shrink, smaller
from zoo.data.streams import TrainStream
from zoo.preprocess import Preprocess

WIDTH, HEIGHT, CROP = 803, 605, 70  # no multiples of 8
SHRINK = Shrink(crop=CROP, expand=1.5)
LEVELS = {2: 2.0, 4: 3.0}  # of 255, mean; the texture has detail at every scale


@pytest.fixture(scope="module")
def image():
    """Shapes and texture, as photographs have both."""
    rng = np.random.default_rng(0)
    picture = np.full((HEIGHT, WIDTH, 3), 100, np.float32)
    for cells in (5, 20, 80):
        noise = rng.normal(0, 30, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(30):
        center = tuple(int(v) for v in rng.integers(0, (WIDTH, HEIGHT)))
        cv2.circle(picture, center, int(rng.integers(10, 60)), rng.uniform(0, 255, 3).tolist(), -1)
    return picture.clip(0, 255).astype(np.uint8)


@pytest.fixture
def sample(make_sample, image):
    """A hand whose box is 360 px wide and whose keypoints are some less, in a large picture."""
    base = make_sample(0, hands=1, frames=1)[0]
    arrays = {name: array.copy() for name, array in base.arrays.items()}
    arrays["K"][0] = [[900, 0, 401], [0, 900, 302], [0, 0, 1]]
    arrays["kp3d"][0, 0] = np.random.default_rng(1).uniform(
        (-0.12, -0.1, 0.6), (0.12, 0.1, 0.7), (21, 3)
    )
    seen = arrays["kp3d"][0, 0] @ arrays["K"][0].T
    arrays["kp2d"][0, 0] = seen[:, :2] / seen[:, 2:]
    arrays["bbox_xyxy"][0, 0] = [220, 140, 580, 470]
    meta = {**base.meta, "frames": [{"width": WIDTH, "height": HEIGHT}]}
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return dataclasses.replace(base, arrays=arrays, meta=meta, pictures=(data,), suffixes=("jpg",))


def cropped(frame, blur=0.5):
    crop = HandCrop(size=(CROP, CROP), expand=1.5, box="stored", blur=blur)
    prepare = Preprocess(crop=crop, view_augmentations={}, pixel_augmentations={}, seed=0)
    ready = prepare(FrameBatch((frame,)), training=True)
    return ready["inputs"], ready["data_samples"]


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("factor", LEVELS)
def test_crop_and_labels_are_those_of_the_whole_picture(sample, factor, is_left):
    whole = dataclasses.replace(decode_slot(sample, 0, 0), is_left=is_left)
    small = smaller(decode_slot(sample, 0, 0, reduce=factor), factor)
    small = dataclasses.replace(small, is_left=is_left)
    assert small.image.shape[1:] == (-(-HEIGHT // factor), -(-WIDTH // factor))
    (view, label), (small_view, small_label) = cropped(whole), cropped(small)
    for name in ("joints", "keypoints", "rotmats", "betas"):
        torch.testing.assert_close(
            getattr(small_label, name), getattr(label, name), rtol=0, atol=2e-3, msg=name
        )
    torch.testing.assert_close(small_view.hand_box, view.hand_box, rtol=0, atol=2e-3)
    torch.testing.assert_close(small_view.intrinsics, view.intrinsics, rtol=1e-4, atol=2e-2)
    assert 255 * (small_view.images - view.images).abs().mean() < LEVELS[factor]


def test_half_a_pixel_aside_would_be_seen(sample):
    """What the tolerance above is worth: the same picture without the half pixel is farther off."""
    whole = cropped(decode_slot(sample, 0, 0))[0].images
    small = smaller(decode_slot(sample, 0, 0, reduce=8), 8)
    aside = dataclasses.replace(small, hand_box=small.hand_box + (0.5 - 0.5 / 8))
    right, wrong = (
        float(255 * (cropped(frame)[0].images - whole).abs().mean()) for frame in (small, aside)
    )
    assert wrong > 1.3 * right


def test_a_picture_is_only_as_small_as_its_crop_allows(sample):
    def factor(**changes):
        return dataclasses.replace(SHRINK, **changes).factor(sample, 0, 0)

    assert factor() == 4  # a crop shows 1.5 times 310 to 360 px in 70
    assert factor(crop=150) == 2
    assert factor(least=0.5) == 2
    assert factor(crop=300) == 1
    png = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()
    assert SHRINK.factor(dataclasses.replace(sample, pictures=(png,)), 0, 0) == 1
    assert SHRINK.factor(dataclasses.replace(sample, depths=(b"x",)), 0, 0) == 1
    unsized = dataclasses.replace(sample, meta={**sample.meta, "frames": [{}]})
    assert SHRINK.factor(unsized, 0, 0) == 1


def test_a_picture_of_another_size_than_told_is_refused_small_as_well(sample):
    meta = {**sample.meta, "frames": [{"width": WIDTH + 20, "height": HEIGHT}]}
    with pytest.raises(BadSample, match="the label says"):
        SHRINK.decode(dataclasses.replace(sample, meta=meta), 0, 0)


def test_a_training_stream_decodes_small_where_it_is_asked_to(sample, tmp_path):
    write_shard(tmp_path / "a.tar", [sample])
    for shrink, rows in ((None, HEIGHT), (SHRINK, -(-HEIGHT // 4))):
        stream = TrainStream(tmp_path, batch_size=1, seed=0, shuffle=1, shrink=shrink)
        (frame,) = next(iter(stream)).frames
        assert frame.image.shape[1] == rows
