"""Shards are found or their lack is said, counted without decoding, and written whole."""

from __future__ import annotations

import tarfile

import pytest

from zoo.data.schema import BadSample
from zoo.data.shards import (
    count_frames,
    fingerprint,
    indices,
    read_samples,
    resolve_shards,
    write_index,
    write_shard,
)


def names(urls):
    return [url.rsplit("/", 1)[1] for url in urls]


def test_a_folder_a_glob_a_range_and_a_list_mean_the_same_shards(shards):
    expected = ["00.tar", "01.tar", "02.tar", "03.tar", "04.tar"]
    assert names(resolve_shards(shards)) == expected
    assert names(resolve_shards(f"{shards}/*.tar")) == expected
    assert names(resolve_shards(f"{shards}/{{00..04}}.tar")) == expected
    assert names(resolve_shards([shards / n for n in expected])) == expected


def test_a_shard_named_twice_is_read_once(shards):
    assert names(resolve_shards([shards / "01.tar", f"{shards}/*.tar"]))[:2] == ["01.tar", "00.tar"]
    assert len(resolve_shards([shards, shards])) == 5


def test_a_missing_shard_of_a_range_is_named(shards):
    with pytest.raises(ValueError, match=r"05\.tar does not exist"):
        resolve_shards(f"{shards}/{{00..05}}.tar")


@pytest.mark.parametrize("pattern", ["*.zip", "nothing-*.tar", "{a,b}*.tar"])
def test_a_glob_without_a_match_is_named(shards, pattern):
    with pytest.raises(ValueError, match="No shard matches"):
        resolve_shards(f"{shards}/{pattern}")


def test_an_empty_folder_and_an_empty_list_are_errors(tmp_path):
    with pytest.raises(ValueError, match="No shard matches"):
        resolve_shards(tmp_path)
    with pytest.raises(ValueError, match="No shards were named"):
        resolve_shards([])


@pytest.mark.parametrize("how", ["no bytes", "no members"])
def test_an_empty_shard_is_named(shards, how):
    path = shards / "02.tar"
    path.write_bytes(b"")
    if how == "no members":
        tarfile.open(path, "w").close()
    with pytest.raises(ValueError, match=r"02\.tar is empty"):
        resolve_shards(shards)


def count_samples(urls: list[str]) -> int:
    return sum(entry.samples for entry in indices(urls).values())


def test_counts_are_of_samples_and_of_labelled_hands(tmp_path, make_sample):
    clip = make_sample(0)[0]
    clip.arrays["present"][1, 2] = 0
    write_shard(tmp_path / "a.tar", [clip, make_sample(1, hands=1, frames=1)[0]])
    urls = resolve_shards(tmp_path)
    assert count_samples(urls) == 2
    assert count_frames(urls) == 5 + 1


def test_an_index_says_what_the_headers_say(shards):
    urls = resolve_shards(shards)
    from_headers = indices(urls)
    mark = fingerprint(urls)
    write_index(shards, {url.rsplit("/", 1)[1]: entry for url, entry in from_headers.items()})
    assert indices(urls) == from_headers
    assert fingerprint(urls) == mark


def test_an_index_is_believed_only_while_the_size_holds(shards, make_sample):
    urls = resolve_shards(shards)
    write_index(shards, {url.rsplit("/", 1)[1]: entry for url, entry in indices(urls).items()})
    write_shard(shards / "00.tar", [make_sample(n)[0] for n in range(3)])
    assert count_samples(urls) == 3 + 4 * 7


def test_a_fingerprint_changes_with_the_shards_and_not_with_their_order(shards, make_sample):
    urls = resolve_shards(shards)
    mark = fingerprint(urls)
    assert fingerprint(urls[::-1]) == mark
    assert fingerprint(urls[:-1]) != mark
    write_shard(shards / "00.tar", [make_sample(100 + n, hands=1, frames=1)[0] for n in range(7)])
    assert fingerprint(urls) != mark


def test_a_shard_is_the_same_bytes_every_time(tmp_path, make_sample):
    for name in ("a.tar", "b.tar"):
        write_shard(tmp_path / name, [make_sample(n)[0] for n in range(3)])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert {member.mtime for member in tar} == {0}


def test_what_is_written_is_what_is_read(tmp_path, make_sample):
    written = [make_sample(n)[0] for n in range(3)]
    write_shard(tmp_path / "a.tar", written)
    for ours, theirs in zip(read_samples(str(tmp_path / "a.tar")), written, strict=True):
        assert (ours.key, ours.pictures) == (theirs.key, theirs.pictures)
        assert ours.meta == theirs.meta


def test_a_writer_that_dies_leaves_no_shard(tmp_path, make_sample):
    def dying():
        yield make_sample(0)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a.tar", dying())
    assert not list(tmp_path.glob("*.tar"))


def test_a_sample_that_breaks_the_schema_never_reaches_a_shard(tmp_path, make_sample):
    sample = make_sample(0)[0]
    sample.arrays["kp3d"][0, 0, 0] = float("nan")
    with pytest.raises(BadSample, match=r"a\.tar: made_up/train/s0/0: kp3d") as caught:
        write_shard(tmp_path / "a.tar", [sample])
    assert caught.value.field == "kp3d"
    assert not list(tmp_path.glob("*.tar"))


def test_a_cut_off_shard_is_counted_up_to_the_cut(shards):
    path = shards / "00.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0 < count_samples([str(path)]) < 7
