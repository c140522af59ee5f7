from __future__ import annotations

import json

import pytest

from zoo.contracts import SkippedSample
from zoo.data.converters.freihand_coco import FreiHandCoco
from zoo.data.converters.interhand26m import InterHand26M
from zoo.data.converters.release import write_split
from zoo.data.schema import BadSample
from zoo.data.shards import count_frames, fingerprint, read_samples, resolve_shards


def write(converter, source, target, split, **options):
    skipped = options.pop("skipped", [])
    samples = converter.samples(source, split=split, skipped=skipped)
    return write_split(
        samples, target, release=converter.release, split=split, skipped=skipped, **options
    )


def test_shards_hold_the_samples_in_order_and_are_counted(interhand, tmp_path):
    done = []
    told = write(
        InterHand26M(),
        interhand[0],
        tmp_path / "out",
        "train",
        shard_samples=2,
        progress=done.append,
    )
    shards = resolve_shards(tmp_path / "out" / "train")
    assert [len(list(read_samples(shard))) for shard in shards] == [2, 1] == done
    assert told["shards"] == 2
    assert told["samples"] == 3
    assert told["frames"] == count_frames(shards) == 4
    assert told["fingerprint"] == fingerprint(shards)


def test_the_same_release_gives_the_same_bytes(freihand, tmp_path):
    told = [write(FreiHandCoco(), freihand[0], tmp_path / n, "test") for n in ("a", "b")]
    assert told[0]["fingerprint"] == told[1]["fingerprint"]
    first, second = ((tmp_path / n / "test/000000.tar").read_bytes() for n in ("a", "b"))
    assert first == second


def test_what_was_left_out_is_counted_by_reason(freihand, tmp_path):
    (freihand[0] / "00000007.jpg").unlink()
    write(FreiHandCoco(), freihand[0], tmp_path / "out", "test")
    told = json.loads((tmp_path / "out/dataset.json").read_text())
    assert told["splits"]["test"]["skipped"] == {"the picture is not there": 1}
    assert "research only" in told["notice"]
    assert told["license"] == "academic-nc-noredist"


def test_a_second_split_joins_the_first_and_another_data_set_is_refused(
    interhand, freihand, tmp_path
):
    out = tmp_path / "out"
    write(InterHand26M(), interhand[0], out, "train")
    with pytest.raises(ValueError, match="holds the data set 'interhand26m'"):
        write(FreiHandCoco(), freihand[0], out, "test")
    folder = interhand[0] / "annotations"
    (folder / "train").rename(folder / "val")
    (interhand[0] / "images/train").rename(interhand[0] / "images/val")
    for path in (folder / "val").iterdir():
        path.rename(path.with_name(path.name.replace("train", "val")))
    write(InterHand26M(), interhand[0], out, "val")
    assert set(json.loads((out / "dataset.json").read_text())["splits"]) == {"train", "val"}


def test_shards_that_are_there_are_never_overwritten(freihand, tmp_path):
    write(FreiHandCoco(), freihand[0], tmp_path / "out", "test")
    with pytest.raises(ValueError, match="already holds shards of a finished conversion"):
        write(FreiHandCoco(), freihand[0], tmp_path / "out", "test")
    (tmp_path / "out/dataset.json").unlink()
    with pytest.raises(ValueError, match="unfinished conversion"):
        write(FreiHandCoco(), freihand[0], tmp_path / "out", "test")


def test_a_conversion_that_fails_leaves_no_account_of_itself(freihand, tmp_path):
    converter = FreiHandCoco()

    def samples():
        yield from converter.samples(freihand[0], split="test", skipped=[])
        raise BadSample("the disk went away")

    with pytest.raises(BadSample, match="disk went away"):
        write_split(
            samples(),
            tmp_path / "out",
            release=converter.release,
            split="test",
            skipped=[],
            shard_samples=2,
        )
    assert not (tmp_path / "out/dataset.json").exists()


def test_a_split_without_a_usable_sample_is_an_error_with_the_reasons(tmp_path):
    skipped = [SkippedSample("a", "b", "the picture is not there")] * 3
    with pytest.raises(ValueError, match=r"no usable sample. the picture is not there \(3\)"):
        write_split([], tmp_path, release=FreiHandCoco.release, split="test", skipped=skipped)


def test_every_converter_tells_source_terms_and_citation():
    for converter in (FreiHandCoco, InterHand26M):
        notice = converter.release.notice()
        assert converter.release.home in notice
        assert "non-commercial" in notice
        assert "cite" in notice
