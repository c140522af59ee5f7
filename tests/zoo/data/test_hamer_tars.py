"""HaMeR's tars are read as they are, filtered as HaMeR filters, and run nothing."""

from __future__ import annotations

import io
import os
import pickle
import tarfile

import cv2
import numpy as np
import pytest

from zoo.data.hamer_tars import HamerTars
from zoo.data.schema import ClipSample, decode_slot
from zoo.data.streams import EvalStream, StreamLoader

WIDTH, HEIGHT = 64, 48


def a_hand(seed=0, **changes):
    rng = np.random.default_rng(seed)
    ones = np.ones((21, 1), np.float32)
    hand = {
        "keypoints_2d": np.hstack([rng.uniform(10, 40, (21, 2)), ones]).astype(np.float32),
        "keypoints_3d": np.hstack([rng.normal(0, 0.1, (21, 3)), ones]).astype(np.float32),
        "center": np.array([30.0, 24.0]),
        "scale": np.array([0.2, 0.15]),
        "hand_pose": rng.normal(0, 0.3, 48).astype(np.float32),
        "betas": rng.uniform(-1, 1, 10).astype(np.float32),
        "has_hand_pose": np.float32(1),
        "has_betas": np.float32(1),
        "right": np.float32(1),
        "personid": 0,
        "extra_info": {},
    }
    return hand | changes


def a_picture():
    return cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 90, np.uint8))[1].tobytes()


def write_tar(path, *labels, pictures=None):
    """A tar with one picture for each label: a list of hands, or the bytes of a pickle."""
    pictures = pictures or [a_picture()] * len(labels)
    with tarfile.open(path, "w") as tar:
        for number, (label, picture) in enumerate(zip(labels, pictures, strict=True)):
            label = label if isinstance(label, bytes) else pickle.dumps(label, protocol=4)
            for name, data in (("jpg", picture), ("data.pyd", label)):
                entry = tarfile.TarInfo(f"made-up-train/{number:08d}.{name}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return path


def read(path, **options):
    """Frames and skips of a tar."""
    source, broken, found = HamerTars(shards=path, **options), [], []
    for sample in source.samples(str(path), broken):
        if isinstance(sample, ClipSample):
            found += [decode_slot(sample, *slot) for slot in sample.slots()]
        else:
            found.append(sample)
    assert source.count() == len(found)
    return found, broken


def test_a_picture_with_two_hands_is_two_frames_of_one_source(tmp_path):
    left = a_hand(1, right=np.float32(0))
    frames, _ = read(write_tar(tmp_path / "0.tar", [a_hand(), left]))
    assert [frame.is_left for frame in frames] == [False, True]
    assert len({frame.key for frame in frames}) == 2
    assert {frame.source for frame in frames} == {"made-up-train"}
    first = frames[0].label
    np.testing.assert_allclose(first.keypoints, a_hand()["keypoints_2d"][:, :2])
    np.testing.assert_allclose(first.joints, a_hand()["keypoints_3d"][:, :3])
    assert first.has_mano == 1
    assert first.has_intrinsics == 0


@pytest.mark.parametrize("expand", [1.0, 2.0, 3.0])
def test_the_crop_of_a_padded_box_is_that_box_whatever_the_config_expands(tmp_path, expand):
    frames, _ = read(write_tar(tmp_path / "0.tar", [a_hand()]), crop_expand=expand)
    x0, y0, x1, y1 = frames[0].hand_box.tolist()
    assert (x1 - x0) * expand == pytest.approx(40.0)  # 0.2 x 200 px
    assert (y1 - y0) * expand == pytest.approx(30.0)
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((30, 24))


def some_keypoints(sure):
    points = a_hand()["keypoints_2d"].copy()
    points[:, 2] = 0.2
    points[:sure, 2] = 0.9
    return points


def fit(loss):
    return {"fitting_loss": np.array({"reprojection_loss": loss}, dtype=object)}


@pytest.mark.parametrize(
    ("changes", "off", "kept"),
    [
        ({"keypoints_2d": some_keypoints(4)}, {"min_keypoints": 0}, False),
        ({"keypoints_2d": some_keypoints(4)}, {"min_confidence": None}, False),
        ({"keypoints_2d": some_keypoints(5)}, {}, True),
        ({"extra_info": fit(31000.0)}, {"max_reprojection_loss": None}, False),
        ({"extra_info": fit(30999.0)}, {}, True),
    ],
)
def test_a_filter_leaves_out_what_it_should_and_can_be_switched_off(tmp_path, changes, off, kept):
    tar = write_tar(tmp_path / "0.tar", [a_hand(**changes)])
    assert bool(read(tar)[0]) == kept
    assert read(tar, **off)[0]


@pytest.mark.parametrize(
    ("changes", "off"),
    [
        ({"betas": np.full(10, 3.5, np.float32)}, {"max_beta": None}),
        ({"has_betas": np.float32(0)}, {"pose_needs_betas": False}),
    ],
)
def test_a_doubtful_shape_takes_its_pose_along(tmp_path, changes, off):
    tar = write_tar(tmp_path / "0.tar", [a_hand(**changes)])
    assert read(tar)[0][0].label.has_mano == 0
    assert read(tar, **off)[0][0].label.has_mano == 1


def test_a_pose_without_betas_is_trained_with_zeros_as_hamer_does(tmp_path):
    tar = write_tar(tmp_path / "0.tar", [a_hand(has_betas=np.float32(0))])
    label = read(tar, pose_needs_betas=False)[0][0].label
    assert label.has_mano == 1
    assert not label.betas.any()


class Payload:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (os.mkdir, (self.place,))


@pytest.mark.parametrize("where", ["alone", "beside", "inside"])
def test_a_hostile_label_is_a_skip_that_names_it_and_runs_nothing(tmp_path, where):
    payload = Payload(str(tmp_path / "ran"))
    label = {
        "alone": payload,
        "beside": [a_hand(extra_info={"x": payload})],
        "inside": [a_hand(extra_info=np.array({"x": payload}, dtype=object))],
    }[where]
    write_tar(tmp_path / "0.tar", [a_hand()], label, [a_hand(1)])
    found, _ = read(tmp_path / "0.tar")
    assert len(found) == 3
    assert found[1].key == "made-up-train/00000001"
    assert "mkdir" in found[1].reason
    assert "nothing was run" in found[1].reason
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (b"no pickle", "not a readable pickle"),
        (pickle.dumps([a_hand()])[:200], "not a readable pickle"),
        ({"a": 1}, "not a list"),
        ([a_hand(center=np.zeros(3))], "have shapes"),
        ([{k: v for k, v in a_hand().items() if k != "scale"}], "no 'scale'"),
        ([a_hand(betas=np.zeros(9, np.float32))], "betas: has shape"),
        ([a_hand(scale=np.array([np.nan, 1]))], "not finite"),
        ([a_hand(scale=np.array(["a", "b"]))], "numbers should"),
        ([a_hand(keypoints_2d=np.full((21, 3), None))], "numbers should"),
        ([a_hand(keypoints_3d=np.full((21, 4), {}))], "holds no numbers"),
        ([a_hand(keypoints_3d=np.full((21, 4), np.nan, np.float32))], "NaN"),
    ],
)
def test_a_broken_label_is_a_counted_skip(tmp_path, label, says):
    write_tar(tmp_path / "0.tar", [a_hand()], label)
    found, _ = read(tmp_path / "0.tar")
    assert [hasattr(item, "reason") for item in found] == [False, True]
    assert says in found[1].reason


def test_a_stream_counts_half_pictures_and_cut_off_tars(tmp_path):
    whole = a_picture()
    write_tar(
        tmp_path / "0.tar", [a_hand()], [a_hand()], pictures=[whole, whole[: len(whole) // 2]]
    )
    write_tar(tmp_path / "1.tar", [a_hand()])
    cut = (tmp_path / "1.tar").read_bytes()
    (tmp_path / "1.tar").write_bytes(cut[:1500])
    sources = {"tars": HamerTars(shards=tmp_path)}
    batches = list(StreamLoader(EvalStream(sources, batch_size=4)))
    assert sum(len(batch) for batch in batches) == 1
    reasons = " ".join(s.reason for batch in batches for s in batch.skipped)
    assert "truncated" in reasons
    assert "cut off" in reasons


def test_a_fingerprint_changes_with_the_filters(tmp_path):
    tar = write_tar(tmp_path / "0.tar", [a_hand()])
    first, same, other = (HamerTars(shards=tar, min_keypoints=n) for n in (4, 4, 5))
    assert first.fingerprint() == same.fingerprint() != other.fingerprint()
