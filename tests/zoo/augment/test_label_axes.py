from __future__ import annotations

import pytest
import torch

from zoo.augment.label_axes import LabelAxes


def test_a_half_turn_about_x_takes_opengls_axes_to_opencvs():
    camera = torch.eye(3).expand(2, 3, 3)
    change = LabelAxes()(camera, torch.zeros(2, 4))
    in_opengl = torch.tensor([[0.04, 0.03, -0.6]])
    expected = torch.tensor([[[0.04, -0.03, 0.6]]]).expand(2, 1, 3)
    torch.testing.assert_close(in_opengl @ change.linear.mT, expected, rtol=0, atol=0)
    assert torch.equal(change.intrinsics, camera)
    assert torch.linalg.det(change.linear).tolist() == [1.0, 1.0]


def test_it_moves_labels_alone_and_evaluation_reads_them_likewise():
    assert LabelAxes.moves == "labels"
    assert LabelAxes.in_evaluation


def test_axes_it_does_not_know_are_refused():
    with pytest.raises(ValueError, match=r"label_axes\.written is 'opengl', not 'opencv'"):
        LabelAxes(written="opencv")
