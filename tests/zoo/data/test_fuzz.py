"""Samples damaged at random, ten ways: each is a frame that keeps the contract, or a BadSample."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import tarfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save

from zoo.contracts import Frame
from zoo.data.pictures import encode_depth
from zoo.data.schema import ARRAYS, META, BadSample, decode, encode
from zoo.data.streams import EvalStream

NONSENSE = (None, -1, 1e40, "", "left", [], {}, [[]], True, float("nan"), 10**30)
DTYPES = (np.float64, np.float16, np.int32, np.uint8, np.int64, np.float32)


def any_value(content, rng):
    """A random place in nested JSON, replaced by nonsense."""
    keys = list(content) if isinstance(content, dict) else range(len(content))
    if not keys:
        return
    key = rng.choice(list(keys))
    if isinstance(content[key], dict | list) and content[key] and rng.random() < 0.6:
        any_value(content[key], rng)
    elif rng.random() < 0.3 and isinstance(content, dict):
        del content[key]
    else:
        content[key] = rng.choice(NONSENSE)


def flip_bytes(members, name, rng):
    data = bytearray(members[name])
    for _ in range(rng.randint(1, 8)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    members[name] = bytes(data)


def cut(members, name, rng):
    members[name] = members[name][: rng.randrange(len(members[name]) + 1)]


def empty(members, name, rng):
    members[name] = b""


def drop(members, name, rng):
    del members[name]


def noise(members, name, rng):
    members[name] = rng.randbytes(rng.randint(0, 400))


def swap(members, name, rng):
    other = rng.choice(list(members))
    members[name], members[other] = members[other], members[name]


def meta_nonsense(members, name, rng):
    meta = json.loads(members[META])
    any_value(meta, rng)
    members[META] = json.dumps(meta).encode()


def array_nonsense(members, name, rng):
    arrays = load(members[ARRAYS])
    chosen = rng.choice(list(arrays))
    array = arrays[chosen]
    kind = rng.randrange(5)
    if kind == 0:
        array = array.astype(rng.choice(DTYPES))
    elif kind == 1:
        array = array.reshape(-1)
    elif kind == 2:
        del arrays[chosen]
        members[ARRAYS] = save(arrays)
        return
    elif kind == 3:
        array = np.full_like(array, rng.choice((0, 1, 7, 127)))
    elif array.dtype == np.float32:
        flat = array.reshape(-1).copy()
        flat[rng.randrange(flat.size)] = rng.choice((np.nan, np.inf, -np.inf, 3e38, -1e9))
        array = flat.reshape(array.shape)
    arrays[chosen] = np.ascontiguousarray(array)
    members[ARRAYS] = save(arrays)


def twice(members, name, rng):
    members["f0009.jpg"] = members[name]


DAMAGES = (
    flip_bytes, cut, empty, drop, noise, swap, meta_nonsense, array_nonsense, array_nonsense, twice
)  # fmt: skip


def damaged(sample, rng):
    members = {name.partition(".")[2]: data for name, data in encode(sample).items()}
    for _ in range(rng.randint(1, 3)):
        # what is damaged already may not be read again to be damaged with care
        with suppress(ValueError, KeyError, SafetensorError):
            rng.choice(DAMAGES)(members, rng.choice(list(members)), rng)
        if not members:
            break
    return {**members, "__key__": sample.key}


def keeps_the_contract(frame):
    assert isinstance(frame, Frame)
    label = frame.label
    assert frame.image.dtype == torch.uint8
    assert frame.intrinsics.shape == (3, 3)
    box = frame.hand_box
    assert box.isfinite().all()
    assert (box[2:] > box[:2]).all()
    for values, valid in (
        (label.joints, label.joints_valid),
        (label.keypoints, label.keypoints_valid),
    ):
        assert values.isfinite().all()
        assert ((valid >= 0) & (valid <= 1)).all()
        assert not values[valid == 0].any()
    assert label.rotmats.isfinite().all()
    assert label.betas.isfinite().all()
    if not label.has_mano:
        assert not label.rotmats.any()
        assert not label.betas.any()
    camera = frame.intrinsics
    assert camera.isfinite().all()
    assert (camera.diagonal() > 0).all()
    assert camera[2].tolist() == [0, 0, 1]
    both = (label.joints_valid > 0) & (label.keypoints_valid > 0)
    if label.has_intrinsics and both.any():
        assert (label.joints[label.joints_valid > 0, 2] > 0).all()
        seen = label.joints[both].double() @ camera.double().mT
        off = (seen[:, :2] / seen[:, 2:] - label.keypoints[both]).norm(dim=-1).median()
        side = (frame.hand_box[2:] - frame.hand_box[:2]).max()
        spread = label.keypoints[both].amax(0) - label.keypoints[both].amin(0)
        assert off <= 0.5 * torch.maximum(side, spread.max()) + 2.1
    if frame.depth is not None:
        assert frame.depth.shape == frame.image.shape[1:]
        assert (frame.depth.isfinite() & (frame.depth >= 0)).all()


def fuzz(make_sample, count, seed):
    """How many damaged samples were refused, and how many still read."""
    rng, refused, read = random.Random(seed), 0, 0
    samples = [
        make_sample(number, hands=1 + number % 2, frames=1, suffix="jpg")[0] for number in range(4)
    ]
    told, depth = {"depth": {"unit_m": 1e-4}}, encode_depth(np.full((60, 80), 0.6, np.float32))
    samples.append(
        dataclasses.replace(samples[0], meta={**samples[0].meta, **told}, depths=(depth,))
    )
    for _ in range(count):
        members = damaged(rng.choice(samples), rng)
        try:
            frames = decode(members, "fuzz.tar")
        except BadSample as bad:
            refused += bool(bad.reason) and "fuzz.tar" in str(bad)
            continue
        for frame in frames:
            keeps_the_contract(frame)
        read += 1
    return refused, read


def test_three_hundred_damaged_samples_are_refused_or_keep_the_contract(make_sample):
    refused, read = fuzz(make_sample, 300, seed=0)
    assert refused + read == 300
    assert refused > 150
    assert read > 10  # damage that changes nothing, or a label nobody reads


@pytest.mark.slow
def test_ten_thousand_damaged_samples_are_refused_or_keep_the_contract(make_sample):
    refused, read = fuzz(make_sample, 10_000, seed=1)
    assert refused + read == 10_000


def test_a_stream_counts_damaged_samples_and_goes_on(make_sample, tmp_path):
    rng = random.Random(2)
    whole = make_sample(0, hands=1, frames=1)[0]
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(40):
            members = damaged(whole, rng) if number % 2 else dict(encode(whole))
            for name, data in members.items():
                if name == "__key__":
                    continue
                name = name.partition(".")[2] if number % 2 == 0 else name
                entry = tarfile.TarInfo(f"made_up/{number:02d}.{name}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    batches = list(EvalStream(str(tmp_path / "a.tar"), batch_size=7, max_bad=1.0))
    frames = sum(len(batch.frames) for batch in batches)
    lost = sum(len(batch.skipped) for batch in batches)
    assert frames >= 20
    assert lost > 5
    assert 38 <= frames + lost <= 41
