from __future__ import annotations

import json

import numpy as np
import pytest

from zoo.data.converters.freihand_coco import FreiHandCoco
from zoo.data.schema import decode, encode


def convert(folder, **options):
    skipped = []
    return list(FreiHandCoco(**options).rows(folder, split="test").samples(skipped)), skipped


def rewrite(folder, content, change):
    change(content)
    (folder / "test_freihand.json").write_text(json.dumps(content))


def test_keypoints_and_box_are_the_files_own_and_nothing_else_is_claimed(freihand):
    folder, content = freihand
    samples, skipped = convert(folder)
    assert not skipped
    for sample, annotation in zip(samples, content["annotations"], strict=True):
        expected = np.reshape(annotation["keypoints"], (21, 3))[:, :2]
        np.testing.assert_allclose(sample.arrays["kp2d"][0, 0], expected, rtol=1e-6)
        np.testing.assert_allclose(sample.arrays["bbox_xyxy"][0, 0], [50, 52, 170, 170])
        for flag in ("has_K", "kp3d_conf", "has_mano_pose", "has_mano_betas", "has_extr"):
            assert not sample.arrays[flag].any()
        assert (sample.arrays["kp2d_vis"] == -1).all()


def test_a_sample_passes_the_schema_and_gives_a_right_hand_without_camera(freihand):
    samples, _ = convert(freihand[0])
    for sample in samples:
        members = {name.partition(".")[2]: data for name, data in encode(sample).items()}
        (frame,) = decode({"__key__": sample.key, **members})
        assert not frame.is_left
        assert frame.label.has_intrinsics == 0
        assert frame.label.keypoints_valid.sum() == 21
        assert frame.label.joints_valid.sum() == 0


def test_one_pose_before_two_backgrounds_is_one_take(freihand):
    samples, _ = convert(freihand[0])
    assert [sample.meta["source_take"] for sample in samples] == ["5", "5", "7"]
    assert len({sample.key for sample in samples}) == 3


def test_the_box_may_be_taken_from_the_keypoints(freihand):
    samples, _ = convert(freihand[0], box="keypoints")
    for sample in samples:
        keypoints = sample.arrays["kp2d"][0, 0]
        expected = [*keypoints.min(0), *keypoints.max(0)]
        np.testing.assert_allclose(sample.arrays["bbox_xyxy"][0, 0], expected)
        assert sample.meta["bbox"]["kind"] == "tight"
    with pytest.raises(ValueError, match="'official' or 'keypoints', not 'mask'"):
        FreiHandCoco(box="mask")


def test_an_unlabelled_point_stays_zero(freihand):
    folder, content = freihand
    rewrite(folder, content, lambda c: c["annotations"][0]["keypoints"].__setitem__(3 * 4 + 2, 0))
    samples, _ = convert(folder)
    assert samples[0].arrays["kp2d_conf"][0, 0].sum() == 20
    assert not samples[0].arrays["kp2d"][0, 0, 4].any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c["annotations"].pop(), "no annotation"),
        (lambda c: c["images"][0].update(width=200), "another size"),
        (lambda c: c["images"][0].update(file_name="none.jpg"), "not there"),
        (lambda c: c["annotations"][0].update(keypoints=[1.0, 2, 1] * 20), "21 keypoints"),
        (lambda c: c["annotations"][0].update(keypoints=[1.0, 2, 0] * 21), "fewer than three"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_its_reason(freihand, change, reason):
    folder, content = freihand
    rewrite(folder, content, change)
    samples, skipped = convert(folder)
    assert len(samples) + len(skipped) == 3
    assert all(reason in item.reason for item in skipped)


def test_a_truncated_picture_is_left_out(freihand):
    path = freihand[0] / "00000007.jpg"
    path.write_bytes(path.read_bytes()[:2000])
    samples, (skipped,) = convert(freihand[0])
    assert len(samples) == 2
    assert skipped.reason == "the picture is truncated"


def test_keypoints_named_in_another_order_are_refused(freihand):
    folder, content = freihand
    rewrite(folder, content, lambda c: c["categories"][0]["keypoints"].reverse())
    with pytest.raises(ValueError, match="pinky_finger4, pinky_finger3"):
        convert(folder)


def test_a_folder_without_the_split_says_what_is_needed(tmp_path):
    with pytest.raises(ValueError, match="holds 0 files"):
        convert(tmp_path)


def test_the_real_samples_become_eight_pictures_of_two_poses(real_samples):
    samples, skipped = convert(real_samples / "freihand")
    assert not skipped
    assert len(samples) == 8
    assert {sample.meta["source_take"] for sample in samples} == {"355", "17620"}
    for sample in samples:
        x0, y0, x1, y1 = sample.arrays["bbox_xyxy"][0, 0]
        keypoints = sample.arrays["kp2d"][0, 0]
        assert ((keypoints >= (x0, y0)) & (keypoints <= (x1, y1))).all()
