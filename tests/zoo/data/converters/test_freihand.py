from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from zoo.data.check import check_shards
from zoo.data.converters.freihand import FreiHand
from zoo.data.converters.writing import write_split
from zoo.data.shards import read_samples, resolve_shards

K = [[480.0, 0, 112], [0, 485.0, 110], [0, 0, 1]]
SPLITS = {"training": (2, 4), "evaluation": (2, 1)}


@pytest.fixture
def release(tmp_path, posed):
    """Two poses before four backgrounds and two to evaluate: (folder, hands by split)."""
    folder, truth = tmp_path / "FreiHAND", {}
    for split, (poses, backgrounds) in SPLITS.items():
        hands = truth[split] = [posed.hand() for _ in range(poses)]
        (folder / split / "rgb").mkdir(parents=True)
        for picture in range(poses * backgrounds):
            image = posed.rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / split / "rgb" / f"{picture:08d}.jpg"), image)
        mano = [[[*hand["residual"], *hand["betas"], 100.0, 90.0, 800.0]] for hand in hands]
        tables = {
            "K": [K] * poses,
            "xyz": [hand["joints"].tolist() for hand in hands],
            "mano": mano,
            "verts": posed.rng.normal(0, 0.1, (poses, 778, 3)).tolist(),
        }
        for name, table in tables.items():
            (folder / f"{split}_{name}.json").write_text(json.dumps(table))
    return folder, truth


def convert(folder, asset=None, split="training"):
    skipped = []
    return list(FreiHand(hand=asset).rows(folder, split=split).samples(skipped)), skipped


def test_picture_seven_of_two_poses_shows_the_second_before_the_last_background(release, asset):
    folder, truth = release
    samples, skipped = convert(folder, asset)
    assert not skipped
    assert len(samples) == 8
    assert samples[7].meta["frames"][0]["file"] == "training/rgb/00000007.jpg"
    np.testing.assert_allclose(
        samples[7].arrays["kp3d"][0, 0], truth["training"][1]["joints"], atol=1e-6
    )


def test_poses_are_stored_absolute_and_pose_the_labelled_joints(release, asset):
    folder, truth = release
    for index, sample in enumerate(convert(folder, asset)[0]):
        expected = truth["training"][index % 2]
        np.testing.assert_allclose(
            sample.arrays["mano_pose"][0, 0], expected["absolute"][3:], atol=1e-5
        )
        np.testing.assert_allclose(
            sample.arrays["mano_transl"][0, 0], expected["transl"], atol=1e-5
        )
        assert sample.arrays["fit_error"][0, 0] < 0.01  # mm


def test_the_backgrounds_of_one_pose_are_one_take_and_no_part_splits_them(release, monkeypatch):
    samples, _ = convert(release[0])
    assert [s.meta["source_take"] for s in samples] == ["training/0", "training/1"] * 4
    monkeypatch.setattr(
        "zoo.data.converters.release.is_held_out", lambda take: take == "training/1"
    )
    parts = {part: convert(release[0], split=part)[0] for part in ("train-part", "val-part")}
    assert {s.meta["source_take"] for s in parts["train-part"]} == {"training/0"}
    assert {s.meta["source_take"] for s in parts["val-part"]} == {"training/1"}
    assert sum(map(len, parts.values())) == 8


def test_only_the_evaluation_split_stores_the_official_mesh(release, asset):
    samples, _ = convert(release[0], asset, "evaluation")
    assert [bool(sample.arrays["has_verts"].all()) for sample in samples] == [True, True]
    assert samples[0].meta["source_take"] == "evaluation/0"
    assert "verts" not in convert(release[0], asset)[0][0].arrays


def test_both_splits_converted_pass_every_law_and_are_called_partial(release, asset, tmp_path):
    out = tmp_path / "out"
    for split, (poses, backgrounds) in SPLITS.items():
        told = write_split(FreiHand(hand=asset), release[0], out, split=split)
        assert told["listed"] == told["frames"] == poses * backgrounds
        assert told["official"] == {"training": 130_240, "evaluation": 3_960}[split]
    report = check_shards([str(out / split) for split in SPLITS])
    assert report.findings == ()
    assert report.counts["freihand"]["data.mano"] == {"checked": 10, "broken": 0}


def test_a_missing_picture_and_a_truncated_one_are_counted_and_the_others_kept(release, asset):
    folder, _ = release
    (folder / "training/rgb/00000003.jpg").unlink()
    cut = folder / "training/rgb/00000005.jpg"
    cut.write_bytes(cut.read_bytes()[:900])
    samples, skipped = convert(folder, asset)
    assert len(samples) == 6
    assert sorted(item.reason for item in skipped) == [
        "the picture is not there",
        "the picture is truncated",
    ]


def test_files_of_different_lengths_and_missing_ones_are_refused(release):
    folder, _ = release
    (folder / "training_xyz.json").write_text(json.dumps([[[0, 0, 1]] * 21]))
    with pytest.raises(ValueError, match=r"different numbers of poses: .*'xyz': 1"):
        convert(folder)
    (folder / "training_K.json").unlink()
    with pytest.raises(ValueError, match="completely unpacked"):
        convert(folder)


def test_a_residual_pose_stored_as_it_is_does_not_pass(release, asset, tmp_path):
    """The commonest mistake with this release: the mean hand is not added."""
    converter = FreiHand(hand=asset, max_fit_mm=1e3)
    converter.labels.absolute = lambda residual, side: np.asarray(residual)
    write_split(converter, release[0], tmp_path / "out", split="training")
    path = resolve_shards(tmp_path / "out" / "training")[0]
    assert next(iter(read_samples(path))).arrays["fit_error"][0, 0] > 3


def test_evaluation_pictures_whose_labels_only_the_server_has_are_there_to_be_answered(
    release, asset, tmp_path
):
    folder, _ = release
    for name in ("xyz", "verts", "mano"):
        (folder / f"evaluation_{name}.json").unlink()
    told = write_split(FreiHand(hand=asset), folder, tmp_path / "out", split="evaluation")
    assert (told["frames"], told["skipped"]) == (2, {})
    (sample, _) = read_samples(str(tmp_path / "out/evaluation/000000.tar"))
    assert sample.arrays["bbox_xyxy"][0, 0].tolist() == [0, 0, 223, 223]
    assert sample.meta["bbox"]["source"] == "picture"
    assert sample.arrays["has_K"].all()
    assert not sample.arrays["kp3d_conf"].any()
    assert not sample.arrays["has_mano_pose"].any()
    assert check_shards(str(tmp_path / "out/evaluation")).findings == ()


def test_training_without_its_joints_is_refused(release):
    (release[0] / "training_xyz.json").unlink()
    with pytest.raises(ValueError, match=r"training_xyz\.json does not exist"):
        convert(release[0])


def test_without_a_hand_model_joints_and_cameras_are_taken_and_no_pose_is_claimed(release):
    samples, _ = convert(release[0])
    assert all(sample.arrays["kp3d_conf"].all() for sample in samples)
    assert not any(sample.arrays["has_mano_pose"].any() for sample in samples)
