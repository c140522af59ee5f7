from __future__ import annotations

import numpy as np
import pytest

from zoo.inference.boxes import HandBox, choose_boxes, parse_box, whole_picture

IMAGE = np.zeros((120, 200, 3), np.uint8)


def test_a_box_is_read_as_its_two_corners():
    assert parse_box("40, 60.5,110,99") == (40.0, 60.5, 110.0, 99.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b,c,d", "not made of numbers"),
        ("1,2,3", "3 numbers where 4"),
        ("1,2,3,nan", "where 4 are needed"),
        ("50,50,10,90", "corners"),
        ("50,50,51,51", "1 px wide"),
    ],
)
def test_a_wrong_box_is_refused_with_what_was_found_and_what_to_write(text, says):
    with pytest.raises(ValueError, match=says) as error:
        parse_box(text)
    assert text in str(error.value)


def test_a_box_partly_outside_the_picture_is_kept_as_given():
    hand = HandBox((-30.0, -10.0, 50.0, 60.0), "left")
    assert choose_boxes(IMAGE, given=[hand]).hands == (hand,)


@pytest.mark.parametrize("corners", [(200, 0, 260, 50), (0, 120, 50, 150), (-50, 0, -1, 50)])
def test_a_box_wholly_outside_says_how_large_the_picture_is(corners):
    with pytest.raises(ValueError, match="200 px wide and 120 px high"):
        choose_boxes(IMAGE, given=[HandBox(corners)], picture="hand.jpg")


def test_without_a_box_or_detector_the_whole_picture_is_taken_and_said_so():
    boxes = choose_boxes(IMAGE, side="left", picture="hand.jpg")
    assert boxes.hands == (HandBox((-0.5, -0.5, 199.5, 119.5), "left"),)
    assert boxes.origin == "whole picture"
    assert "no hand detector is installed" in boxes.note
    assert "hand.jpg" in boxes.note


def test_a_detector_is_asked_only_when_the_user_gave_no_box():
    found = HandBox((1, 2, 30, 40), "left")
    given = HandBox((5, 5, 60, 60))
    assert choose_boxes(IMAGE, detector=lambda image: [found]).hands == (found,)
    assert choose_boxes(IMAGE, given=[given], detector=lambda image: [found]).hands == (given,)


def test_the_whole_picture_reaches_the_outer_edges_of_its_pixels():
    x0, y0, x1, y1 = whole_picture((120, 200))
    assert (x1 - x0, y1 - y0) == (200, 120)
