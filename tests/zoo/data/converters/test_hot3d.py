from __future__ import annotations

import io
import json
import tarfile

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from zoo.data.check import check_shards
from zoo.data.converters.fisheye import Fisheye624
from zoo.data.converters.hot3d import Hot3D
from zoo.data.converters.hot3d_clips import list_clips
from zoo.data.converters.writing import write_split

SIZE, FOCAL, STREAM = (320, 240), 220.0, "214-1"
LENS = [FOCAL, 160.0, 118.0, *[0.0] * 12]
TIMES = [987_654_321_987 + k * 33_333_123 for k in range(4)]
BENT = [FOCAL, 160.0, 118.0, 0.4, -0.3, 0.1, 0.02, -0.01, 0.003, 1e-3, -2e-3, 5e-4, -1e-4, 2e-4, 0]


def write_tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


@pytest.fixture
def release(tmp_path, posed):
    """One clip of four frames, a right hand in all and a left hand in the first three."""
    rng = np.random.default_rng(2)
    turn, place = Rotation.from_rotvec([0.2, -0.6, 0.1]), np.array([0.3, -0.2, 1.1])
    betas = rng.normal(0, 0.4, 10)
    members = {"__hand_shapes.json__": json.dumps({"mano": betas.tolist()}).encode()}
    truth = []
    for frame, time in enumerate(TIMES):
        hands, joints = {"left": None, "right": None}, {}
        for side in ("left", "right"):
            if side == "left" and frame == 3:
                continue
            turned, thetas = rng.normal(0, 0.3, 3), rng.normal(0, 0.4, 15)
            converter = Hot3D(hand=posed.asset).labels
            fingers = converter.from_components(thetas, side)
            own = converter.posed(np.r_[turned, fingers], betas, side)
            transl = np.array([0.04 if side == "right" else -0.05, 0, 0.5]) - own[0]
            joints[side] = own + transl  # camera; the world is turned away from it
            world = turn * Rotation.from_rotvec(turned)
            moved = turn.apply(own[0] + transl) + place - own[0]
            hands[side] = {
                "mano_pose": {
                    "thetas": thetas.tolist(),
                    "wrist_xform": [*world.as_rotvec(), *moved],
                },
                "visibilities_modeled": {STREAM: 0.9},
            }
        camera = {
            "calibration": {
                "image_width": SIZE[0],
                "image_height": SIZE[1],
                "projection_model_type": "CameraModelType.FISHEYE624",
                "projection_params": LENS,
            },
            "T_world_from_camera": {
                "quaternion_wxyz": turn.as_quat(scalar_first=True).tolist(),
                "translation_xyz": place.tolist(),
            },
        }
        image = cv2.imencode(".jpg", np.full((SIZE[1], SIZE[0], 3), 120, np.uint8))[1].tobytes()
        info = {"image_timestamps_ns": {STREAM: time}, "sequence_id": "P0001_a"}
        members |= {
            f"{frame:06d}.image_{STREAM}.jpg": image,
            f"{frame:06d}.cameras.json": json.dumps({STREAM: camera}).encode(),
            f"{frame:06d}.hands.json": json.dumps(hands).encode(),
            f"{frame:06d}.info.json": json.dumps(info).encode(),
        }
        truth.append(joints)
    write_tar(tmp_path / "release/train_aria/clip-000001.tar", members)
    return tmp_path / "release", truth, members


def convert(folder, asset, **options):
    skipped = []
    rows = Hot3D(hand=asset, **options).rows(folder, split="train")
    return list(rows.samples(skipped)), skipped


def test_without_distortion_a_pixel_is_focal_length_times_angle():
    lens = Fisheye624.of(LENS)
    for angle in (0.1, 0.7, 1.2):
        (x, y), *_ = lens.project(np.array([[np.sin(angle), 0, np.cos(angle)]]))
        assert x == pytest.approx(160 + FOCAL * angle)
        assert y == pytest.approx(118)


def test_a_distorted_lens_follows_its_formula_written_out():
    k, (p0, p1), s = BENT[3:9], BENT[9:11], BENT[11:]
    x, y = 0.3, -0.2
    r = np.hypot(x, y)
    angle = np.arctan(r)
    bent = angle + sum(c * angle ** (3 + 2 * n) for n, c in enumerate(k))
    u, v = bent * x / r, bent * y / r
    square = u * u + v * v
    wanted = (
        u + 2 * u * (u * p0 + v * p1) + square * p0 + s[0] * square + s[1] * square**2,
        v + 2 * v * (u * p0 + v * p1) + square * p1 + s[2] * square + s[3] * square**2,
    )
    found = Fisheye624.of(BENT).project(np.array([[x, y, 1.0]]))[0]
    np.testing.assert_allclose(found, np.array(wanted) * FOCAL + [160, 118])


def test_a_point_drawn_in_the_fisheye_picture_lands_where_the_pinhole_sees_it():
    lens, point = Fisheye624.of(BENT), np.array([[0.12, -0.08, 0.6]])
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    cv2.circle(image, tuple(np.round(lens.project(point)[0]).astype(int)), 4, (255,) * 3, -1)
    from zoo.data.converters.fisheye import rectified

    rows, columns = np.nonzero(rectified(image, lens.maps(SIZE))[..., 0] > 128)
    seen = lens.pinhole(SIZE) @ point[0]
    np.testing.assert_allclose([columns.mean(), rows.mean()], seen[:2] / seen[2], atol=0.8)


def test_hands_come_out_in_the_camera_whatever_the_world(release, asset):
    folder, truth, _ = release
    (sample,), skipped = convert(folder, asset)
    assert not skipped
    assert sample.arrays["present"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    for frame, joints in enumerate(truth):
        for index, side in enumerate(("left", "right")):
            if side in joints:
                found = sample.arrays["kp3d"][index, frame]
                np.testing.assert_allclose(found, joints[side], atol=2e-6)
    assert sample.meta["camera_model"] == "rectified_from_fisheye624"


def test_times_are_the_cameras_own_clock_to_the_nanosecond(release, asset):
    (sample,), _ = convert(release[0], asset)
    assert sample.arrays["timestamp_ns"].tolist() == TIMES


def test_the_converted_clip_passes_every_law(release, asset, tmp_path):
    told = write_split(Hot3D(hand=asset), release[0], tmp_path / "out", split="train")
    assert (told["frames"], told["pictures"]) == (7, 4)
    report = check_shards(str(tmp_path / "out/train"))
    assert report.findings == ()
    assert report.counts["hot3d"]["data.mano"]["checked"] == 7


def test_a_hand_nobody_sees_is_not_present(release, asset):
    folder, _, members = release
    hands = json.loads(members["000000.hands.json"])
    hands["left"]["visibilities_modeled"][STREAM] = 0.0
    members = members | {"000000.hands.json": json.dumps(hands).encode()}
    write_tar(folder / "train_aria/clip-000001.tar", members)
    (sample,), _ = convert(folder, asset)
    assert sample.arrays["present"][0].tolist() == [0, 1, 1, 0]
    assert not sample.arrays["kp3d"][0, 0].any()


def test_no_hand_model_and_no_clips_are_refused_and_a_cut_tar_is_counted(release, asset, tmp_path):
    folder = release[0]
    with pytest.raises(ValueError, match="--hand"):
        convert(folder, None)
    with pytest.raises(ValueError, match="holds no train"):
        convert(tmp_path / "empty", asset)
    path = folder / "train_aria/clip-000001.tar"
    path.write_bytes(path.read_bytes()[:6000])
    samples, skipped = convert(folder, asset)
    assert samples == []
    assert skipped
    assert skipped[0].reason in ("the tar is cut off", "the shape of the hands is missing")


def test_clips_in_one_folder_belong_to_the_split_the_release_lists_them_in(tmp_path):
    for number in (1, 2, 3):
        write_tar(tmp_path / f"clip-{number:06d}.tar", {"000000.image_214-1.jpg": b""})
    assert len(list_clips(tmp_path, "train")) == 3
    told = {"train": {"Aria": [1], "Quest3": ["000003"]}, "test_ht_pose": [2], "test_bop": [2]}
    (tmp_path / "clip_splits.json").write_text(json.dumps(told))
    assert [t.stem for t in list_clips(tmp_path, "train")] == ["clip-000001", "clip-000003"]
    assert [t.stem for t in list_clips(tmp_path, "test")] == ["clip-000002"]


def test_a_test_clip_without_published_hands_says_so(release, asset):
    folder, _, members = release
    kept = {name: data for name, data in members.items() if "hands.json" not in name}
    write_tar(folder / "train_aria/clip-000001.tar", kept)
    samples, skipped = convert(folder, asset)
    assert samples == []
    assert {s.reason for s in skipped} == {
        "hands.json is missing; of test clips it is not published"
    }


def test_a_side_that_is_not_listed_and_a_frame_with_a_strange_pose_cost_nothing_else(
    release, asset
):
    folder, _, members = release
    alone = json.loads(members["000001.hands.json"])
    del alone["left"]
    strange = json.loads(members["000002.hands.json"])
    strange["right"]["mano_pose"]["thetas"] = [0.0] * 45
    changed = {
        "000000.info.json": b"{",
        "000001.hands.json": json.dumps(alone).encode(),
        "000002.hands.json": json.dumps(strange).encode(),
    }
    write_tar(folder / "train_aria/clip-000001.tar", members | changed)
    samples, skipped = convert(folder, asset)
    assert [s.arrays["frame_index"].tolist() for s in samples] == [[1], [3]]
    assert samples[0].arrays["present"][:, 0].tolist() == [0, 1]
    assert sorted(s.reason for s in skipped) == [
        "info is not JSON",
        "mano_pose is not 15 thetas and a wrist_xform of 6 numbers",
    ]
