from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from zoo.augment.crop import HandCrop
from zoo.contracts import FrameBatch, HandMesh
from zoo.geometry.camera import project
from zoo.inference.sheet import error_texts, overlay_sheet, write_sheet
from zoo.inference.sources import read_picture
from zoo.preprocess import Preprocess


@pytest.fixture
def batch(labelled_frame):
    """CropView and HandTarget of four hands, and a prediction that is right."""
    frames = tuple(labelled_frame(side, seed) for seed in range(2) for side in ("left", "right"))
    crop = HandCrop(size=(96, 80), expand=1.3, box="stored")
    preprocess = Preprocess(crop=crop, view_augmentations={}, pixel_augmentations={}, seed=0)
    data = preprocess(FrameBatch(frames), training=False)
    view, target = data["inputs"], data["data_samples"]
    mesh = HandMesh(target.vertices, target.joints, project(target.joints, view.intrinsics))
    return view, target, mesh


def test_a_right_prediction_reads_zero_and_a_moved_hand_only_its_shape_error(batch):
    _, target, mesh = batch
    assert error_texts(target, mesh) == ["wrist 0.0 mm, aligned 0.0 mm"] * 4
    moved = dataclasses.replace(mesh, joints=mesh.joints + torch.tensor([0.1, 0, 0.3]))
    assert error_texts(target, moved) == ["wrist 0.0 mm, aligned 0.0 mm"] * 4
    larger = dataclasses.replace(mesh, joints=1.1 * mesh.joints)
    assert all(
        text.endswith("aligned 0.0 mm") and not text.startswith("wrist 0.0")
        for text in error_texts(target, larger)
    )


def test_the_error_is_the_mean_distance_in_millimetres(batch):
    _, target, mesh = batch
    joints = mesh.joints.clone()
    joints[:, 1:, 2] += 0.021  # all but the wrist: 20 of 21 joints by 21 mm
    texts = error_texts(target, dataclasses.replace(mesh, joints=joints))
    assert all(text.startswith("wrist 20.0 mm") for text in texts)


def test_hands_labelled_in_2d_alone_read_in_pixels_and_unlabelled_ones_say_so(batch):
    _, target, mesh = batch
    flat = dataclasses.replace(target, joints_valid=torch.zeros(4, 21))
    shifted = dataclasses.replace(mesh, keypoints=target.keypoints + torch.tensor([3.0, 4.0]))
    assert error_texts(flat, shifted) == ["5.0 px"] * 4
    bare = dataclasses.replace(flat, keypoints_valid=torch.zeros(4, 21))
    assert error_texts(bare, shifted) == ["no label"] * 4


def test_a_sheet_shows_each_hand_twice_with_its_label_and_with_its_mesh(batch, hand, tmp_path):
    view, target, mesh = batch
    names = [f"a very long name of a picture {i}" for i in range(4)]
    sheet = overlay_sheet(view, target, mesh, hand.faces, names=names, columns=3, tile=96)
    caption = sheet.shape[0] / 2 - 5 - 96 - 10  # two rows, a margin at the end
    assert 0 < caption < 40
    assert sheet.shape[1] == 3 * (10 + 80 + 4 + 80) + 10
    crop = (255 * view.images[0].permute(1, 2, 0)).round().byte().numpy()
    labelled, predicted = sheet[10:106, 10:90], sheet[10:106, 94:174]
    touched_by_label = (labelled != crop).any(-1).mean()
    touched_by_mesh = (predicted != crop).any(-1).mean()
    assert 0 < touched_by_label < touched_by_mesh
    np.testing.assert_array_equal(read_picture(write_sheet(tmp_path / "s.png", sheet)), sheet)


def test_the_mesh_is_drawn_in_the_camera_it_was_placed_in(batch, hand):
    view, target, mesh = batch
    virtual = view.intrinsics * torch.tensor([[5.0], [5], [1]])
    virtual[:, :2, 2] = view.intrinsics[:, :2, 2]
    # five times the focal length, everything five times as deep: the same outline
    deep = dataclasses.replace(mesh, vertices=mesh.vertices * torch.tensor([1.0, 1, 5]))
    hidden = dataclasses.replace(mesh, vertices=-mesh.vertices)
    without = overlay_sheet(view, target, hidden, hand.faces, tile=96)

    def outline(mesh, intrinsics=None):
        sheet = overlay_sheet(view, target, mesh, hand.faces, intrinsics=intrinsics, tile=96)
        return (sheet != without).any(-1)

    own = outline(mesh)
    assert own.mean() > 0.05
    assert (own ^ outline(deep, virtual)).sum() < 0.03 * own.sum()
    assert (own ^ outline(deep)).sum() > 0.5 * own.sum()


def test_a_sheet_of_nothing_is_refused(batch, hand):
    none = [record.map(lambda tensor: tensor[:0]) for record in batch]
    with pytest.raises(ValueError, match="at least one hand"):
        overlay_sheet(*none, hand.faces)
