from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from zoo.metrics import official
from zoo.metrics.protocols import (
    HO3D_FROM_OPENPOSE,
    HOT3D_FROM_OPENPOSE,
    PROTOCOLS,
    TIPS,
    Answers,
    find,
    with_tips,
)
from zoo.metrics.submission import write_submission


def made(count=6, keys=None, **changes):
    rng = torch.Generator().manual_seed(1)
    label = torch.randn(count, 21, 3, generator=rng) * 0.04 + torch.tensor([0, 0, 0.6])
    mesh = torch.randn(count, 778, 3, generator=rng) * 0.04 + torch.tensor([0, 0, 0.6])
    noise = torch.randn(count, 778, 3, generator=rng) * 0.004
    keypoints = torch.rand(count, 21, 2, generator=rng) * 100
    answers = Answers(
        joints=label + noise[:, :21],
        vertices=mesh + noise,
        keypoints=keypoints + 3,
        label_joints=label,
        joints_valid=torch.ones(count, 21),
        label_vertices=mesh,
        vertices_valid=torch.ones(count),
        label_keypoints=keypoints,
        keypoints_valid=torch.ones(count, 21),
        box_side=torch.full((count,), 60.0),
        is_left=torch.zeros(count, dtype=torch.bool),
        keys=tuple(keys or [f"k{i}" for i in range(count)]),
    )
    return dataclasses.replace(answers, **changes)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_names_what_a_number_needs_and_gives_finite_scores(name):
    protocol = find(name)
    assert all(protocol.table().values())
    assert set(protocol.table()) >= {"joints", "finger tips", "alignment", "unit", "box", "split"}
    scores = protocol(made())
    assert scores
    assert all(np.isfinite(value) for value in scores.values())


def test_tips_are_read_off_the_predicted_surface_where_the_set_calls_them_so():
    answers = made()
    moved = with_tips(answers.joints, answers.vertices, "freihand")
    for joint, vertex in zip((4, 8, 12, 16, 20), TIPS["freihand"], strict=True):
        assert torch.equal(moved[:, joint], answers.vertices[:, vertex])
    assert torch.equal(moved[:, 9], answers.joints[:, 9])
    assert with_tips(answers.joints, answers.vertices, None) is answers.joints


def test_scores_are_the_official_functions_on_the_sets_own_joints():
    answers = made()
    joints = with_tips(answers.joints, answers.vertices, "ho3d")[:, HO3D_FROM_OPENPOSE]
    parts = (joints, answers.vertices, answers.label_joints[:, HO3D_FROM_OPENPOSE])
    wanted = official.ho3d(*(p.double() for p in (*parts, answers.label_vertices)))
    assert find("ho3d")(answers) == pytest.approx(wanted)


def test_frames_without_labels_do_not_enter_and_none_at_all_is_an_error():
    answers = made()
    valid = answers.joints_valid.clone()
    valid[2:] = 0
    few = find("dexycb")(dataclasses.replace(answers, joints_valid=valid))
    two = made(**{f.name: getattr(answers, f.name)[:2] for f in dataclasses.fields(Answers)})
    assert few == pytest.approx(find("dexycb")(two))
    with pytest.raises(ValueError, match="No hand carries all 21 joints"):
        find("dexycb")(dataclasses.replace(answers, joints_valid=torch.zeros(6, 21)))
    with pytest.raises(ValueError, match="joints and a mesh"):
        find("freihand")(dataclasses.replace(answers, label_vertices=None, vertices_valid=None))


def test_hot3d_compares_nineteen_landmarks_without_wrist_and_thumb_base():
    assert len(set(HOT3D_FROM_OPENPOSE)) == 19
    assert set(range(21)) - set(HOT3D_FROM_OPENPOSE) == {0, 1}
    assert HOT3D_FROM_OPENPOSE[:5] == [4, 8, 12, 16, 20]


def test_hints_threshold_is_a_share_of_the_box_in_the_crop():
    answers = made(box_side=torch.full((6,), 40.0))  # every point is off by 3 * sqrt(2) = 4.24 px
    assert find("hint")(answers)["pck_0.1"] == 0
    wider = dataclasses.replace(answers, box_side=torch.full((6,), 43.0))
    assert find("hint")(wider)["pck_0.1"] == 1


def test_two_hands_of_a_picture_are_paired_and_the_left_one_turned_back():
    keys = ["a#0.0", "a#1.0", "b#0.0", "c"]
    left = torch.tensor([False, True, False, False])
    answers = made(4, keys, is_left=left)
    scores = find("interhand")(answers)
    assert scores["num_pairs"] == 1
    mirror = torch.tensor([-1.0, 1, 1])
    off = (answers.joints[1, 0] - answers.label_joints[1, 0]) * mirror
    off = off - (answers.joints[0, 0] - answers.label_joints[0, 0])
    assert scores["mrrpe_mm"] == pytest.approx(1000 * float(off.norm()), rel=1e-4)


def test_an_unknown_protocol_names_the_known_ones():
    with pytest.raises(ValueError, match="freihand, ho3d, dexycb, interhand, hint, hot3d"):
        find("freihand2")


def test_freihands_file_is_in_picture_order_in_metres(tmp_path):
    keys = [f"freihand/evaluation/{k:08d}/0_{k}" for k in (2, 0, 1)]
    answers = made(3, keys)
    assert write_submission("freihand", answers, tmp_path / "pred.json") == 3
    xyz, verts = json.loads((tmp_path / "pred.json").read_text())
    assert (np.shape(xyz), np.shape(verts)) == ((3, 21, 3), (3, 778, 3))
    np.testing.assert_allclose(xyz[2][0], answers.joints[0, 0], atol=1e-6)
    with pytest.raises(ValueError, match="1 of 3 pictures have no answer"):
        write_submission("freihand", made(2, [keys[0], keys[1]]), tmp_path / "x.json")


def test_ho3ds_file_is_in_the_lists_order_in_opengl_and_manos_joints(tmp_path):
    keys = ["ho3d/evaluation/SM1/0_0#0.0", "ho3d/evaluation/SM1/0_0#0.1", "ho3d/evaluation/AP1/0_7"]
    answers = made(3, keys)
    order = ["AP1/0007", "SM1/0000", "SM1/0001"]
    assert write_submission("ho3d", answers, tmp_path / "pred.json", order=order) == 3
    xyz, _ = json.loads((tmp_path / "pred.json").read_text())
    for place, row in enumerate((2, 0, 1)):
        middle = answers.joints[row, 9] * torch.tensor([1.0, -1, -1])
        np.testing.assert_allclose(xyz[place][4], middle, atol=1e-6)
    with pytest.raises(ValueError, match="--order"):
        write_submission("ho3d", answers, tmp_path / "x.json")
    with pytest.raises(ValueError, match="no answer"):
        write_submission("ho3d", answers, tmp_path / "x.json", order=[*order, "SM1/0002"])
