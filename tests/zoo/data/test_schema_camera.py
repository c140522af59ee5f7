"""A wrong camera never becomes a label: it is refused with its key and the field that is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from zoo.data.schema import BadSample, decode_slot


@pytest.fixture
def sample(make_sample):
    return make_sample(0, hands=1, frames=1)[0]


def with_camera(sample, change):
    arrays = {name: array.copy() for name, array in sample.arrays.items()}
    change(arrays)
    return dataclasses.replace(sample, arrays=arrays, shard="some.tar")


def set_camera(row, column, value):
    def change(arrays):
        arrays["K"][0, row, column] = value

    return change


def no_focal(arrays):
    arrays["K"][0] = 0


def of_another_picture(arrays):
    arrays["K"][0, :2] *= 4


def opengl(arrays):
    arrays["kp3d"] *= np.float32([1, -1, -1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (no_focal, "K: is no camera"),
        (set_camera(0, 0, -100), "K: is no camera"),
        (set_camera(2, 2, 100), "is 1, not 100"),
        (set_camera(2, 0, 3), "K: is no camera"),
        (set_camera(0, 2, 4000), "K: sees the joints"),
        (of_another_picture, "K: sees the joints"),
        (opengl, "kp3d: a labelled joint is not in front"),
    ],
)
def test_a_wrong_camera_is_refused_and_named(sample, change, says):
    with pytest.raises(BadSample, match=says) as caught:
        decode_slot(with_camera(sample, change), 0, 0)
    assert caught.value.key == sample.key
    assert "some.tar" in str(caught.value)


def test_measured_keypoints_some_pixels_from_the_joints_are_kept(sample):
    def measured(arrays):
        arrays["kp2d"] += 3

    decode_slot(with_camera(sample, measured), 0, 0)


def test_a_camera_nobody_measured_is_not_judged(sample):
    def assumed(arrays):
        arrays["K"][:] = 0
        arrays["has_K"][:] = 0

    assert decode_slot(with_camera(sample, assumed), 0, 0).label.has_intrinsics == 0


def test_labels_of_the_plane_alone_need_no_joints(sample):
    def flat(arrays):
        arrays["kp3d"][:] = 0
        arrays["kp3d_conf"][:] = 0
        arrays["K"][0, :2] *= 4

    decode_slot(with_camera(sample, flat), 0, 0)
