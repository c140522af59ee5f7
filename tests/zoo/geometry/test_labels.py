from __future__ import annotations

import pytest
import torch

from zoo.geometry.labels import apart_after
from zoo.geometry.rotation import rotation_about_z, rotvec_to_rotmat


def test_labels_that_stay_behind_keep_their_place_whatever_turns_the_picture_later():
    roll, tilt = (
        rotation_about_z(torch.tensor([0.7])),
        rotvec_to_rotmat(torch.tensor([[0.3, 0, 0]])),
    )
    apart = apart_after(roll, None, "picture")
    picture = roll
    torch.testing.assert_close(apart @ picture, torch.eye(3)[None])
    apart, picture = apart_after(tilt, apart, "all"), tilt @ picture
    torch.testing.assert_close(apart @ picture, tilt)


def test_labels_that_go_alone_are_moved_by_their_own_change_in_between():
    roll, flip = rotation_about_z(torch.tensor([0.7])), torch.diag(torch.tensor([1.0, -1, -1]))
    apart = apart_after(flip[None], None, "labels")
    torch.testing.assert_close(apart, flip[None])
    apart = apart_after(roll, apart, "all")
    torch.testing.assert_close(apart @ roll, roll @ flip)


def test_where_everything_moves_together_nothing_is_apart():
    assert apart_after(torch.eye(3)[None], None, "all") is None
    with pytest.raises(ValueError, match="'all', 'picture' or 'labels', not 'pixels'"):
        apart_after(torch.eye(3)[None], None, "pixels")
