from __future__ import annotations

import dataclasses
import io
import json
import tarfile

import numpy as np
import pytest
from safetensors.numpy import save

from zoo.data.check import check_shards
from zoo.data.joint_order import orders
from zoo.data.schema import ARRAYS, META
from zoo.data.shards import read_samples, resolve_shards, write_shard
from zoo.data.synthetic.write import write_dataset
from zoo.mano.topology import OPENPOSE_FROM_MANO

INTERHAND_FROM_OPENPOSE = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]


@pytest.fixture(scope="module")
def true_samples(tmp_path_factory):
    """Rendered hands, both sides, some in clips: every law holds for them."""
    folder = tmp_path_factory.mktemp("true")
    write_dataset(
        folder, count=36, image_size=64, seed=5, split=(1, 0), sequences=0.5, clip_frames=3
    )
    return [sample for shard in resolve_shards(folder / "train") for sample in read_samples(shard)]


def write_anything(path, samples):
    """A shard as a careless exporter would write it: nothing is checked."""
    with tarfile.open(path, "w") as tar:
        for sample in samples:
            members = {
                META: json.dumps(dict(sample.meta)).encode(),
                ARRAYS: save(dict(sample.arrays)),
            }
            for index, (picture, suffix) in enumerate(
                zip(sample.pictures, sample.suffixes, strict=True)
            ):
                members[f"f{index:04d}.{suffix}"] = picture
            for name, data in members.items():
                entry = tarfile.TarInfo(f"{sample.key}.{name}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return str(path)


def changed(sample, change):
    """A copy of a sample whose arrays and meta `change` may edit."""
    arrays = {name: array.copy() for name, array in sample.arrays.items()}
    meta = json.loads(json.dumps(dict(sample.meta)))
    change(arrays, meta)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return dataclasses.replace(sample, arrays=arrays, meta=meta)


def findings_of(tmp_path, samples, **options):
    report = check_shards(write_anything(tmp_path / "a.tar", samples), **options)
    return {finding.id: finding for finding in report.findings}


def test_true_labels_break_no_law_and_every_hand_is_counted(true_samples, tmp_path):
    report = check_shards(write_anything(tmp_path / "a.tar", true_samples))
    assert report.findings == ()
    counts = report.counts["synthetic"]
    assert counts["hands"] == counts["right"] + counts["left"] == 36
    assert counts["samples"] == len(true_samples) == 24
    for law in ("projection", "depth", "bones", "box", "mano"):
        assert counts[f"data.{law}"] == {"checked": 36, "broken": 0}
    assert counts["data.side"]["checked"] > 25


def in_millimetres(arrays, meta):
    arrays["kp3d"] *= 1000


def in_centimetres(arrays, meta):
    arrays["kp3d"] *= 100


def in_opengl(arrays, meta):
    arrays["kp3d"] *= np.float32([1, -1, -1])


def shifted_keypoints(arrays, meta):
    arrays["kp2d"] += 1


def box_as_corner_and_size(arrays, meta):
    arrays["bbox_xyxy"][..., 2:] -= arrays["bbox_xyxy"][..., :2]


def wrong_focal(arrays, meta):
    arrays["K"][:, 0, 0] *= 0.02


def other_side(arrays, meta):
    swap = {"left": "right", "right": "left"}
    meta["hands"] = [hand | {"side": swap[hand["side"]]} for hand in meta["hands"]]


def mirrored_picture(arrays, meta):
    arrays["kp3d"] *= np.float32([-1, 1, 1])
    arrays["kp2d"][..., 0] = 63 - arrays["kp2d"][..., 0]
    arrays["K"][:, 0, 2] = 63 - arrays["K"][:, 0, 2]


def not_a_number(arrays, meta):
    arrays["kp3d"][0, 0, 7] = np.nan


def huge_betas(arrays, meta):
    arrays["mano_betas"][..., 2] = -8


def residual_pose(arrays, meta):
    arrays["mano_pose"] -= 0.1


def moved_mano(arrays, meta):
    arrays["mano_transl"] += np.float32([0, 0, 0.005])


def backwards(arrays, meta):
    arrays["frame_index"] = arrays["frame_index"][::-1]


@pytest.mark.parametrize(
    ("change", "law", "says"),
    [
        (in_millimetres, "data.bones", "seem to be in millimetres"),
        (in_centimetres, "data.bones", "seem to be in centimetres"),
        (in_opengl, "data.depth", "OpenGL"),
        (shifted_keypoints, "data.projection", "limit 0.5"),
        (box_as_corner_and_size, "data.box", "x, y, width, height"),
        (wrong_focal, "data.camera", "focal length"),
        (other_side, "data.side", "other hand"),
        (mirrored_picture, "data.side", "mirrored"),
        (not_a_number, "data.finite", "NaN"),
        (huge_betas, "data.betas", "8 sd"),
        (residual_pose, "data.mano", "pose other joints"),
        (moved_mano, "data.mano", "5 mm"),
        (backwards, "data.time", "do not increase"),
    ],
)
def test_a_broken_law_is_found_with_its_worst_sample(true_samples, tmp_path, change, law, says):
    broken = [changed(sample, change) for sample in true_samples]
    finding = findings_of(tmp_path, broken, pictures=False)[law]
    assert says in finding.message
    assert finding.evidence["broken"] > 0
    assert any(sample.key in finding.evidence["where"] for sample in true_samples)
    json.dumps(finding.evidence, allow_nan=False)


def test_one_bad_hand_among_many_is_found_and_named(true_samples, tmp_path):
    samples = [*true_samples[:9], changed(true_samples[9], shifted_keypoints)]
    finding = findings_of(tmp_path, samples)["data.projection"]
    assert true_samples[9].key in finding.evidence["where"]
    assert finding.evidence["worst"] == pytest.approx(np.sqrt(2), abs=0.05)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    "listed",
    [
        INTERHAND_FROM_OPENPOSE,
        [OPENPOSE_FROM_MANO.index(k) for k in range(21)],  # MANO's 16, then tips
        [0, *range(1, 13), *range(17, 21), *range(13, 17)],  # ring and little finger swapped
        [0, *range(17, 21), *range(13, 17), *range(9, 13), *range(5, 9), *range(1, 5)],
        [*range(1, 21), 0],
    ],
)
def test_another_joint_order_is_told_by_name_and_the_table_that_mends_it(
    true_samples, tmp_path, listed, flat
):
    def reorder(arrays, meta):
        for name in ("kp2d", "kp2d_conf", "kp3d", "kp3d_conf"):
            arrays[name] = arrays[name][:, :, listed]
        if flat:
            arrays["kp3d"][:] = arrays["kp3d_conf"][:] = 0

    broken = [changed(sample, reorder) for sample in true_samples]
    finding = findings_of(tmp_path, broken, pictures=False)["data.order"]
    gather = finding.evidence["gather"]
    assert [listed[row] for row in gather] == list(range(21))
    assert finding.severity == "error"


def test_the_search_knows_481_orders_and_openposes_is_one_of_them():
    tables = [tuple(table) for _, table in orders()]
    assert len(tables) == 4 * 120 + 1
    assert tuple(range(21)) in tables
    assert all(sorted(table) == list(range(21)) for table in tables)


def test_a_take_in_two_splits_is_a_leak(true_samples, tmp_path):
    def in_val(arrays, meta):
        meta["split"] = "val"

    def same_take(arrays, meta):
        meta["source_take"] = "take7"

    first, second = (changed(sample, same_take) for sample in true_samples[:2])
    assert "data.leak" not in findings_of(tmp_path, [first, second])
    finding = findings_of(tmp_path, [first, changed(second, in_val)])["data.leak"]
    assert "take7 (train, val)" in finding.message


def test_two_samples_of_one_key_are_found(true_samples, tmp_path):
    finding = findings_of(tmp_path, [true_samples[0], true_samples[1], true_samples[0]])
    assert true_samples[0].key in finding["data.keys"].message


def test_a_truncated_picture_is_found_only_where_pictures_are_decoded(true_samples, tmp_path):
    sample = true_samples[0]
    cut = dataclasses.replace(sample, pictures=tuple(p[:300] for p in sample.pictures))
    samples = [cut, *true_samples[1:]]
    assert "truncated" in findings_of(tmp_path, samples)["data.unreadable"].message
    assert not findings_of(tmp_path, samples, pictures=False)


def test_a_cut_off_shard_is_found_and_what_stands_before_the_cut_is_checked(true_samples, tmp_path):
    path = tmp_path / "a.tar"
    write_shard(path, true_samples)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 700])
    report = check_shards(str(path))
    assert [finding.id for finding in report.findings] == ["data.unreadable"]
    assert 5 < report.counts["synthetic"]["hands"] < 36


def test_labels_of_another_hand_model_are_not_posed_with_this_one(true_samples, tmp_path):
    def fitted_elsewhere(arrays, meta):
        residual_pose(arrays, meta)
        meta["mano"]["fit"] = "NeuralAnnot"

    samples = [changed(sample, fitted_elsewhere) for sample in true_samples]
    assert "data.mano" not in findings_of(tmp_path, samples)


def test_errors_come_before_warnings(true_samples, tmp_path):
    def both(arrays, meta):
        huge_betas(arrays, meta)
        shifted_keypoints(arrays, meta)

    path = write_anything(tmp_path / "a.tar", [changed(sample, both) for sample in true_samples])
    severities = [finding.severity for finding in check_shards(path).findings]
    assert severities == sorted(severities)
    assert set(severities) == {"error", "warning"}
