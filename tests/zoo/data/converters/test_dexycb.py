from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from zoo.data.check import check_shards
from zoo.data.converters import dexycb
from zoo.data.converters.dexycb import CAMERAS, DexYCB, is_in
from zoo.data.converters.writing import write_split
from zoo.data.schema import decode_slot

COLOR = {"fx": 612.0, "fy": 611.0, "ppx": 318.0, "ppy": 242.0}
FIRST = "20200709-subject-01/20200709_000000"
COUNTS = {
    "s0": (6400, 320, 1280),
    "s1": (5600, 800, 1600),
    "s2": (6000, 1000, 1000),
    "s3": (6000, 800, 1200),
}


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory):
    """Two subjects' hundred sequences, two of which have one camera, and calibration."""
    folder = tmp_path_factory.mktemp("dexycb")
    for subject in ("20200709-subject-01", "20200928-subject-07"):
        for sequence in range(100):
            (folder / subject / f"20200709_{sequence:06d}").mkdir(parents=True)
    rng = np.random.default_rng(4)
    write = {
        "calibration/intrinsics/{}_640x480.yml": {"color": COLOR, "depth": COLOR},
        "calibration/mano_cal_right/mano.yml": {"betas": rng.normal(0, 0.5, 10).tolist()},
        "calibration/extrinsics_ext/extrinsics.yml": {
            "master": CAMERAS[0],
            "extrinsics": {
                c: np.c_[Rotation.random(random_state=k).as_matrix(), [0.1, 0.2, k]]
                .ravel()
                .tolist()
                for k, c in enumerate(CAMERAS)
            },
        },
    }
    for name, content in write.items():
        for camera in CAMERAS if "{}" in name else ("",):
            path = folder / name.format(camera)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def release(skeleton, posed, monkeypatch):
    """Right hands in rank 0, left hands in rank 4; the second frame of each shows none."""
    dexycb._read_yaml.cache_clear()
    betas = np.array(
        yaml.safe_load((skeleton / "calibration/mano_cal_right/mano.yml").read_text())["betas"]
    )
    # every subject has one shape, which the left hand borrows
    monkeypatch.setattr(posed, "rng", Shaped(posed.rng, betas))
    truth = {}
    for rank, side in ((0, "right"), (4, "left")):
        sequence = skeleton / f"20200709-subject-01/20200709_{rank:06d}"
        meta = {"mano_sides": [side], "mano_calib": ["cal_right"], "extrinsics": "ext"}
        (sequence / "meta.yml").write_text(yaml.safe_dump({**meta, "num_frames": 5}))
        for camera in CAMERAS[:2]:
            (sequence / camera).mkdir(exist_ok=True)
            for frame in range(5):
                stem = sequence / camera
                if not (stem / f"color_{frame:06d}.jpg").is_file():
                    image = np.full((480, 640, 3), 80, np.uint8)
                    cv2.imwrite(str(stem / f"color_{frame:06d}.jpg"), image)
                hand = posed.hand(side)
                truth[side, camera, frame] = hand
                pose = np.r_[hand["absolute"][:3], hand["coefficients"], hand["transl"]]
                joints = hand["joints"]
                if frame == 1:
                    pose, joints = np.zeros(51), np.full((21, 3), -1.0)
                np.savez(
                    stem / f"labels_{frame:06d}.npz",
                    pose_m=pose[None].astype(np.float32),
                    joint_3d=joints[None].astype(np.float32),
                    joint_2d=np.zeros((1, 21, 2), np.float32),
                )
    return skeleton, truth


class Shaped:
    """A generator whose ten-number draws are the subject's shape."""

    def __init__(self, rng, betas):
        self.rng, self.betas = rng, betas

    def normal(self, mean, spread, size):
        return self.betas.copy() if size == 10 else self.rng.normal(mean, spread, size)


def convert(folder, split, **options):
    skipped = []
    return list(DexYCB(**options).rows(folder, split=split).samples(skipped)), skipped


@pytest.mark.parametrize("setup", COUNTS)
def test_the_splits_have_the_official_numbers_of_sequences_times_cameras(setup):
    everyone = [(s, i, c) for s in range(1, 11) for i in range(100) for c in range(8)]
    found = [
        [cell for cell in everyone if is_in(f"{setup}_{part}")(*cell)]
        for part in ("train", "val", "test")
    ]
    assert tuple(map(len, found)) == COUNTS[setup]
    assert len(set().union(*found)) == 8000


def test_joints_and_poses_come_out_as_the_truth_on_both_sides(release, asset):
    folder, truth = release
    for split, side in (("s0_train", "right"), ("s0_val", "left")):
        samples, _ = convert(folder, split, hand=asset)
        assert {sample.meta["hands"][0]["side"] for sample in samples} == {side}
        for sample in samples:
            for index, frame in enumerate(sample.arrays["frame_index"]):
                hand = truth[side, sample.meta["camera_id"], int(frame)]
                arrays = {name: sample.arrays[name][0, index] for name in ("kp3d", "mano_pose")}
                np.testing.assert_allclose(arrays["kp3d"], hand["joints"], atol=1e-6)
                np.testing.assert_allclose(arrays["mano_pose"], hand["absolute"][3:], atol=1e-5)
                assert sample.arrays["fit_error"][0, index] < 0.05


def test_a_frame_without_a_hand_is_left_out_before_anything_is_read_of_it(release):
    samples, skipped = convert(release[0], "s0_train")
    assert [s.arrays["frame_index"].tolist() for s in samples] == [[0], [2, 3, 4]] * 2
    assert {item.reason for item in skipped} == {"no hand is labelled in the frame"}
    assert len(skipped) == 2


def test_the_way_into_the_rig_and_back_is_the_files_own(release):
    sample = convert(release[0], "s0_train")[0][0]
    told = yaml.safe_load((release[0] / "calibration/extrinsics_ext/extrinsics.yml").read_text())
    to_rig = np.reshape(told["extrinsics"][CAMERAS[0]], (3, 4))
    point = np.array([0.1, 0.2, 0.7])
    back = sample.arrays["cam_from_world"][0] @ np.r_[to_rig[:, :3] @ point + to_rig[:, 3], 1]
    np.testing.assert_allclose(back[:3], point, atol=1e-6)


@pytest.mark.parametrize("with_hand", [True, False])
def test_train_and_val_converted_pass_every_law(release, asset, tmp_path, with_hand):
    out = tmp_path / "out"
    for split in ("s0_train", "s0_val"):
        converter = DexYCB(hand=asset if with_hand else None)
        told = write_split(converter, release[0], out, split=split)
        assert told["listed"] == 10
        assert (told["pictures"], sum(told["skipped"].values())) == (8, 2)
    report = check_shards([str(out / "s0_train"), str(out / "s0_val")])
    assert report.findings == ()
    assert ("data.mano" in report.counts["dexycb"]) == with_hand


def test_choosing_frames_by_the_rule_for_sequences_leaks_and_is_found(release, tmp_path):
    """The known exporter: frame numbers went where ranks of sequences belong."""
    out = tmp_path / "out"
    for split, modulo in (("s0_train", False), ("s0_val", True)):

        class Mixed(DexYCB):
            def rows(self, source, *, split, modulo=modulo):
                rows = super().rows(source, split="s0_train")
                keep = rows.read

                def read(index, skipped):
                    return [
                        with_split(s, split)
                        for s in keep(index, skipped)
                        if (int(s.arrays["frame_index"][0]) % 5 in (2, 3)) == modulo
                    ]

                return type(rows)(rows.count, read, rows.listed, frames=rows.frames)

        write_split(Mixed(clip_frames=1), release[0], out, split=split)
    found = check_shards([str(out / "s0_train"), str(out / "s0_val")]).findings
    assert "data.leak" in [finding.id for finding in found]


def with_split(sample, split):
    meta = {**sample.meta, "split": split}
    return type(sample)(sample.key + split, meta, sample.arrays, sample.pictures, sample.suffixes)


def test_cameras_of_one_take_in_two_splits_are_no_leak_in_the_setup_that_divides_so(
    release, tmp_path
):
    samples, _ = convert(release[0], "s2_train")
    assert {s.meta["split_by"] for s in samples} == {"camera"}
    assert {s.meta["camera_id"] for s in samples} == set(CAMERAS[:2])


def test_a_subject_that_is_not_whole_is_refused(tmp_path):
    (tmp_path / "20200709-subject-01" / "20200709_000000").mkdir(parents=True)
    with pytest.raises(ValueError, match="1 sequences, not 100"):
        convert(tmp_path, "s0_train")
    with pytest.raises(ValueError, match="holds no folder"):
        convert(tmp_path / "20200709-subject-01", "s0_train")


def test_damaged_labels_are_counted(release):
    path = release[0] / FIRST / CAMERAS[0] / "labels_000003.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    _, skipped = convert(release[0], "s0_train")
    assert "the labels are damaged" in [item.reason for item in skipped]
    os.remove(path)
    _, skipped = convert(release[0], "s0_train")
    assert "the frame has no labels" in [item.reason for item in skipped]


def test_a_frame_with_labels_and_no_picture_is_listed_and_counted(release):
    path = release[0] / FIRST / CAMERAS[1] / "color_000004.jpg"
    path.rename(path.with_name("kept_elsewhere.jpg"))
    try:
        rows = DexYCB().rows(release[0], split="s0_train")
        skipped = []
        samples = list(rows.samples(skipped))
    finally:
        path.with_name("kept_elsewhere.jpg").rename(path)
    assert rows.listed == 10
    assert "the picture is not there" in [item.reason for item in skipped]
    assert sum(len(sample.pictures) for sample in samples) + len(skipped) == 10


def test_depth_is_kept_to_the_byte_where_it_is_asked_for_and_there(release):
    film = release[0] / "20200709-subject-01/20200709_000000" / CAMERAS[0]
    files = {frame: film / f"aligned_depth_to_color_{frame:06d}.png" for frame in (0, 2, 4)}
    try:
        for frame, file in files.items():
            cv2.imwrite(str(file), np.full((480, 640), 700 + frame, np.uint16))
        files[4].write_bytes(files[4].read_bytes()[:100])
        samples, skipped = convert(release[0], "s0_train", depth=True)
        assert samples[0].meta["depth"] == {"unit_m": 1e-3}
        assert samples[0].depths == (files[0].read_bytes(),)
        assert samples[1].arrays["frame_index"].tolist() == [2, 3], "a broken one ends the run"
        assert samples[1].depths == (files[2].read_bytes(), None)
        assert samples[2].depths == (), "the other camera has none"
        assert "the depth picture is truncated" in {item.reason for item in skipped}
        frame = decode_slot(samples[1], 0, 0)
        assert frame.depth.unique().tolist() == pytest.approx([0.702])
        assert not any(sample.depths for sample in convert(release[0], "s0_train")[0])
    finally:  # the folder is shared
        for file in files.values():
            file.unlink(missing_ok=True)
