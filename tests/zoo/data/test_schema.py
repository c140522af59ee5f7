"""A sample survives the tar, and a broken one says what is broken."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from zoo.data.schema import BadSample, ClipSample, absent_arrays, decode, encode

HANDS, FRAMES, WIDTH, HEIGHT = 2, 3, 80, 60


def make_sample(seed=0, hands=HANDS, frames=FRAMES, suffix="png"):
    rng = np.random.default_rng(seed)
    arrays = absent_arrays(hands=hands, frames=frames)
    for name in ("present", "has_bbox", "has_mano_pose", "has_mano_betas", "has_mano_transl"):
        arrays[name][:] = 1
    arrays["has_K"][:] = 1
    arrays["K"][:] = [[100, 0, 40], [0, 100, 30], [0, 0, 1]]
    arrays["kp3d"] = rng.normal([0, 0, 0.6], 0.05, arrays["kp3d"].shape).astype(np.float32)
    image = arrays["kp3d"] @ arrays["K"][0].T
    arrays["kp2d"] = image[..., :2] / image[..., 2:]
    arrays["kp3d_conf"][:] = arrays["kp2d_conf"][:] = 1
    arrays["bbox_xyxy"][:] = [10, 5, 70, 50]
    for name in ("mano_global", "mano_pose", "mano_betas", "mano_transl"):
        arrays[name] = rng.normal(0, 0.5, arrays[name].shape).astype(np.float32)
    arrays["timestamp_ns"][:] = 10**18 + np.arange(frames) * 33_333_333
    images = rng.integers(0, 256, (frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
    meta = {
        "schema": "handclip-1",
        "dataset": "made_up",
        "hands": [{"side": side} for side in ("right", "left")[:hands]],
        "frames": [{"width": WIDTH, "height": HEIGHT}] * frames,
    }
    pictures = tuple(cv2.imencode(f".{suffix}", i[..., ::-1])[1].tobytes() for i in images)
    return ClipSample(
        f"made_up/train/s{seed}/0", meta, arrays, pictures, (suffix,) * frames
    ), images


def members_of(sample):
    prefix = len(sample.key) + 1
    return {"__key__": sample.key} | {k[prefix:]: v for k, v in encode(sample).items()}


def broken(change, **sizes):
    """The error that decoding reports after `change` edited the encoded members."""
    members = members_of(make_sample(**sizes)[0])
    change(members)
    with pytest.raises(BadSample) as caught:
        decode(members, "shards/0007.tar")
    assert caught.value.shard == "shards/0007.tar"
    assert caught.value.key == "made_up/train/s0/0"
    assert "shards/0007.tar: made_up/train/s0/0: " in str(caught.value)
    return caught.value


def with_array(name, index, value):
    """An edit of one number behind encode's back."""

    def change(members):
        from safetensors.numpy import load, save

        arrays = load(members["ann.st"])
        arrays[name][index] = value
        members["ann.st"] = save(arrays)

    return change


def test_every_hand_of_every_frame_comes_back_as_it_was_written():
    sample, images = make_sample()
    frames = decode(members_of(sample))
    assert len(frames) == HANDS * FRAMES
    for n, frame in enumerate(frames):
        t, h = divmod(n, HANDS)
        arrays, label = sample.arrays, frame.label
        np.testing.assert_array_equal(frame.image.permute(1, 2, 0).numpy(), images[t])
        np.testing.assert_array_equal(frame.intrinsics, arrays["K"][t])
        np.testing.assert_array_equal(frame.hand_box, arrays["bbox_xyxy"][h, t])
        np.testing.assert_array_equal(label.joints, arrays["kp3d"][h, t])
        np.testing.assert_array_equal(label.keypoints, arrays["kp2d"][h, t])
        np.testing.assert_array_equal(label.betas, arrays["mano_betas"][h, t])
        rotvecs = np.vstack([arrays["mano_global"][h, t], arrays["mano_pose"][h, t].reshape(15, 3)])
        rotmats = Rotation.from_rotvec(rotvecs).as_matrix()
        np.testing.assert_allclose(label.rotmats, rotmats, atol=1e-6)
        assert frame.is_left == (h == 1)
        assert frame.source == "made_up"
    assert len({frame.key for frame in frames}) == len(frames)


def test_every_number_of_a_label_is_float32():
    label = decode(members_of(make_sample()[0]))[0].label
    for name in ("rotmats", "betas", "has_mano", "joints", "keypoints_valid", "has_intrinsics"):
        assert getattr(label, name).dtype == torch.float32


def test_time_keeps_its_nanoseconds():
    from zoo.data.schema import parse

    sample, _ = make_sample()
    back = parse(members_of(sample))
    np.testing.assert_array_equal(back.arrays["timestamp_ns"], sample.arrays["timestamp_ns"])


def test_what_is_not_labelled_is_zero_with_validity_zero():
    sample, _ = make_sample()
    arrays = sample.arrays
    arrays["kp3d_conf"][0, 0, 3:] = 0
    arrays["kp2d_conf"][0, 0, 5] = 0
    arrays["has_mano_betas"][0, 0] = arrays["has_K"][0] = 0
    for name, flag in (("kp3d", "kp3d_conf"), ("kp2d", "kp2d_conf")):
        arrays[name][arrays[flag] == 0] = 0
    arrays["mano_betas"][0, 0] = arrays["K"][0] = 0
    frame = decode(members_of(sample))[0]
    label = frame.label
    assert label.has_mano == 0
    assert not label.rotmats.any()
    assert not label.betas.any()
    assert label.joints_valid.tolist() == [1] * 3 + [0] * 18
    assert not label.joints[3:].any()
    assert label.keypoints_valid[5] == 0
    assert label.has_intrinsics == 0
    assert frame.intrinsics[0, 0] == pytest.approx(5000 / 256 * WIDTH)


def test_a_reader_never_sees_a_value_whose_flag_is_down():
    members = members_of(make_sample()[0])
    with_array("kp3d_conf", (0, 0), 0)(members)  # the numbers stay, the flag goes
    with_array("has_mano_pose", (0, 0), 0)(members)
    label = decode(members)[0].label
    assert not label.joints.any()
    assert not label.rotmats.any()
    assert not label.betas.any()


def test_encode_refuses_values_under_a_lowered_flag():
    sample, _ = make_sample()
    sample.arrays["has_bbox"][1, 2] = 0
    with pytest.raises(BadSample, match="bbox_xyxy: must be 0 wherever has_bbox is 0"):
        encode(sample)


def test_without_a_box_the_labelled_keypoints_give_one():
    sample, _ = make_sample()
    sample.arrays["has_bbox"][:] = 0
    sample.arrays["bbox_xyxy"][:] = 0
    points = sample.arrays["kp2d"][0, 0]
    expected = np.concatenate([points.min(0), points.max(0)])
    np.testing.assert_allclose(decode(members_of(sample))[0].hand_box, expected)


def test_a_hand_that_is_not_present_gives_no_frame():
    sample, _ = make_sample()
    sample.arrays["present"][1] = 0
    assert not any(frame.is_left for frame in decode(members_of(sample)))


@pytest.mark.parametrize("name", ["kp2d", "kp3d", "mano_pose", "mano_betas", "bbox_xyxy"])
def test_a_nan_label_is_named(name):
    bad = broken(with_array(name, (0, 0), np.nan))
    assert bad.field == name
    assert "NaN" in bad.reason


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_image_is_named(suffix, keep):
    def cut(members):
        name = f"f0001.{suffix}"
        members[name] = members[name][: int(keep * len(members[name]))]

    bad = broken(cut, suffix=suffix)
    assert bad.field == "f0001"


@pytest.mark.parametrize("name", ["meta.json", "ann.st", "f0001.png"])
def test_a_missing_member_is_named(name):
    bad = broken(lambda members: members.pop(name))
    assert bad.field == ("f0000" if name.startswith("f") else name)


@pytest.mark.parametrize("name", ["meta.json", "ann.st"])
def test_a_truncated_label_is_named(name):
    def cut(members):
        members[name] = members[name][:-5]

    assert broken(cut).field == name


@pytest.mark.parametrize(
    "box", [[-30, 5, -1, 50], [80, 5, 95, 50], [10, -40, 70, -2], [10, 60, 70, 99]]
)
def test_a_box_outside_the_picture_is_named(box):
    bad = broken(with_array("bbox_xyxy", (0, 0), box))
    assert bad.field == "bbox_xyxy"
    assert "outside" in bad.reason


@pytest.mark.parametrize("box", [[-30, -5, 20, 50], [70, 50, 200, 300], [-99, -99, 200, 200]])
def test_a_box_partly_outside_is_kept_as_it_is(box):
    members = members_of(make_sample()[0])
    with_array("bbox_xyxy", (0, 0), box)(members)
    assert decode(members)[0].hand_box.tolist() == box


@pytest.mark.parametrize("box", [[10, 5, 10, 50], [70, 5, 10, 50], [10, 50, 70, 5]])
def test_a_box_without_area_is_named(box):
    bad = broken(with_array("bbox_xyxy", (0, 0), box))
    assert "no area" in bad.reason


def test_an_unknown_side_is_named():
    def change(members):
        meta = json.loads(members["meta.json"])
        meta["hands"][0]["side"] = "both"
        members["meta.json"] = json.dumps(meta).encode()

    assert broken(change).field == "hands[0].side"


def test_a_picture_of_another_size_than_its_label_is_named():
    def change(members):
        meta = json.loads(members["meta.json"])
        meta["frames"][0]["width"] = 160
        members["meta.json"] = json.dumps(meta).encode()

    assert "80x60" in broken(change).reason


def test_another_schema_is_refused():
    def change(members):
        members["meta.json"] = members["meta.json"].replace(b"handclip-1", b"handclip-9")

    assert broken(change).field == "meta.json: schema"


@pytest.mark.parametrize("name", ["kp3d", "K", "present"])
def test_an_array_of_another_shape_is_refused(name):
    sample, _ = make_sample()
    sample.arrays[name] = sample.arrays[name][:1]
    with pytest.raises(BadSample, match=name):
        encode(sample)


def test_official_vertices_come_along():
    sample, _ = make_sample()
    rng = np.random.default_rng(1)
    sample.arrays["verts"] = rng.normal(size=(HANDS, FRAMES, 778, 3)).astype(np.float32)
    sample.arrays["has_verts"] = np.ones((HANDS, FRAMES), np.uint8)
    frame = decode(members_of(sample))[1]
    np.testing.assert_array_equal(frame.label.vertices, sample.arrays["verts"][1, 0])
    assert frame.label.vertices_valid == 1
