"""One config under two names costs the same in every figure; the page and JSON hold all of it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench.growth import CannotGrow, grow, points_of
from benchmarks.bench.measure import measure
from benchmarks.bench.page import bench_page
from benchmarks.published import FIGURES, note, published
from benchmarks.subject import rendered_frames
from registry.whole import load


def changes() -> tuple[str, ...]:
    file = Path(__file__).parents[2] / "support" / "tiny.py"
    spec = importlib.util.spec_from_file_location("tiny_support", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CHANGES


class NoisyClock:
    """A clock of which every look takes about as long, whatever is done between two."""

    def __init__(self) -> None:
        self.rng, self.now = np.random.default_rng(5), 0.0

    def __call__(self) -> float:
        self.now += 0.03 * self.rng.lognormal(0.0, 0.1)
        return self.now


@pytest.fixture(scope="module")
def record():
    """csvit2_ief3 twice and once with one IEF step, timed by a made-up clock."""
    one = load("csvit2_ief3", size="tiny", changes=changes())
    short = load("csvit2_ief3", size="tiny", changes=[*changes(), "model.head.steps=1"])
    return measure(
        {"mine": one, "short": short, "hamer": one},
        rendered_frames(2, seed=0),
        against=["hamer"],
        batch=2,
        budget=1.0,
        precisions=("fp32",),
        clock=NoisyClock(),
    )


def intervals(ratios: dict) -> list[dict]:
    of = ratios["precisions"]["fp32"]
    stages = of["stages_ms"].values()
    return [*(value for name, value in of.items() if name != "stages_ms"), *stages]


def test_every_ratio_of_one_config_under_two_names_contains_one(record):
    ratios = record["ratios"]["mine/hamer"]
    assert ratios["parameters_m"] == ratios["gflops"] == 1.0
    found = intervals(ratios)
    assert len(found) == 10  # four headlines and six stages
    assert all(one["low"] <= 1.0 <= one["high"] for one in found)


def test_a_subject_holds_what_the_schema_promises(record):
    subject = record["subjects"][0]
    for name in (
        *("parameters_m", "gflops", "forward_ms", "images_per_s"),
        *("train_step_ms", "samples_per_s", "peak_memory_mb"),
    ):
        assert subject[name] > 0
    assert set(subject["precisions"]["fp32"]["stages_ms"]) == {
        *("augmentation", "backbone", "neck", "head", "mano", "losses")
    }
    assert record["schema"] == 1
    assert json.loads(json.dumps(record, default=str))["ratios"].keys() == record["ratios"].keys()


def test_operations_tell_one_step_from_three(record):
    assert record["ratios"]["short/hamer"]["gflops"] < 1.0


def test_published_figures_stand_beside_with_protocol_and_source(record):
    hamer = record["subjects"][2]
    assert {one["metric"] for one in hamer["published"]} >= {"PA-MPJPE", "PA-MPVPE"}
    assert all(one["protocol"] and one["source"] for one in hamer["published"])
    assert record["subjects"][0]["published"] == []
    assert hamer["metrics"] == {}, "a published figure is never taken for a measured one"


@pytest.mark.parametrize("name", FIGURES)
def test_every_published_figure_says_how_sure_it_is(name):
    assert {figure.sure for figure in published(name)} <= {"high", "medium", "low"}


def test_a_variant_has_no_published_figures_and_says_why():
    assert published("csvit2_ief3") == ()
    assert note("csvit2_ief3")["root"] == "csvit2"


def test_the_page_shows_every_subject_and_asks_nothing_of_a_network(record):
    html = bench_page({**record, "machine": {"cpu_share": 0.3}}, {"command": "zoo bench"})
    for name in ("mine", "short", "hamer"):
        assert name in html
    assert "The machine was busy" in html
    counted = [{**subject, "precisions": {}} for subject in record["subjects"]]
    html = bench_page({**record, "subjects": counted, "machine": {"cpu_share": 0.3}}, {})
    assert "The machine was busy" not in html, "nothing was timed"
    assert 'src="http' not in html


def test_cost_grows_with_batch_and_steps_and_an_axis_one_lacks_is_said():
    config = load("csvit2_ief3", size="tiny", changes=changes())
    by_batch = grow({"mine": config}, "batch", timed=False)["subjects"]["mine"]
    assert [point["at"] for point in by_batch] == [1, 2, 4, 8]
    assert by_batch[3]["gflops"] == pytest.approx(8 * by_batch[0]["gflops"])
    sizes = [point.at for point in points_of(config, "image_size")]
    assert sizes == [32, 64, 96, 128]
    with pytest.raises(CannotGrow, match="temporal"):
        points_of(config, "frames")
    assert "temporal" in grow({"mine": config}, "frames", timed=False)["left_out"]["mine"]
    with pytest.raises(CannotGrow, match="one of batch"):
        grow({"mine": config}, "depth")
