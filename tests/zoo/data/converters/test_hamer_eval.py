"""HaMeR's npz files: boxes in their own pixels, labels as given, pictures where people put them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from zoo.data.check import check_shards
from zoo.data.converters.hamer_eval import HamerEvaluation
from zoo.data.converters.writing import write_split


@pytest.fixture
def release(tmp_path):
    """A right and a left hand of HInt and a padded one of FreiHAND."""
    rng = np.random.default_rng(3)
    folder, pictures = tmp_path / "hamer_evaluation_data", tmp_path / "HInt"
    folder.mkdir()
    names = [f"TEST_epick_img/{stem}.jpg" for stem in ("a_r", "b_l")]
    for name in names:
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(pictures / name), np.full((120, 160, 3), 90, np.uint8))
    keypoints = np.dstack([rng.uniform(50, 90, (2, 21, 2)), np.ones((2, 21, 1))])
    keypoints[1, 4, 2] = 0
    rows = {
        "imgname": np.array([n.encode() for n in names]),
        "center": np.array([[70.0, 70.0], [72.0, 68.0]]),
        "scale": np.array([[50.0, 44.0], [48.0, 46.0]]),
        "right": np.array([1.0, 0.0]),
        "hand_keypoints_2d": keypoints,
        "extra_info": np.array([{}, {}], object),
    }
    np.savez(folder / "TEST_epick_img_all.npz", **rows)
    np.savez(folder / "freihand_val.npz", **{k: v[:1] for k, v in rows.items() if k != "right"})
    return folder, keypoints


def test_boxes_keypoints_and_sides_are_the_files_own(release):
    folder, keypoints = release
    rows = HamerEvaluation().rows(folder, split="TEST_epick_img_all")
    first, second = rows.samples([])
    np.testing.assert_allclose(first.arrays["bbox_xyxy"][0, 0], [45, 48, 95, 92])
    assert [s.meta["hands"][0]["side"] for s in (first, second)] == ["right", "left"]
    np.testing.assert_allclose(first.arrays["kp2d"][0, 0], keypoints[0, :, :2], rtol=1e-6)
    assert second.arrays["kp2d_conf"][0, 0, 4] == 0
    assert not second.arrays["kp2d"][0, 0, 4].any()
    assert not second.arrays["has_K"].any()
    assert first.meta["bbox"]["kind"] == "tight"


def test_a_file_without_sides_is_of_right_hands_and_freihands_boxes_are_padded(release):
    (sample,) = HamerEvaluation().rows(release[0], split="freihand_val").samples([])
    assert sample.meta["hands"][0]["side"] == "right"
    assert sample.meta["bbox"]["kind"] == "padded"


def test_the_converted_rows_pass_every_law(release, tmp_path):
    told = write_split(HamerEvaluation(), release[0], tmp_path / "out", split="TEST_epick_img_all")
    assert (told["frames"], told["listed"]) == (2, 2)
    findings = check_shards(str(tmp_path / "out/TEST_epick_img_all")).findings
    assert [f for f in findings if f.id not in ("data.box", "data.order")] == []


def test_missing_pictures_and_files_say_what_is_needed(release):
    folder, _ = release
    with pytest.raises(ValueError, match="hamer_evaluation_data"):
        HamerEvaluation().rows(folder, split="ho3d_val")
    for path in (folder.parent / "HInt/TEST_epick_img").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="No picture is found"):
        HamerEvaluation().rows(folder, split="TEST_epick_img_all")
