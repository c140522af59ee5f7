"""Rendered depth is that of the hand in the picture, changes nothing else, and may be spoilt."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from zoo.data.schema import decode_slot, encode
from zoo.data.synthetic import render, write, write_dataset
from zoo.data.synthetic.frames import RenderedFrames
from zoo.data.synthetic.hand import PosableHand
from zoo.data.synthetic.sensor import sensed
from zoo.geometry.raster import rasterize
from zoo.mano.procedural import load

SIZE, COUNT, SEED = 96, 8, 77


@pytest.fixture(scope="module", autouse=True)
def few_backgrounds():
    """Making all of them takes longer than these tests; no other test draws with this seed."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (render, write):
            patch.setattr(module, "NUM_BACKGROUNDS", 2)
        yield


@pytest.fixture(scope="module")
def drawn():
    """The same samples without depth, with exact depth and as a sensor sees them."""
    kinds = (None, "exact", "sensor")
    recipes = [write.Recipe(COUNT, SIZE, SEED, (1.0, 0.0), 0.0, 8, depth=kind) for kind in kinds]
    return [
        [write.draw_sample(recipe, 0, 0, index, frames=1) for index in range(COUNT)]
        for recipe in recipes
    ]


def test_asking_for_depth_changes_no_picture_and_no_label(drawn):
    for bare, *deep in zip(*drawn, strict=True):
        wanted = encode(bare)
        assert not bare.depths
        for sample in deep:
            members = encode(sample)
            assert len(sample.depths) == 1
            for name, data in wanted.items():
                assert name.endswith("meta.json") or members[name] == data


def test_the_depth_is_that_of_the_labelled_hand_on_either_side(drawn):
    asset = load()
    hand = PosableHand(asset)
    sides = []
    for sample in drawn[1]:
        frame = decode_slot(sample, 0, 0)
        arrays = sample.arrays
        mirror = np.array([-1, 1, 1]) if frame.is_left else np.ones(3)
        turns = frame.label.rotmats.numpy() * mirror[:, None] * mirror
        vertices, joints = hand.pose(turns.astype(float), arrays["mano_betas"][0, 0].astype(float))
        vertices = vertices * mirror
        vertices += arrays["kp3d"][0, 0, 0] - joints[0] * mirror
        camera = frame.intrinsics.numpy()
        pixels = (vertices @ camera.T)[:, :2] / vertices[:, 2:]
        alone, _, _ = rasterize(
            np.column_stack([pixels, vertices[:, 2]]), asset.faces, (SIZE, SIZE)
        )
        shown = np.isfinite(alone)
        seen = frame.depth.numpy()
        # other things may stand before the hand; nothing of the hand is missing
        assert (seen[shown] > 0).all()
        assert (seen[shown] < alone[shown] + 2e-3).all()
        bare = np.abs(seen - alone)[shown] < 2e-4
        sides.append((frame.is_left, bare.mean()))
    assert {left for left, _ in sides} == {False, True}
    assert np.median([share for _, share in sides]) > 0.9


def test_a_sensor_loses_outlines_and_patches_and_blurs_by_a_few_millimetres(drawn):
    for exact, noisy in zip(*drawn[1:], strict=True):
        truth, seen = (decode_slot(sample, 0, 0).depth.numpy() for sample in (exact, noisy))
        assert not seen[truth == 0].any()
        both = (seen > 0) & (truth > 0)
        assert 0.3 < both.sum() / (truth > 0).sum() < 1
        error = (seen - truth)[both]
        assert 5e-4 < error.std() < 5e-3
        assert abs(error.mean()) < 1e-3


def test_the_sensor_is_decided_by_its_generator():
    depth = np.full((32, 40), 0.7, np.float32)
    first, again, other = (sensed(depth, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9


def test_a_set_without_depth_is_told_as_it_always_was(tmp_path):
    recipe = write.Recipe(4, 48, SEED, (1.0, 0.0), 0.0, 8)
    assert set(recipe.told()) == {f.name for f in dataclasses.fields(recipe)} - {"depth"}
    given = {"count": 2, "image_size": 48, "seed": SEED, "split": (1.0, 0.0)}
    told = write_dataset(tmp_path, **given, depth="exact")
    assert told["recipe"]["depth"] == "exact"
    assert told["command"].endswith("--depth exact")
    with pytest.raises(ValueError, match="another depth"):
        write_dataset(tmp_path, **given)
    with pytest.raises(ValueError, match="exact, sensor or None"):
        write_dataset(tmp_path / "b", count=2, depth="kinect")


def test_rendered_frames_have_depth_where_it_was_asked_for():
    deep, flat = (
        RenderedFrames(count=2, image_size=48, seed=SEED, depth=kind)() for kind in ("exact", None)
    )
    assert all(frame.depth.shape == (48, 48) for frame in deep.frames)
    assert all(frame.depth is None for frame in flat.frames)
