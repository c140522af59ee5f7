from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from zoo.inference.overlay import (
    FINGER_COLOURS,
    PAPER,
    draw_hands,
    draw_skeleton,
    from_the_side,
    hand_region,
    joint_colour,
    panel,
)
from zoo.inference.predictor import HandResult

GREY = np.full((480, 640, 3), 128, np.uint8)


@pytest.fixture
def result(hand, labelled_frame) -> HandResult:
    frame = labelled_frame("right")
    label = frame.label.map(lambda tensor: tensor.double())
    return HandResult(
        name="holiday",
        side="right",
        box=frame.hand_box.numpy(),
        keypoints=label.keypoints.numpy(),
        joints=label.joints.numpy(),
        vertices=label.vertices.numpy(),
        faces=hand.faces.numpy(),
        rotmats=label.rotmats.numpy(),
        betas=label.betas.numpy(),
        transl=np.zeros(3),
        position=label.joints[0].numpy(),
        anchor="wrist",
        intrinsics=frame.intrinsics.double().numpy(),
        camera="measured",
    )


def spread_out() -> np.ndarray:
    """Keypoints far enough apart that every joint shows its own colour."""
    finger, joint = np.divmod(np.arange(20), 4)
    return np.r_[[[60.0, 240.0]], np.c_[150 + 120 * joint, 60 + 90 * finger]]


def test_every_joint_shows_its_fingers_colour_and_the_wrist_is_white():
    keypoints = spread_out()
    drawn = draw_skeleton(GREY, keypoints, width=6)
    for joint, (x, y) in enumerate(keypoints.astype(int)):
        np.testing.assert_allclose(drawn[y, x], joint_colour(joint), atol=2)
    assert len({joint_colour(joint) for joint in range(21)}) == 6
    assert joint_colour(8) == FINGER_COLOURS["index"]


def test_a_bone_needs_both_its_ends():
    keypoints, valid = spread_out(), np.zeros(21)
    valid[[9, 11]] = 1  # of the middle finger, but not neighbours
    changed = (draw_skeleton(GREY, keypoints, valid=valid, width=6) != GREY).any(-1)
    between = keypoints[10].astype(int)
    assert changed[tuple(keypoints[9].astype(int)[::-1])]
    assert not changed[between[1], between[0]]


def test_points_that_are_not_finite_or_not_valid_draw_nothing():
    keypoints = spread_out()
    keypoints[5] = np.nan
    keypoints[6] = 1e9
    valid = np.zeros(21)
    valid[[5, 6]] = 1
    np.testing.assert_array_equal(draw_skeleton(GREY, keypoints, valid=valid), GREY)


def test_a_nearer_bone_is_drawn_over_a_farther_one():
    keypoints = np.zeros((21, 2))
    keypoints[5], keypoints[6] = (100, 200), (300, 200)  # index, across
    keypoints[9], keypoints[10] = (200, 100), (200, 300)  # middle, upright
    valid = np.zeros(21)
    valid[[5, 6, 9, 10]] = 1
    for near, finger in (((5, 6), "index"), ((9, 10), "middle")):
        depth = np.ones(21)
        depth[list(near)] = 0.5
        drawn = draw_skeleton(GREY, keypoints, valid=valid, depth=depth, width=6)
        np.testing.assert_allclose(drawn[200, 200], FINGER_COLOURS[finger], atol=2)


def test_the_mesh_lies_over_its_own_keypoints(result):
    changed = (draw_hands(GREY, [result], skeleton=False) != GREY).any(-1)
    inside = [changed[int(y), int(x)] for x, y in np.round(result.keypoints)]
    assert np.mean(inside) > 0.9  # a wrist may lie just behind the open edge
    assert changed.mean() < 0.2


def test_no_hands_leave_the_picture_as_it_is():
    np.testing.assert_array_equal(draw_hands(GREY, []), GREY)


def test_a_scaled_drawing_shows_the_hand_at_the_scaled_place(result):
    move = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
    small = draw_hands(GREY[::2, ::2], [result], skeleton=False, frame_to_drawing=move)
    large = draw_hands(GREY, [result], skeleton=False)
    changed_small = (small != 128).any(-1)
    changed_large = (large != 128).any(-1)[::2, ::2]
    assert (changed_small ^ changed_large).sum() < 0.06 * changed_large.sum()


def test_the_side_view_shows_the_whole_mesh_on_paper(result):
    view = from_the_side(result, (300, 240))
    assert view.shape == (300, 240, 3)
    ink = (np.abs(view.astype(int) - PAPER) > 12).any(-1)
    assert 0.1 < ink.mean() < 0.8
    for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
        assert not edge.any()
    assert max(np.ptp(np.argwhere(ink), axis=0) / (300, 240)) > 0.75


def test_a_small_hand_is_shown_enlarged_and_a_large_one_whole():
    assert hand_region(np.array([300, 200, 340, 250]), (480, 640), margin=2) == (270, 175, 370, 275)
    assert hand_region(np.array([10, 10, 600, 450]), (480, 640), margin=2) == (0, 0, 640, 480)
    x0, y0, x1, y1 = hand_region(np.array([-40, -40, 20, 20]), (480, 640), margin=2)
    assert (x0, y0) == (0, 0)
    assert x1 > x0
    assert y1 > y0


def test_a_panel_is_picture_overlay_and_side_view_under_one_caption(result):
    drawn = panel(GREY, result, height=200)
    x0, y0, x1, y1 = hand_region(result.box, GREY.shape[:2], margin=1.6)
    width = round(200 * (x1 - x0) / (y1 - y0))
    assert drawn.shape[1] == 2 * width + 160 + 12
    assert drawn.shape[0] > 200
    assert (drawn[:200, :width] == 128).all()
    overlay = drawn[:200, width + 6 : 2 * width + 6]
    assert 0.1 < (overlay != 128).any(-1).mean() < 0.9
    assert (drawn[200:] < 128).any()  # the caption's ink


def test_a_left_hand_has_another_colour_than_a_right_one(result):
    left = dataclasses.replace(result, side="left")
    right_view, left_view = from_the_side(result, (100, 100)), from_the_side(left, (100, 100))
    red, green, blue = (right_view[..., k].mean() for k in range(3))
    assert blue > green > red
    red, green, blue = (left_view[..., k].mean() for k in range(3))
    assert green > max(red, blue)
