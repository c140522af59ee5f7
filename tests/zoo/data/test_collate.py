"""A batch says what it holds and what it lost, and travels without changing."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from zoo.contracts import FrameBatch, SkippedSample
from zoo.data.collate import collate, pack, unpack
from zoo.data.schema import decode_slot


@pytest.fixture
def batch(make_sample):
    """Two frames, one with an official surface and of another picture size, and one skipped."""
    plain = make_sample(0)[0]
    meshed = make_sample(1)[0]
    surface = np.random.default_rng(0).normal(size=(2, 3, 778, 3)).astype(np.float32)
    meshed.arrays.update(verts=surface, has_verts=np.ones((2, 3), np.uint8))
    first, second = decode_slot(plain, 0, 0), decode_slot(meshed, 1, 2)
    second = dataclasses.replace(second, image=second.image[:, :40, :30].contiguous())
    return collate([first, SkippedSample("k", "a.tar", "f0000: truncated"), second])


def test_frames_and_skipped_samples_are_told_apart(batch):
    assert len(batch) == len(batch.frames) == 2
    assert [skipped.key for skipped in batch.skipped] == ["k"]


def test_packing_changes_nothing(batch):
    back = unpack(pickle.loads(pickle.dumps(pack(batch))))
    assert back.skipped == batch.skipped
    for ours, theirs in zip(back.frames, batch.frames, strict=True):
        for field in dataclasses.fields(theirs):
            a, b = getattr(ours, field.name), getattr(theirs, field.name)
            if field.name == "label":
                for entry in dataclasses.fields(b):
                    x, y = getattr(a, entry.name), getattr(b, entry.name)
                    assert (x is None) == (y is None)
                    assert x is None or (torch.equal(x, y) and x.dtype == y.dtype)
            elif isinstance(b, torch.Tensor):
                assert torch.equal(a, b)
                assert a.dtype == b.dtype
            else:
                assert a == b


def test_a_packed_batch_is_two_tensors_however_many_frames(batch):
    tensors = [value for value in vars(pack(batch)).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 2


def test_depth_travels_with_the_frames_that_have_it(batch):
    first, second = batch.frames
    depth = torch.rand(second.image.shape[1:])
    deep = dataclasses.replace(batch, frames=(first, dataclasses.replace(second, depth=depth)))
    back = unpack(pickle.loads(pickle.dumps(pack(deep))))
    assert back.frames[0].depth is None
    assert torch.equal(back.frames[1].depth, depth)


def test_an_empty_batch_can_be_packed():
    assert unpack(pack(FrameBatch(frames=()))) == FrameBatch(frames=())
