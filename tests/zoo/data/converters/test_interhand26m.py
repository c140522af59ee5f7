from __future__ import annotations

import json

import numpy as np
import pytest

from zoo.data.converters.interhand26m import InterHand26M
from zoo.data.schema import decode, encode

PER_FRAME = {36: ["right", "left"], 54: ["right"], 72: ["left"]}


def convert(folder, split="train", **options):
    skipped = []
    return list(InterHand26M(**options).rows(folder, split=split).samples(skipped)), skipped


def edit(folder, kind, change):
    path = folder / "annotations/train" / f"InterHand2.6M_train_{kind}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_joints_come_out_in_the_camera_in_metres_and_openpose_order(interhand):
    folder, truth = interhand
    samples, skipped = convert(folder)
    assert not skipped
    for sample, (frame, sides) in zip(samples, PER_FRAME.items(), strict=True):
        assert [hand["side"] for hand in sample.meta["hands"]] == sides
        assert sample.arrays["frame_index"].tolist() == [frame]
        for index, side in enumerate(sides):
            np.testing.assert_allclose(
                sample.arrays["kp3d"][index, 0], truth[frame][side], atol=1e-6
            )


def test_keypoints_are_the_projection_and_the_box_is_tight_around_them(interhand):
    samples, _ = convert(interhand[0])
    for sample in samples:
        image = sample.arrays["kp3d"] @ sample.arrays["K"][0].T
        keypoints = sample.arrays["kp2d"]
        np.testing.assert_allclose(keypoints, image[..., :2] / image[..., 2:], atol=1e-3)
        box = sample.arrays["bbox_xyxy"]
        np.testing.assert_allclose(box[..., :2], keypoints.min(2))
        np.testing.assert_allclose(box[..., 2:], keypoints.max(2))


def test_the_stored_pose_of_the_camera_brings_the_world_back(interhand):
    folder, truth = interhand
    (sample, *_), _ = convert(folder)
    listed = json.loads(
        (folder / "annotations/train/InterHand2.6M_train_joint_3d.json").read_text()
    )["3"]["36"]["world_coord"]
    wrist = np.array([*listed[20], 1000]) / 1000  # m, homogeneous
    seen = sample.arrays["cam_from_world"][0] @ wrist
    np.testing.assert_allclose(seen[:3], truth[36]["right"][0], atol=1e-6)


def test_a_sample_passes_the_schema_and_gives_one_frame_a_hand(interhand):
    samples, _ = convert(interhand[0])
    frames = []
    for sample in samples:
        members = {name.partition(".")[2]: data for name, data in encode(sample).items()}
        frames += decode({"__key__": sample.key, **members})
    assert [frame.is_left for frame in frames] == [False, True, False, True]
    assert all(frame.label.has_intrinsics == 1 for frame in frames)
    assert {frame.source for frame in frames} == {"interhand26m"}


def test_all_cameras_of_a_take_share_its_name(interhand):
    samples, _ = convert(interhand[0])
    assert {sample.meta["source_take"] for sample in samples} == {"3/seq_a"}


def test_an_invalid_joint_stays_zero_and_an_invalid_wrist_takes_its_hand_away(interhand):
    folder, _ = interhand

    def change(content):
        content["3"]["36"]["joint_valid"][4] = [0]  # right index tip
        content["3"]["36"]["joint_valid"][41] = [0]  # left wrist

    edit(folder, "joint_3d", change)
    (sample, *_), _ = convert(folder)
    assert [hand["side"] for hand in sample.meta["hands"]] == ["right"]
    assert sample.arrays["kp3d_conf"][0, 0, 8] == 0
    assert not sample.arrays["kp3d"][0, 0, 8].any()
    assert not sample.arrays["kp2d"][0, 0, 8].any()
    assert sample.arrays["kp3d_conf"][0, 0].sum() == 20


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("joint_3d", lambda c: c["3"].pop("54"), "no 3D joints"),
        ("camera", lambda c: c["3"]["campos"].clear(), "camera is not listed"),
        ("data", lambda c: c["annotations"].clear(), "no annotation"),
        ("data", lambda c: [i.update(width=300) for i in c["images"]], "another size"),
        ("data", lambda c: [i.update(file_name="x.jpg") for i in c["images"]], "not there"),
        (
            "camera",
            lambda c: c["3"]["princpt"].update({"400026": [5000.0, 259.0]}),
            "no hand has enough joints",
        ),
    ],
)
def test_what_cannot_be_used_is_left_out_with_its_reason(interhand, kind, change, reason):
    folder, _ = interhand
    edit(folder, kind, change)
    samples, skipped = convert(folder)
    assert skipped
    assert len(samples) + len(skipped) == 3
    assert all(reason in item.reason for item in skipped)


def test_mano_fits_pose_the_same_hand_in_the_camera(interhand, asset):
    samples, _ = convert(interhand[0], hand=asset)
    for sample in samples:
        assert sample.arrays["has_mano_pose"].all()
        assert (sample.arrays["fit_error"] < 0.01).all()  # mm: posed joints are the labelled ones
        assert sample.meta["mano"]["fit"] == "NeuralAnnot"


def test_a_fit_of_another_hand_is_left_out_but_its_error_is_kept(interhand, asset):
    folder, _ = interhand

    def change(content):
        content["3"]["54"]["right"]["trans"][0] += 0.02

    edit(folder, "MANO_NeuralAnnot", change)
    samples, _ = convert(folder, hand=asset)
    moved = samples[1].arrays
    assert moved["fit_error"][0, 0] == pytest.approx(20, abs=0.1)
    assert not moved["has_mano_pose"].any()
    assert not moved["mano_pose"].any()
    assert samples[0].arrays["has_mano_pose"].all()


def test_without_a_hand_model_no_mano_is_claimed(interhand):
    samples, _ = convert(interhand[0])
    assert not any(sample.arrays["has_mano_pose"].any() for sample in samples)
    assert samples[0].meta["mano"]["fit"] is None


def test_a_missing_annotation_file_says_where_it_belongs(interhand):
    folder, _ = interhand
    (folder / "annotations/train/InterHand2.6M_train_camera.json").unlink()
    with pytest.raises(ValueError, match=r"_camera\.json; unpack InterHand2\.6M's annotations"):
        convert(folder)


def test_a_cut_off_annotation_file_says_so(interhand):
    path = interhand[0] / "annotations/train/InterHand2.6M_train_data.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match="not a whole JSON file"):
        convert(interhand[0])


def test_the_real_samples_become_six_plausible_hands(real_samples):
    samples, skipped = convert(real_samples / "interhand2.6m", split="test")
    assert not skipped
    sides = [hand["side"] for sample in samples for hand in sample.meta["hands"]]
    assert sides == ["right", "left", "right", "left", "left", "right"]
    for sample in samples:
        official = {"3_": (33.6, 164.9), "2_": (116.4, 79.7), "7_": (32.6, 116.9)}
        depth = sample.arrays["kp3d"][..., 2]
        assert ((depth > 0.5) & (depth < 2.0)).all()
        corner = sample.arrays["bbox_xyxy"][:, 0, :2].min(0)
        for prefix, expected in official.items():
            if f"/{prefix}" in sample.key:  # the released box is wider than the joints
                assert (corner >= np.array(expected) - 1).all()
                assert (corner <= np.array(expected) + 40).all()


@pytest.mark.parametrize("place", ["annotations/all", "annotations", "."])
def test_annotations_are_found_where_other_releases_and_parts_of_them_lie(interhand, place):
    folder, truth = interhand
    (folder / place).mkdir(exist_ok=True)
    for path in (folder / "annotations/train").iterdir():
        path.rename(folder / place / path.name)
    samples, skipped = convert(folder)
    assert not skipped
    assert len(samples) == len(truth)


def test_captures_and_frames_without_fits_keep_their_joints(interhand, asset):
    edit(interhand[0], "MANO_NeuralAnnot", lambda c: c["3"].update({"36": None, "54": {}}))
    samples, skipped = convert(interhand[0], hand=asset)
    assert not skipped
    assert [bool(s.arrays["has_mano_pose"].any()) for s in samples] == [False, False, True]
    assert all(s.arrays["kp3d_conf"].any() for s in samples)
    edit(interhand[0], "MANO_NeuralAnnot", lambda c: c.update({"3": None}))
    assert len(convert(interhand[0], hand=asset)[0]) == 3
