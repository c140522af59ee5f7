"""A verdict ranks what only the sick model has first, and says nothing without a number."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.causes import complete, resolve

EXAMPLE = Path(__file__).parent / "report" / "example.json"
EXHIBITS = [{"start": {"fingers_from_mean_deg": 71.8}}, {"start": {"fingers_from_mean_deg": 50.7}}]


@pytest.fixture
def raw():
    return json.loads(EXAMPLE.read_text())


def completed(raw, exhibits=EXHIBITS):
    return complete(raw, exhibits=exhibits, command="zoo diagnose mine", environment={})


def paths(report):
    return [cause["path"] for cause in report["verdict"]["causes"]]


def test_what_only_the_sick_model_has_comes_before_what_both_have(raw):
    report = completed(raw)
    assert paths(report) == [
        "model.head.camera",
        "model.head.residual",
        "model.losses.joints",
        "model.losses.betas",
    ]
    suspicion = {(f["subject"], f["id"]): f["suspicion"] for f in report["findings"]}
    shared = suspicion["mine", "mask.constant/value"]
    assert shared < suspicion["mine", "ledger.units/mixed"]


def test_a_finding_is_no_less_suspicious_when_only_one_subject_is_looked_at(raw):
    pair = completed(json.loads(json.dumps(raw)))
    raw["subjects"], raw["differences"] = raw["subjects"][:1], []
    for kind in ("findings", "probes"):
        raw[kind] = [row for row in raw[kind] if row["subject"] == "mine"]
    alone = completed(raw, EXHIBITS[:1])
    assert "model.losses.betas" in paths(alone)[:2]
    assert paths(pair).index("model.losses.betas") == 3


def test_every_number_of_every_sentence_stands_where_the_sentence_says(raw):
    report = json.loads(json.dumps(completed(raw)))
    said = [*report["verdict"]["sentences"], *report["verdict"]["causes"]]
    assert len(said) >= 6
    for sentence in said:
        assert sentence["numbers"], sentence["text"]
        for number in sentence["numbers"]:
            assert resolve(report, number["at"]) == number["value"]
        counted = re.findall(
            r"(?<![\w.%])\d+(?= (?:error|warning|of|probe|difference))", sentence["text"]
        )
        values = {number["value"] for number in sentence["numbers"]}
        assert {int(text) for text in counted} <= values


def test_the_tally_counts_what_was_skipped_and_what_crashed(raw):
    report = completed(raw)
    first = report["verdict"]["sentences"][0]["text"]
    assert "mine has 2 errors and 1 warning" in first
    assert "1 crashed" in first
    assert "1 skipped" in first
    assert report["counts"]["subjects"]["mine"]["crashed"] == 1


def test_a_missing_residual_and_a_missing_mean_are_named_as_such(raw):
    raw["differences"].append(
        {
            "path": "model.head.init",
            "before": "random",
            "after": "mean",
            "slot": "head",
            "priority": "P0",
            "reason": "mean initialisation",
        }
    )
    causes = {cause["path"]: cause for cause in completed(raw)["verdict"]["causes"]}
    assert "whole hand, not a correction" in causes["model.head.residual"]["text"]
    assert causes["model.head.residual"]["fix"] == ("model.head.residual=true",)
    assert "the first answer is no hand" in causes["model.head.init"]["text"]
    assert "71.8°" in causes["model.head.init"]["text"]


def test_a_difference_the_other_way_round_is_not_called_a_defect(raw):
    raw["differences"][0] |= {"before": True, "after": False}
    cause = next(
        c for c in completed(raw)["verdict"]["causes"] if c["path"] == "model.head.residual"
    )
    assert "without it" not in cause["text"]


def test_a_healthy_pair_is_called_healthy(raw):
    raw["findings"], raw["differences"] = [], []
    raw["probes"] = [row for row in raw["probes"] if row["status"] == "passed"]
    report = completed(raw)
    assert report["verdict"]["causes"] == ()
    assert "mine keeps every law that was tested" in report["verdict"]["sentences"][0]["text"]


def test_a_pointer_to_nothing_is_an_error():
    with pytest.raises(KeyError):
        resolve({"a": [1]}, "/a/3")
    assert resolve({"a/b": {"~": 5}}, "/a~1b/~0") == 5
