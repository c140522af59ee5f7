"""Releases of keypoints alone: COCO-WholeBody's hands and HInt."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from zoo.data.check import check_shards
from zoo.data.converters.coco_wholebody import CocoWholeBody
from zoo.data.converters.hint import HInt
from zoo.data.converters.writing import write_split

SHAPE = np.array(
    [[0, 0], [-9, -6], [-17, -13], [-23, -20], [-28, -26]]
    + [[x, y] for x in (-9, 0, 8, 15) for y in (-28, -42, -50, -57)]
)  # an open hand from its palm, fingers up, px


def picture(path, width=160, height=120):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def person(image, ident, **sides):
    entry = {"id": ident, "image_id": image, "lefthand_valid": False, "righthand_valid": False}
    for side, (x, y, confidence) in sides.items():
        points = SHAPE + np.array([x, y])
        low, high = points.min(0), points.max(0)
        entry |= {
            f"{side}hand_valid": True,
            f"{side}hand_kpts": np.c_[points, np.full(21, confidence)].ravel().tolist(),
            f"{side}hand_box": [*low.tolist(), *(high - low).tolist()],
        }
    return entry


@pytest.fixture
def coco(tmp_path):
    """A picture with two people and three hands, one with none, one with a hand not valid."""
    folder = tmp_path / "coco"
    for ident in (1, 2, 3):
        picture(folder / f"val2017/{ident:012d}.jpg")
    annotations = [
        person(1, 11, left=(60, 90, 1.0), right=(110, 95, 0.4)),
        person(1, 12, right=(50, 100, 2.0)),
        person(3, 13, left=(60, 90, 1.0)),
    ]
    annotations[1]["righthand_kpts"][3 * 4 + 2] = 0.0
    annotations[2]["lefthand_valid"] = False
    images = [
        {"id": k, "file_name": f"{k:012d}.jpg", "width": 160, "height": 120} for k in (1, 2, 3)
    ]
    (folder / "annotations").mkdir()
    (folder / "annotations/coco_wholebody_val_v1.0.json").write_text(
        json.dumps({"images": images, "annotations": annotations})
    )
    return folder


@pytest.fixture
def hint(tmp_path):
    """A right and a left hand, one keypoint hidden and one not there."""
    folder = tmp_path / "hint"
    for stem in ("clip.a_0003_r", "clip_b_0004_l"):
        picture(folder / f"TEST_epick_img/{stem}.jpg")
        points = SHAPE + np.array([80, 90])
        entry = {
            "keypoints": points.tolist(),
            "bbox": [[*points.min(0).tolist(), *points.max(0).tolist()]],
            "occlusion": [0] * 8 + [1] + [0] * 12,
            "existence": [1] * 20 + [0],
        }
        (folder / f"TEST_epick_img/{stem}.json").write_text(json.dumps([entry]))
    return folder


def test_hands_of_people_are_one_sample_a_picture_and_know_their_partners(coco):
    (sample,) = CocoWholeBody().rows(coco, split="val").samples([])
    hands = [(h["side"], h["person_id"], h["pair"]) for h in sample.meta["hands"]]
    assert hands == [("left", 11, 1), ("right", 11, 0), ("right", 12, None)]
    assert sample.arrays["kp2d_conf"][:, 0].max(1) == pytest.approx([1, 0.4, 1])
    assert sample.arrays["kp2d_conf"][2, 0, 4] == 0
    assert not sample.arrays["kp2d"][2, 0, 4].any()
    points = SHAPE + np.array([60, 90])
    expected = [*points.min(0), *points.max(0)]
    np.testing.assert_allclose(sample.arrays["bbox_xyxy"][0, 0], expected)
    assert not sample.arrays["has_K"].any()


def test_the_side_is_in_the_files_name_and_occlusion_is_no_absence(hint):
    samples = list(HInt().rows(hint, split="test").samples([]))
    assert [sample.meta["hands"][0]["side"] for sample in samples] == ["right", "left"]
    for sample in samples:
        vis, conf = sample.arrays["kp2d_vis"][0, 0], sample.arrays["kp2d_conf"][0, 0]
        assert (vis[8], conf[8]) == (0, 1)
        assert (vis[20], conf[20]) == (-1, 0)
        assert "." not in sample.key


@pytest.mark.parametrize(
    ("kind", "split", "hands", "official"),
    [(CocoWholeBody, "val", 3, None), (HInt, "TEST_epick_img", 2, 1906)],
)
def test_the_converted_pictures_pass_every_law(coco, hint, tmp_path, kind, split, hands, official):
    source = coco if kind is CocoWholeBody else hint
    told = write_split(kind(), source, tmp_path / "out", split=split)
    assert (told["frames"], told["official"]) == (hands, official)
    assert check_shards(str(tmp_path / "out" / split)).findings == ()


def test_a_box_of_corner_and_size_written_as_two_corners_is_found(coco, tmp_path, monkeypatch):
    """COCO's boxes are x, y, w, h: the exporter that forgets puts keypoints outside."""
    path = coco / "annotations/coco_wholebody_val_v1.0.json"
    content = json.loads(path.read_text())
    for entry in content["annotations"]:
        for side in ("left", "right"):
            if box := entry.get(f"{side}hand_box"):
                # what the converter adds is taken away, so the shard holds w and h as a corner
                entry[f"{side}hand_box"] = [5, 5, *np.subtract(box[2:], 5).tolist()]
    path.write_text(json.dumps(content))
    write_split(CocoWholeBody(), coco, tmp_path / "out", split="val")
    (finding,) = check_shards(str(tmp_path / "out/val")).findings
    assert (finding.id, finding.severity) == ("data.box", "error")
    assert "x, y, width, height" in finding.message


def test_what_cannot_be_used_is_counted_by_reason(hint):
    folder = hint / "TEST_epick_img"
    (folder / "clip_b_0004_l.json").write_text("[]")
    (folder / "clip_x_0001.json").write_text("[]")
    (folder / "clip.a_0003_r.jpg").unlink()
    skipped = []
    assert list(HInt().rows(hint, split="test").samples(skipped)) == []
    assert sorted(item.reason for item in skipped) == [
        "the annotation is not of one hand",
        "the file's name ends in neither _l nor _r",
        "the picture is not there",
    ]


def test_a_folder_without_the_data_says_what_is_needed(tmp_path):
    with pytest.raises(ValueError, match="holds none of TEST_newdays_img"):
        HInt().rows(tmp_path, split="test")
    with pytest.raises(ValueError, match="completely unpacked"):
        CocoWholeBody().rows(tmp_path, split="val")


@pytest.mark.parametrize("place", ["images/val2017", "images", "val", "."])
def test_cocos_pictures_are_found_where_people_put_them(coco, place):
    (coco / place).mkdir(parents=True, exist_ok=True)
    for path in (coco / "val2017").iterdir():
        path.rename(coco / place / path.name)
    (coco / "val2017").rmdir()
    assert len(list(CocoWholeBody().rows(coco, split="val").samples([]))) == 1


def test_a_hand_without_a_box_is_left_out_and_its_picture_kept(coco):
    path = coco / "annotations/coco_wholebody_val_v1.0.json"
    content = json.loads(path.read_text())
    del content["annotations"][0]["lefthand_box"]
    content["annotations"][1]["righthand_box"] = [0, 0, 0, 0]
    path.write_text(json.dumps(content))
    (sample,) = CocoWholeBody().rows(coco, split="val").samples([])
    assert [h["side"] for h in sample.meta["hands"]] == ["right"]
    assert sample.meta["hands"][0]["pair"] is None


def test_hints_folders_may_lie_deeper_and_its_pictures_be_png(hint, tmp_path):
    deep = tmp_path / "unpacked/HInt_annotation_partial"
    deep.parent.mkdir()
    hint.rename(deep)
    jpg = deep / "TEST_epick_img/clip_b_0004_l.jpg"
    cv2.imwrite(str(jpg.with_suffix(".png")), cv2.imread(str(jpg)))
    jpg.unlink()
    for source in (deep.parent, deep, deep / "TEST_epick_img"):
        samples = list(HInt().rows(source, split="TEST_epick_img").samples([]))
        assert [sample.suffixes for sample in samples] == [("jpg",), ("png",)]
