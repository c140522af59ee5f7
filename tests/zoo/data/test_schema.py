"""A sample survives the tar, and a broken one says what is broken."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from scipy.spatial.transform import Rotation

from zoo.data.schema import BadSample, decode, encode, parse
from zoo.geometry.camera import assumed_intrinsics


def members_of(sample):
    prefix = len(sample.key) + 1
    return {"__key__": sample.key} | {k[prefix:]: v for k, v in encode(sample).items()}


@pytest.fixture
def broken(make_sample):
    """The error that decoding reports after `change` edited the encoded members."""

    def decode_after(change, **sizes):
        members = members_of(make_sample(**sizes)[0])
        change(members)
        with pytest.raises(BadSample) as caught:
            decode(members, "shards/0007.tar")
        assert caught.value.shard == "shards/0007.tar"
        assert caught.value.key == "made_up/train/s0/0"
        assert "shards/0007.tar: made_up/train/s0/0: " in str(caught.value)
        return caught.value

    return decode_after


def with_array(name, index, value):
    """An edit of one number behind encode's back."""

    def change(members):
        arrays = load(members["ann.st"])
        arrays[name][index] = value
        members["ann.st"] = save(arrays)

    return change


def test_every_hand_of_every_frame_comes_back_as_it_was_written(make_sample):
    sample, images = make_sample()
    frames = decode(members_of(sample))
    assert len(frames) == 6
    for n, frame in enumerate(frames):
        t, h = divmod(n, 2)
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


def test_every_number_of_a_label_is_float32(make_sample):
    label = decode(members_of(make_sample()[0]))[0].label
    for name in ("rotmats", "betas", "has_mano", "joints", "keypoints_valid", "has_intrinsics"):
        assert getattr(label, name).dtype == torch.float32


def test_time_keeps_its_nanoseconds(make_sample):
    sample, _ = make_sample()
    back = parse(members_of(sample))
    np.testing.assert_array_equal(back.arrays["timestamp_ns"], sample.arrays["timestamp_ns"])


def test_what_is_not_labelled_is_zero_with_validity_zero(make_sample):
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
    size = torch.tensor([frame.image.shape[1:]], dtype=torch.float32)
    assert torch.equal(frame.intrinsics, assumed_intrinsics(size)[0]), "one assumption for all"


def test_a_reader_never_sees_a_value_whose_flag_is_down(make_sample):
    members = members_of(make_sample()[0])
    with_array("kp3d_conf", (0, 0), 0)(members)  # the numbers stay, the flag goes
    with_array("has_mano_pose", (0, 0), 0)(members)
    label = decode(members)[0].label
    assert not label.joints.any()
    assert not label.rotmats.any()
    assert not label.betas.any()


def test_encode_refuses_values_under_a_lowered_flag(make_sample):
    sample, _ = make_sample()
    sample.arrays["has_bbox"][1, 2] = 0
    with pytest.raises(BadSample, match="bbox_xyxy: must be 0 wherever has_bbox is 0"):
        encode(sample)


def test_without_a_box_the_labelled_keypoints_give_one(make_sample):
    sample, _ = make_sample()
    sample.arrays["has_bbox"][:] = 0
    sample.arrays["bbox_xyxy"][:] = 0
    points = sample.arrays["kp2d"][0, 0]
    expected = np.concatenate([points.min(0), points.max(0)])
    np.testing.assert_allclose(decode(members_of(sample))[0].hand_box, expected)


def test_a_hand_that_is_not_present_gives_no_frame(make_sample):
    sample, _ = make_sample()
    sample.arrays["present"][1] = 0
    assert not any(frame.is_left for frame in decode(members_of(sample)))


@pytest.mark.parametrize("name", ["kp2d", "kp3d", "mano_pose", "mano_betas", "bbox_xyxy"])
def test_a_nan_label_is_named(broken, name):
    bad = broken(with_array(name, (0, 0), np.nan))
    assert bad.field == name
    assert "NaN" in bad.reason


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_image_is_named(broken, suffix, keep):
    def cut(members):
        name = f"f0001.{suffix}"
        members[name] = members[name][: int(keep * len(members[name]))]

    bad = broken(cut, suffix=suffix)
    assert bad.field == "f0001"


@pytest.mark.parametrize("name", ["meta.json", "ann.st", "f0001.png"])
def test_a_missing_member_is_named(broken, name):
    bad = broken(lambda members: members.pop(name))
    assert bad.field == ("f0000" if name.startswith("f") else name)


@pytest.mark.parametrize("name", ["meta.json", "ann.st"])
def test_a_truncated_label_is_named(broken, name):
    def cut(members):
        members[name] = members[name][:-5]

    assert broken(cut).field == name


@pytest.mark.parametrize(
    "box", [[-30, 5, -1, 50], [80, 5, 95, 50], [10, -40, 70, -2], [10, 60, 70, 99]]
)
def test_a_box_outside_the_picture_is_named(broken, box):
    bad = broken(with_array("bbox_xyxy", (0, 0), box))
    assert bad.field == "bbox_xyxy"
    assert "outside" in bad.reason


@pytest.mark.parametrize("box", [[-30, -5, 20, 50], [70, 50, 200, 300], [-99, -99, 200, 200]])
def test_a_box_partly_outside_is_kept_as_it_is(make_sample, box):
    members = members_of(make_sample()[0])
    with_array("bbox_xyxy", (0, 0), box)(members)
    assert decode(members)[0].hand_box.tolist() == box


@pytest.mark.parametrize("box", [[10, 5, 10, 50], [70, 5, 10, 50], [10, 50, 70, 5]])
def test_a_box_without_area_is_named(broken, box):
    bad = broken(with_array("bbox_xyxy", (0, 0), box))
    assert "no area" in bad.reason


def test_an_unknown_side_is_named(broken):
    def change(members):
        meta = json.loads(members["meta.json"])
        meta["hands"][0]["side"] = "both"
        members["meta.json"] = json.dumps(meta).encode()

    assert broken(change).field == "hands[0].side"


def test_a_picture_of_another_size_than_its_label_is_named(broken):
    def change(members):
        meta = json.loads(members["meta.json"])
        meta["frames"][0]["width"] = 160
        members["meta.json"] = json.dumps(meta).encode()

    assert "80x60" in broken(change).reason


def test_another_schema_is_refused(broken):
    def change(members):
        members["meta.json"] = members["meta.json"].replace(b"handclip-1", b"handclip-9")

    assert broken(change).field == "meta.json: schema"


@pytest.mark.parametrize("name", ["kp3d", "K", "present"])
def test_an_array_of_another_shape_is_refused(make_sample, name):
    sample, _ = make_sample()
    sample.arrays[name] = sample.arrays[name][:1]
    with pytest.raises(BadSample, match=name):
        encode(sample)


def test_official_vertices_come_along(make_sample):
    sample, _ = make_sample()
    rng = np.random.default_rng(1)
    sample.arrays["verts"] = rng.normal(size=(2, 3, 778, 3)).astype(np.float32)
    sample.arrays["has_verts"] = np.ones((2, 3), np.uint8)
    frame = decode(members_of(sample))[1]
    np.testing.assert_array_equal(frame.label.vertices, sample.arrays["verts"][1, 0])
    assert frame.label.vertices_valid == 1
