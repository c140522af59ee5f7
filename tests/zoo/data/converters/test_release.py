from __future__ import annotations

import dataclasses
import json

import pytest

from registry.catalog import SLOTS
from zoo.data.check import check_shards
from zoo.data.converters.freihand_coco import FreiHandCoco
from zoo.data.converters.interhand26m import InterHand26M
from zoo.data.converters.writing import write_split
from zoo.data.schema import BadSample
from zoo.data.shards import count_frames, fingerprint, read_samples, resolve_shards


def write(converter, source, target, split, **options):
    return write_split(converter, source, target, split=split, **options)


def test_shards_hold_the_samples_in_order_and_are_counted(interhand, tmp_path):
    done = []
    told = write(
        InterHand26M(),
        interhand[0],
        tmp_path / "out",
        "train",
        shard_pictures=2,
        progress=lambda *counts: done.append(counts),
    )
    shards = resolve_shards(tmp_path / "out" / "train")
    assert [len(list(read_samples(shard))) for shard in shards] == [2, 1]
    assert done == [(2, 3), (3, 3)]
    assert told["shards"] == 2
    assert told["samples"] == told["pictures"] == told["listed"] == 3
    assert told["official"] == 1_361_062
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


class Failing(FreiHandCoco):
    """Breaks at the third row, as a full disk would."""

    def rows(self, source, *, split):
        rows = super().rows(source, split=split)

        def read(index, skipped):
            if index == 2:
                raise BadSample("the disk went away")
            return rows.read(index, skipped)

        return dataclasses.replace(rows, read=read)


def test_a_killed_conversion_goes_on_where_it_was_and_gives_the_same_shards(freihand, tmp_path):
    out, whole = tmp_path / "out", tmp_path / "whole"
    with pytest.raises(BadSample, match="disk went away"):
        write(Failing(), freihand[0], out, "test", shard_pictures=2)
    assert not (out / "dataset.json").exists()
    kept = (out / "test/000000.tar").stat().st_mtime_ns
    with pytest.raises(ValueError, match="go on with --resume"):
        write(FreiHandCoco(), freihand[0], out, "test", shard_pictures=2)
    with pytest.raises(ValueError, match="was begun with"):
        write(FreiHandCoco(), freihand[0], out, "test", shard_pictures=1, resume=True)
    told = write(FreiHandCoco(), freihand[0], out, "test", shard_pictures=2, resume=True)
    assert (out / "test/000000.tar").stat().st_mtime_ns == kept
    assert told == write(FreiHandCoco(), freihand[0], whole, "test", shard_pictures=2)
    assert not list((out / "test").glob(".*"))


def test_a_shard_that_was_cut_after_it_was_written_is_written_again(freihand, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(BadSample):
        write(Failing(), freihand[0], out, "test", shard_pictures=1)
    shard = out / "test/000001.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    told = write(FreiHandCoco(), freihand[0], out, "test", shard_pictures=1, resume=True)
    assert told["samples"] == len(
        [s for t in resolve_shards(out / "test") for s in read_samples(t)]
    )


def test_several_processes_write_the_shards_one_would(freihand, tmp_path):
    (freihand[0] / "00000007.jpg").unlink()
    one = write(FreiHandCoco(), freihand[0], tmp_path / "one", "test", shard_pictures=1)
    two = write(FreiHandCoco(), freihand[0], tmp_path / "two", "test", shard_pictures=1, workers=2)
    assert one == two
    assert one["skipped"] == {"the picture is not there": 1}


def test_a_limit_is_kept_and_called_partial(freihand, tmp_path):
    told = write(FreiHandCoco(), freihand[0], tmp_path / "out", "test", limit=2)
    assert (told["samples"], told["listed"], told["partial"]) == (2, 3, True)


def test_pictures_lost_after_they_were_listed_are_found(freihand, tmp_path):
    """The exporter that drops a frame at each gap: what was listed is not what is there."""

    class Losing(FreiHandCoco):
        def rows(self, source, *, split):
            rows = super().rows(source, split=split)
            return dataclasses.replace(rows, read=lambda i, s: rows.read(i, s)[: i != 1])

    for converter, found in ((FreiHandCoco(), []), (Losing(), ["data.count"])):
        out = tmp_path / type(converter).__name__
        write(converter, freihand[0], out, "test")
        findings = check_shards(str(out / "test")).findings
        assert [f.id for f in findings if f.id == "data.count"] == found


def test_a_split_without_a_usable_sample_is_an_error_with_the_reasons(freihand, tmp_path):
    for path in freihand[0].glob("*.jpg"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no usable sample. the picture is not there \(3\)"):
        write(FreiHandCoco(), freihand[0], tmp_path / "out", "test")


def test_every_converter_tells_source_terms_and_citation():
    for name in SLOTS["converter"].names():
        converter = SLOTS["converter"].get(name)
        notice = converter.release.notice()
        assert converter.release.home in notice
        assert "non-commercial" in notice
        assert "cite" in notice
