"""A contact sheet shows every frame, its label where the label says, and nothing unlabelled."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from zoo.data.schema import decode_slot
from zoo.data.sheet import FINGER_COLOURS, contact_sheet, draw_label


@pytest.fixture
def frame(make_sample):
    """A grey picture with a known label."""
    found = decode_slot(make_sample(0)[0], 0, 0)
    keypoints = torch.zeros(21, 2)
    keypoints[:, 0] = torch.linspace(10, 70, 21)
    keypoints[:, 1] = 30
    label = dataclasses.replace(found.label, keypoints=keypoints)
    return dataclasses.replace(found, image=torch.full_like(found.image, 90), label=label)


def test_a_joint_is_drawn_where_its_pixel_went(frame):
    image = np.full((240, 320, 3), 90, np.uint8)
    draw_label(image, frame, 4.0)
    x = round((float(frame.label.keypoints[4, 0]) + 0.5) * 4 - 0.5)
    y = round((30 + 0.5) * 4 - 0.5)
    assert tuple(image[y, x].tolist()) == FINGER_COLOURS["thumb"]


def test_a_joint_without_a_label_is_not_drawn(frame):
    label = dataclasses.replace(frame.label, keypoints_valid=torch.zeros(21))
    blank = np.full((60, 80, 3), 90, np.uint8)
    draw_label(blank, dataclasses.replace(frame, label=label), 1.0)
    inside = blank[7:48, 12:68]
    assert (inside == 90).all()
    assert not (blank == 90).all()  # the box is there


def test_a_sheet_has_a_cell_for_every_frame(frame):
    one, seven = contact_sheet([frame], cell=100), contact_sheet([frame] * 7, columns=3, cell=100)
    assert seven.shape[0] > 2.5 * one.shape[0]
    assert seven.shape[1] > 2.5 * one.shape[1]
    cell = one[6:140, 6:106]
    for row in range(3):
        for column in range(3 if row < 2 else 1):
            top, left = 6 + row * 140, 6 + column * 106
            np.testing.assert_array_equal(seven[top : top + 134, left : left + 100], cell)


def test_a_sheet_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one frame"):
        contact_sheet([])
