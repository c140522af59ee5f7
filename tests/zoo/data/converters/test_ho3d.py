from __future__ import annotations

import json
import pickle

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from zoo.data.check import check_shards
from zoo.data.converters.ho3d import HO3D
from zoo.data.converters.writing import write_split
from zoo.data.schema import decode_slot
from zoo.mano.topology import OPENPOSE_FROM_MANO

FLIP = np.array([1.0, -1.0, -1.0])
TO_HO3D = [OPENPOSE_FROM_MANO.index(k) for k in range(21)]
CAMERA = np.array([[615.0, 0, 320], [0, 614.0, 240], [0, 0, 1]])
TRAIN = {"ABF10": (0, 1, 2, 5, 6), "ABF14": (0, 1), "MC1": (7,)}
UNANNOTATED = ("ABF10", 2)


def opengl(hand):
    """A hand's pickle as HO-3D writes it: axes, order and translation are all its own."""
    root = (
        Rotation.from_matrix(np.diag(FLIP)) * Rotation.from_rotvec(hand["absolute"][:3])
    ).as_rotvec()
    wrist = hand["joints"][0] * FLIP
    return {
        "handPose": np.r_[root, hand["absolute"][3:]],
        "handTrans": wrist - hand["own_wrist"],
        "handBeta": hand["betas"],
        "handJoints3D": (hand["joints"] * FLIP)[TO_HO3D],
        "camMat": CAMERA,
        "objName": "003_cracker_box",
    }


@pytest.fixture
def release(tmp_path, posed):
    """Five annotated frames of one camera, with a gap and one without labels, and the rest."""
    folder, truth = tmp_path / "HO3D", {}

    def put(split, sequence, frame, labels):
        for kind in ("rgb", "meta"):
            (folder / split / sequence / kind).mkdir(parents=True, exist_ok=True)
        name = f"{split}/{sequence}/rgb/{frame:04d}.png"
        cv2.imwrite(str(folder / name), np.full((480, 640, 3), 90, np.uint8))
        data = pickle.dumps(labels, protocol=2)
        (folder / f"{split}/{sequence}/meta/{frame:04d}.pkl").write_bytes(data)

    lines = []
    for sequence, frames in TRAIN.items():
        for frame in frames:
            hand = truth[sequence, frame] = posed.hand()
            labels = opengl(hand)
            if (sequence, frame) == UNANNOTATED:
                labels = dict.fromkeys(labels)
            put("train", sequence, frame, labels)
            lines.append(f"{sequence}/{frame:04d}")
    put("train", "ABF10", 3, opengl(posed.hand()))  # in the folder, in no list
    (folder / "train.txt").write_text("\n".join(lines))
    hand = truth["SM1", 0] = posed.hand()
    wrist = {
        "handJoints3D": (hand["joints"] * FLIP)[0],
        "handBoundingBox": [250, 150, 420, 330],
        "camMat": CAMERA,
    }
    put("evaluation", "SM1", 0, wrist)
    (folder / "evaluation.txt").write_text("SM1/0000\n")
    return folder, truth


def convert(folder, split="train", **options):
    skipped = []
    return list(HO3D(**options).rows(folder, split=split).samples(skipped)), skipped


def test_opengl_points_in_manos_order_come_out_as_the_truth(release, asset):
    folder, truth = release
    samples, _ = convert(folder, hand=asset)
    assert sum(len(sample.pictures) for sample in samples) == 7
    for sample in samples:
        for index, frame in enumerate(sample.arrays["frame_index"]):
            hand = truth[sample.meta["sequence_id"], int(frame)]
            np.testing.assert_allclose(sample.arrays["kp3d"][0, index], hand["joints"], atol=1e-6)
            np.testing.assert_allclose(
                sample.arrays["mano_transl"][0, index], hand["transl"], atol=1e-5
            )
            assert sample.arrays["fit_error"][0, index] < 0.01


def test_a_gap_and_a_frame_without_labels_end_a_run_and_cost_no_other_frame(release):
    samples, (skipped,) = convert(release[0])
    runs = {
        (s.meta["sequence_id"], *s.arrays["frame_index"].tolist()): s.meta["source_take"]
        for s in samples
    }
    assert runs == {
        ("ABF10", 0, 1): "ABF1",
        ("ABF10", 5, 6): "ABF1",
        ("ABF14", 0, 1): "ABF1",
        ("MC1", 7): "MC1",
    }
    assert skipped.reason == "the frame is not annotated"


def test_times_are_frame_numbers_at_thirty_a_second_in_whole_nanoseconds(release):
    sample = next(s for s in convert(release[0])[0] if 5 in s.arrays["frame_index"])
    assert sample.arrays["timestamp_ns"].tolist() == [166666667, 200000000]
    assert sample.arrays["timestamp_ns"].dtype == np.int64


def test_an_evaluation_frame_has_wrist_and_official_box_and_more_where_it_was_published(release):
    folder, truth = release
    (sample,), _ = convert(folder, "evaluation")
    assert sample.arrays["kp3d_conf"][0, 0].tolist() == [1] + [0] * 20
    np.testing.assert_allclose(sample.arrays["bbox_xyxy"][0, 0], [250, 150, 420, 330])
    hand = truth["SM1", 0]
    (folder / "evaluation_xyz.json").write_text(
        json.dumps([(hand["joints"] * FLIP)[TO_HO3D].tolist()])
    )
    (folder / "evaluation_verts.json").write_text(json.dumps([[[0.1, 0.2, -0.6]] * 778]))
    (sample,), _ = convert(folder, "evaluation")
    np.testing.assert_allclose(sample.arrays["kp3d"][0, 0], hand["joints"], atol=1e-6)
    np.testing.assert_allclose(sample.arrays["verts"][0, 0, 0], [0.1, -0.2, 0.6], rtol=1e-6)


@pytest.mark.parametrize("with_hand", [True, False])
def test_the_converted_splits_pass_every_law(release, asset, tmp_path, with_hand):
    out = tmp_path / "out"
    for split, official in (("train", 66_034), ("evaluation", 11_524)):
        told = write_split(HO3D(hand=asset if with_hand else None), release[0], out, split=split)
        assert told["official"] == official
    assert told["listed"] == 1
    report = check_shards([str(out / "train"), str(out / "evaluation")])
    assert report.findings == ()
    assert ("data.mano" in report.counts["ho3d"]) == with_hand


def test_points_that_were_flipped_twice_in_place_do_not_pass(release, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.data.converters.ho3d.OPENCV_FROM_OPENGL", FLIP * FLIP)
    with pytest.raises(ValueError, match=r"a joint is not in front of the camera \(7\)"):
        write_split(HO3D(), release[0], tmp_path / "out", split="train")


def test_a_pickle_that_wants_to_run_something_is_counted_and_runs_nothing(release, tmp_path):
    path = release[0] / "train/MC1/meta/0007.pkl"
    marker = tmp_path / "ran"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")
    _, skipped = convert(release[0])
    assert any("asks for os.system" in item.reason for item in skipped)
    assert not marker.exists()


def test_the_third_version_is_told_by_its_pictures(release):
    for path in release[0].glob("train/*/rgb/*.png"):
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
        path.unlink()
    rows = HO3D().rows(release[0], split="train")
    assert rows.official == 83_325
    assert next(rows.samples([])).meta["dataset_version"] == "v3"


def test_a_missing_list_and_a_wrong_one_are_refused(release):
    (release[0] / "train.txt").write_text("ABF10-0001\n")
    with pytest.raises(ValueError, match="ABF10-0001"):
        convert(release[0])
    (release[0] / "train.txt").unlink()
    with pytest.raises(ValueError, match="completely unpacked"):
        convert(release[0])


def test_pictures_of_both_kinds_in_one_folder_are_all_found(release):
    path = release[0] / "train/ABF14/rgb/0001.png"
    cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
    path.unlink()
    (sample,) = (s for s in convert(release[0])[0] if s.meta["sequence_id"] == "ABF14")
    assert sample.suffixes == ("png", "jpg")
    assert sample.meta["frames"][1]["file"] == "train/ABF14/rgb/0001.jpg"


def test_labels_pickled_by_python_2_are_read(release, posed):
    """Strings of bytes, and arrays under numpy's old module names, as the release has them."""
    labels = opengl(posed.hand()) | {"camIDList": ["0", "1"], "objLabel": np.int64(3)}
    data = pickle.dumps(labels, protocol=2, fix_imports=True)
    old = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != data or b"numpy.core.multiarray" in data
    (release[0] / "train/MC1/meta/0007.pkl").write_bytes(old)
    (sample,) = (s for s in convert(release[0])[0] if s.meta["sequence_id"] == "MC1")
    expected = (labels["handJoints3D"] * FLIP)[list(OPENPOSE_FROM_MANO)]
    np.testing.assert_allclose(sample.arrays["kp3d"][0, 0], expected, atol=1e-6)


def test_the_two_bytes_of_a_depth_become_one_number(release):
    values = np.arange(480 * 640).reshape(480, 640) % 2**16
    low, high = values % 256, values // 256
    picture = np.stack([np.zeros_like(low), high, low], -1).astype(np.uint8)  # blue, green, red
    file = release[0] / "train/MC1/depth/0007.png"
    file.parent.mkdir()
    cv2.imwrite(str(file), picture)
    (sample,) = (s for s in convert(release[0], depth=True)[0] if s.meta["sequence_id"] == "MC1")
    depth = decode_slot(sample, 0, 0).depth.numpy()
    np.testing.assert_allclose(depth, values * 0.00012498664727900177, atol=1e-6)
    file.write_bytes(cv2.imencode(".png", picture[:100])[1].tobytes())
    _, skipped = convert(release[0], depth=True)
    assert "the depth has another size than the picture" in {item.reason for item in skipped}
