"""Depth pictures survive the tar to half a unit, and broken ones are refused by name."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from zoo.data.pictures import decode_depth, encode_depth
from zoo.data.schema import BadSample, decode, encode, parse
from zoo.data.schema_depth import told_unit
from zoo.data.shards import count_pictures, write_shard

HEIGHT, WIDTH = 60, 80


def depth_map(seed, shape=(HEIGHT, WIDTH)):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.2, 0, rng.uniform(0.2, 6, shape)).astype(np.float32)


@pytest.fixture
def deep(make_sample):
    """Three frames of two hands, the middle one without depth, and the two maps."""
    sample, _ = make_sample()
    maps = depth_map(0), None, depth_map(2)
    depths = tuple(None if depth is None else encode_depth(depth) for depth in maps)
    meta = {**sample.meta, **told_unit()}
    return dataclasses.replace(sample, meta=meta, depths=depths), maps


def members_of(sample):
    members = {name.partition(".")[2]: data for name, data in encode(sample).items()}
    return {"__key__": sample.key, **members}


def test_depth_comes_back_to_half_a_unit_for_every_hand_of_its_frame(deep):
    sample, maps = deep
    frames = decode(members_of(sample))
    assert len(frames) == 6
    for frame, wanted in zip(frames, [m for m in maps for _ in range(2)], strict=True):
        assert (frame.depth is None) == (wanted is None)
        if wanted is not None:
            assert frame.depth.dtype.is_floating_point
            assert frame.depth.shape == frame.image.shape[1:]
            np.testing.assert_allclose(frame.depth, wanted, atol=0.51e-4, rtol=0)
            assert not frame.depth[wanted == 0].any()


def test_a_sample_without_depth_is_written_as_it_always_was(make_sample):
    sample, _ = make_sample()
    assert not [name for name in encode(sample) if ".d0" in name]
    assert b"depth" not in members_of(sample)["meta.json"]
    assert all(frame.depth is None for frame in decode(members_of(sample)))


def test_another_unit_is_obeyed(deep):
    members = members_of(deep[0])
    near = decode(members)[0].depth
    members["meta.json"] = json.dumps(json.loads(members["meta.json"]) | told_unit(1e-3)).encode()
    np.testing.assert_allclose(decode(members)[0].depth, 10 * near, rtol=1e-6)


def test_depth_pictures_are_not_counted_as_pictures(deep, tmp_path):
    write_shard(tmp_path / "a.tar", [deep[0]])
    assert count_pictures([str(tmp_path / "a.tar")]) == 3


def png(values):
    return cv2.imencode(".png", values)[1].tobytes()


BROKEN = {
    "truncated": (lambda data: data[: len(data) // 2], "truncated"),
    "empty": (lambda data: b"", "no PNG"),
    "jpeg": (lambda data: cv2.imencode(".jpg", np.zeros((60, 80), np.uint8))[1].tobytes(), "PNG"),
    "too small": (lambda data: png(np.zeros((59, 80), np.uint16)), "80x59"),
    "8 bits": (lambda data: png(np.zeros((60, 80), np.uint8)), "16 bits"),
    "colour": (lambda data: png(np.zeros((60, 80, 3), np.uint16)), "16 bits"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_depth_picture_is_a_bad_sample_that_names_it(deep, how):
    break_it, reason = BROKEN[how]
    members = members_of(deep[0])
    members["d0002.png"] = break_it(members["d0002.png"])
    with pytest.raises(BadSample, match=reason) as caught:
        decode(members, "a.tar")
    assert (caught.value.shard, caught.value.field) == ("a.tar", "d0002")


@pytest.mark.parametrize("unit", [None, 0, -1e-3, float("nan"), 1.0, True, "1e-4", [1e-4]])
def test_depth_without_a_sensible_unit_is_refused(deep, unit):
    members = members_of(deep[0])
    told = json.loads(members["meta.json"]) | {"depth": {"unit_m": unit}}
    members["meta.json"] = json.dumps(told).encode()
    with pytest.raises(BadSample, match="unit_m") as caught:
        parse(members)
    assert caught.value.field == "meta.json: depth"


def test_depth_of_a_frame_that_is_not_there_is_refused(deep):
    members = members_of(deep[0])
    members["d0007.png"] = members["d0000.png"]
    with pytest.raises(BadSample, match="8 depth pictures for 3 frames"):
        parse(members)


def test_depth_that_is_no_distance_cannot_be_written_and_what_is_too_far_is_unknown():
    for value in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="never NaN, infinite or negative"):
            encode_depth(np.full((2, 2), value, np.float32))
    far = np.array([[6.5535, 6.6, 0.5]], np.float32)
    back = decode_depth(encode_depth(far), unit=1e-4)
    np.testing.assert_allclose(back, [[6.5535, 0, 0.5]], atol=1e-6)
