"""The report of a diagnosis: ten parts, nothing hidden, nothing that could run as code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.causes import complete
from benchmarks.report import diagnosis

EXAMPLE = Path(__file__).parent / "example.json"
SPREAD = [0.1, 0.2, 0.3]
EXHIBIT = {
    "scales": [
        {
            "quantity": "joints z (depth)",
            "unit": "m",
            "prediction": [200.0, 900.0, 999.0],
            "label": SPREAD,
        },
        {"quantity": "picture", "unit": "of 1", "prediction": SPREAD, "label": None},
    ],
    "round_trip": {"median_px": 0.0, "worst_px": 0.25},
    "start": {"fingers_from_mean_deg": 10.0},
    "crop_hw_px": [128, 96],
}
STAIRS = {
    "staircase_mm": {
        "nothing": 100.0,
        "translation": 40.0,
        "scale": 39.0,
        "rotation": 20.0,
        "all": 9.0,
    },
    "fingers_mm": {"thumb": 30.0, "index": 20.0, "middle": 20.0, "ring": 20.0, "pinky": 25.0},
}


def report(exhibits=(EXHIBIT, {**EXHIBIT, **STAIRS})) -> dict:
    raw = json.loads(EXAMPLE.read_text())
    whole = complete(
        raw, exhibits=exhibits, command="zoo diagnose mine hamer", environment={"torch": "2"}
    )
    return json.loads(json.dumps(whole))


@pytest.fixture(scope="module")
def html() -> str:
    return diagnosis.render(report())


def part(html: str, id: str) -> str:
    return html[html.index(f'<section id="{id}"') :].split("</section>")[0]


def test_every_part_of_the_design_has_its_place(html):
    ids = re.findall(r'<section[^>]* id="([\w-]+)"', html)
    assert ids == [
        "verdict",
        "differences",
        "findings",
        "gradients",
        "scales",
        "losses",
        "errors",
        "probes",
        "repeat",
    ]


def test_what_a_probe_said_when_it_crashed_is_shown_as_text(html):
    assert "RuntimeError: broken &lt;here&gt;" in part(html, "probes")
    assert 'class="mark crashed"' in part(html, "probes")


def test_differences_stand_by_priority_with_both_values(html):
    listed = part(html, "differences")
    places = [listed.index(f"{priority}: ") for priority in ("P0", "P1", "P2")]
    assert places == sorted(places)
    assert "weak_perspective" in listed
    assert "absent" in listed


def test_a_finding_of_both_subjects_is_one_card_with_both_names(html):
    cards = part(html, "findings").split("<article")[1:]
    (shared,) = [card for card in cards if "mask.constant/value" in card]
    assert 'class="mark subject s0">mine' in shared
    assert 'class="mark subject s1">hamer' in shared
    assert len(cards) == 4


def test_a_fix_is_a_line_to_copy(html):
    assert re.search(r"data-copy[^>]*><pre><code>--set model.losses.wrist.weight=0.05<", html)


def test_a_term_that_reaches_nothing_is_hatched_and_a_drowned_one_outlined(html):
    gradients = part(html, "gradients")
    assert 'class="dead"' in gradients
    assert re.search(r'class="flag"[^>]*>1e-07<', gradients)


def test_a_factor_of_a_thousand_between_answer_and_label_is_marked(html):
    row = next(r for r in part(html, "scales").split("<tr>") if "joints z" in r)
    assert 'class="mark warning">3330' in row.replace("\u2009", "")


def test_the_ledger_says_what_the_terms_add_up_to(html):
    losses = part(html, "losses")
    assert "what is minimised is 1" in losses
    assert "75.0%" in losses
    assert '<title id="first-steps">' in losses
    assert '<title id="first-steps-0">' in losses


def test_the_staircase_is_drawn_where_there_are_weights_and_excused_where_not(html):
    assert '<title id="chart-staircase_mm">' in part(html, "errors")
    bare = diagnosis.render(report((EXHIBIT, EXHIBIT)))
    assert "No subject has trained weights" in part(bare, "errors")


def test_a_page_without_pictures_is_small_and_one_subject_alone_has_one(html):
    assert len(html) < 200_000
    raw = json.loads(EXAMPLE.read_text())
    raw["subjects"], raw["differences"] = raw["subjects"][:1], []
    for kind in ("findings", "probes"):
        raw[kind] = [row for row in raw[kind] if row["subject"] == "mine"]
    alone = complete(raw, exhibits=[EXHIBIT], command="zoo diagnose mine none", environment={})
    assert "nothing to compare it with" in diagnosis.render(alone)


def test_a_diagnosis_that_measured_nothing_still_has_a_page():
    raw = json.loads(EXAMPLE.read_text()) | {"findings": [], "probes": [], "differences": []}
    page = diagnosis.render(complete(raw, exhibits=[{}, {}], command="zoo", environment={}))
    assert page.count("Not measured") == 3
