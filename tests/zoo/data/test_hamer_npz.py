"""HaMeR's evaluation files give each hand the crop its set asks for, and run nothing."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from zoo.data.hamer_npz import HamerNpz
from zoo.data.schema import decode_slot
from zoo.data.streams import EvalStream, StreamLoader


@pytest.fixture
def images(tmp_path):
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.full((60, 80, 3), 90, np.uint8))
    return tmp_path


def write(folder, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "imgname": np.array(["a.png", "b.png"]),
        "center": np.array([[40.0, 30.0], [35.0, 25.0]]),
        "scale": np.array([[30.0, 20.0], [10.0, 40.0]]),
        "right": np.array([1, 0]),
        "hand_keypoints_2d": np.dstack([rng.uniform(10, 40, (2, 21, 2)), np.ones((2, 21, 1))]),
    }
    arrays = {k: v for k, v in (arrays | changes).items() if v is not None}
    np.savez(folder / "set.npz", **arrays)
    return folder / "set.npz"


def frames(images, **options):
    source = HamerNpz(file=images / "set.npz", images=images, **options)
    samples = list(source.samples(source.urls[0], []))
    return [decode_slot(sample, *slot) for sample in samples for slot in sample.slots()]


def size(frame):
    x0, y0, x1, y1 = frame.hand_box.tolist()
    return x1 - x0, y1 - y0


@pytest.mark.parametrize(("rescale", "sides"), [(-1.0, (40.0, 40.0)), (2.0, (60.0, 80.0))])
def test_padded_boxes_are_widened_and_tight_ones_doubled(images, rescale, sides):
    write(images)
    for frame, side in zip(frames(images, rescale=rescale, crop_expand=2.0), sides, strict=True):
        width, height = size(frame)
        assert height * 2 == pytest.approx(side)
        assert width / height == pytest.approx(192 / 256)


def test_names_as_bytes_sides_and_missing_labels_are_understood(images):
    write(images, imgname=np.array([b"a.png", b"b.png"]), scale=np.array([30.0, 40.0]))
    right, left = frames(images)
    assert (right.is_left, left.is_left) == (False, True)
    assert right.label.has_mano == 0
    assert not right.label.joints_valid.any()
    write(images, right=None)
    assert not any(frame.is_left for frame in frames(images))


def test_an_array_of_texts_as_objects_is_read_as_data(images):
    write(images, imgname=np.array(["a.png", "b.png"], dtype=object))
    assert [frame.source for frame in frames(images)] == ["set", "set"]


class Payload:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (os.mkdir, (self.place,))


@pytest.mark.parametrize("member", ["imgname", "extra_info", "anything"])
def test_a_hostile_array_is_refused_by_name_and_runs_nothing(images, member):
    payload = np.array([Payload(str(images / "ran")), "x"], dtype=object)
    write(images, **{member: payload})
    with pytest.raises(ValueError, match=r"asks for \S*mkdir, .*nothing was run"):
        HamerNpz(file=images / "set.npz", images=images)
    assert not (images / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scale": None}, "has no 'scale'"),
        ({"center": np.zeros((2, 3))}, r"center has shape \(2, 3\)"),
        ({"right": np.ones(3)}, "right has 3 rows"),
    ],
)
def test_another_kind_of_file_is_refused_in_a_sentence(images, changes, says):
    write(images, **changes)
    with pytest.raises(ValueError, match=says):
        HamerNpz(file=images / "set.npz", images=images)


def test_missing_or_damaged_files_and_folders_are_refused_in_a_sentence(images):
    with pytest.raises(ValueError, match="no such file"):
        HamerNpz(file=images / "none.npz", images=images)
    file = write(images)
    with pytest.raises(ValueError, match="no folder of pictures"):
        HamerNpz(file=file, images=images / "nowhere")
    with pytest.raises(ValueError, match="rescale"):
        HamerNpz(file=file, images=images, rescale=0)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ValueError, match="no readable npz"):
        HamerNpz(file=file, images=images)


def test_a_missing_picture_is_a_counted_skip(images):
    write(images, imgname=np.array(["a.png", "gone.png"]))
    source = HamerNpz(file=images / "set.npz", images=images)
    (batch,) = StreamLoader(EvalStream({"set": source}, batch_size=4))
    assert len(batch) == 1
    assert "gone.png cannot be read" in batch.skipped[0].reason
