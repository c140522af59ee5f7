"""A bench that stopped goes on, but never on what other code has found."""

from __future__ import annotations

import pytest

from benchmarks import bug_records
from benchmarks.bug_records import ROOT, Records, digest


@pytest.fixture
def records(tmp_path, monkeypatch):
    monkeypatch.setattr(bug_records, "fingerprint", lambda: "this code")
    return Records(tmp_path)


def test_what_was_kept_is_recalled(records):
    assert records.recall("mask", "one") is None
    records.keep("mask", "one", {"caught": True})
    assert records.recall("mask", "one")["caught"]
    assert records.recall("mask", "other") is None


def test_what_other_code_found_counts_for_nothing(records, monkeypatch):
    records.keep("mask", "one", {"caught": True})
    monkeypatch.setattr(bug_records, "fingerprint", lambda: "mended code")
    assert records.recall("mask", "one") is None


def test_a_damaged_record_is_made_again(records):
    records.keep("mask", "one", {"caught": True})
    (records.folder / "mask" / "one.json").write_text('{"caught": tr')
    assert records.recall("mask", "one") is None


def test_without_a_folder_nothing_is_kept():
    records = Records()
    records.keep("mask", "one", {"caught": True})
    assert records.recall("mask", "one") is None


def test_code_has_another_name_as_soon_as_a_file_changes(tmp_path):
    file = tmp_path / "part.py"
    file.write_text("one")
    before = digest([file])
    file.write_text("two")
    assert digest([file]) != before
    assert ROOT.joinpath("benchmarks", "bug_records.py").is_file()
