"""HaMeR tar -> handclip-1 -> HaMeR tar: the items a reader of HaMeR's filters gets are the same."""

from __future__ import annotations

import dataclasses
import io
import pickle
import tarfile

import cv2
import numpy as np
import pytest

from zoo.contracts import SkippedSample
from zoo.data.converters.hamer import HamerTraining, write_hamer_tar
from zoo.data.converters.writing import write_split
from zoo.data.hamer_tars import HamerTars
from zoo.data.schema import ClipSample, decode_slot
from zoo.data.shards import read_samples, resolve_shards

WIDTH, HEIGHT = 96, 72


def hand(rng, **changes):
    conf = rng.uniform(0.2, 1, (21, 1))
    labels = {
        "keypoints_2d": np.hstack([rng.uniform(10, 60, (21, 2)), conf]).astype(np.float32),
        "keypoints_3d": np.hstack([rng.normal(0, 0.1, (21, 3)), conf]).astype(np.float32),
        "center": rng.uniform(30, 40, 2),
        "scale": rng.uniform(0.1, 0.3, 2),
        "hand_pose": rng.normal(0, 0.3, 48).astype(np.float32),
        "betas": rng.uniform(-1, 1, 10).astype(np.float32),
        "has_hand_pose": np.float32(1),
        "has_betas": np.float32(1),
        "right": np.float32(1),
        "personid": 0,
        "extra_info": {},
    }
    return labels | changes


@pytest.fixture
def tars(tmp_path):
    """Six pictures with nine hands, one of bad betas, one of a bad fit, left ones among them."""
    rng = np.random.default_rng(6)

    def loss(value):
        return {"fitting_loss": np.array({"reprojection_loss": value}, dtype=object)}

    labels = [
        [hand(rng), hand(rng, right=np.float32(0), personid=3)],
        [hand(rng, betas=np.full(10, 5, np.float32))],
        [hand(rng, extra_info=loss(40000.0)), hand(rng, extra_info=loss(120.5))],
        [hand(rng, has_betas=np.float32(0)), hand(rng, has_hand_pose=np.float32(0))],
        [hand(rng, right=np.float32(0))],
        [hand(rng)],
    ]
    folder = tmp_path / "hamer" / "made-train"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "000000.tar", "w") as tar:
        for number, content in enumerate(labels):
            image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            members = {
                "jpg": cv2.imencode(".jpg", image)[1].tobytes(),
                "data.pyd": pickle.dumps(content, protocol=4),
            }
            for suffix, data in members.items():
                entry = tarfile.TarInfo(f"made-train/{number:08d}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return folder


def items(path):
    """Every hand HaMeR's filters leave, decoded."""
    found = [
        decode_slot(sample, *slot)
        for sample in HamerTars(shards=str(path)).samples(str(path), [])
        if isinstance(sample, ClipSample) or pytest.fail(str(sample))
        for slot in sample.slots()
    ]
    return {frame.key: frame for frame in found}


def test_there_and_back_gives_the_same_items(tars, tmp_path):
    told = write_split(HamerTraining(), tars, tmp_path / "out", split="train")
    assert (told["pictures"], told["frames"]) == (6, 9)
    (shard,) = resolve_shards(tmp_path / "out/train")
    write_hamer_tar(tmp_path / "back.tar", read_samples(shard))
    before, after = items(tars / "000000.tar"), items(tmp_path / "back.tar")
    assert len(before) == 8
    assert before.keys() == after.keys()
    for key, frame in before.items():
        other = after[key]
        assert frame.is_left == other.is_left
        assert (frame.image == other.image).all()
        np.testing.assert_allclose(frame.hand_box, other.hand_box, atol=2e-5)
        for field in dataclasses.fields(frame.label):
            one, two = getattr(frame.label, field.name), getattr(other.label, field.name)
            assert (one is None) == (two is None)
            if one is not None:
                np.testing.assert_allclose(one, two, atol=2e-5, err_msg=field.name)


def test_nothing_is_filtered_on_the_way_in(tars, tmp_path):
    write_split(HamerTraining(), tars, tmp_path / "out", split="train")
    samples = list(read_samples(str(tmp_path / "out/train/000000.tar")))
    assert sum(len(sample.slots()) for sample in samples) == 9
    assert samples[2].arrays["fit_error"][:, 0].tolist() == [40000.0, 120.5]
    assert samples[3].arrays["has_mano_betas"][:, 0].tolist() == [0, 1]
    assert samples[0].meta["hands"][1]["person_id"] == 3
    assert samples[0].meta["dataset"] == "made-train"


def test_a_pickle_that_names_a_function_is_counted_and_the_others_kept(tars, tmp_path):
    with tarfile.open(tars / "000001.tar", "w") as tar:
        picture = cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[1].tobytes()
        for suffix, data in (("jpg", picture), ("data.pyd", b"cos\nsystem\n(S'true'\ntR.")):
            entry = tarfile.TarInfo(f"made-train/x.{suffix}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    skipped: list[SkippedSample] = []
    assert len(list(HamerTraining().rows(tars, split="train").samples(skipped))) == 6
    assert "asks for os.system" in skipped[0].reason


def test_older_numpy_finds_every_name_in_what_is_written(tars, tmp_path):
    write_split(HamerTraining(), tars, tmp_path / "out", split="train")
    write_hamer_tar(tmp_path / "back.tar", read_samples(str(tmp_path / "out/train/000000.tar")))
    assert b"numpy._core" not in (tmp_path / "back.tar").read_bytes()
