"""Every part with every other: it trains, or is refused in a sentence; and the page says so."""

from __future__ import annotations

import itertools
import re

import pytest
import torch

from registry.fit import IncompatibleParts
from registry.overrides import set_values
from registry.whole import build_model
from zoo.app.combinations.__main__ import PAGE
from zoo.app.combinations.cells import TRIPLE, cell_config, factors
from zoo.app.combinations.design import Result, factor_at, run
from zoo.app.combinations.page import COMMAND, page, values_block
from zoo.app.combinations.trial import NeitherTrainsNorRefused, Outcome, try_out

STALE = f"docs/combinations.md is not what the catalog says; run: {COMMAND}"


def test_the_page_lists_every_part_there_is():
    assert values_block(factors()) in PAGE.read_text("utf-8"), STALE


@pytest.fixture(scope="module")
def result() -> Result:
    """The whole design, run once for this file."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are so small that threads only wait for each other
    try:
        return run(factors())
    finally:
        torch.set_num_threads(threads)


def test_every_pair_and_every_head_camera_and_loss_trains_or_is_refused(result):
    groups = [*itertools.combinations(result.factors, 2), TRIPLE]
    count = 0
    for group in groups:
        for values in itertools.product(*(result.factors[name] for name in group)):
            asked = dict(zip(group, values, strict=True))
            count += 1
            assert result.trains(asked) or _refused(result, asked), asked
    assert count == result.tuples


def _refused(result: Result, asked: dict[str, str]) -> bool:
    """Whether no row can hold these values without values that refuse each other."""
    if result.refused(asked):
        return True
    free = [name for name in TRIPLE if name not in asked]
    rest = itertools.product(*(result.factors[name] for name in free))
    return all(result.refused({**asked, **dict(zip(free, v, strict=True))}) for v in rest)


def test_every_value_of_every_slot_trains_with_something(result):
    for name, values in result.factors.items():
        for value in values:
            assert result.trains({name: value}), f"{name} {value} is refused with everything"


def test_a_refusal_names_two_parts_the_reason_and_a_way_out(result):
    for refusal in result.refusals:
        assert len(refusal.values) == 2, refusal
        assert re.search(r"--set |zoo list ", refusal.sentence) or "model." in refusal.sentence
        for name in refusal.values:
            assert any(factor_at(path) == name for path in _paths(refusal.sentence)), refusal


def test_a_way_out_that_a_refusal_names_is_one(result):
    """Each is gone once: the model is built then, or stopped by something else."""
    tried = set()
    for refusal in result.refusals:
        for way in ways_out(refusal.sentence):
            if way in tried:
                continue
            tried.add(way)
            config = set_values(cell_config(result.factors, refusal.row), way)
            assert refusal_of(config) != refusal.sentence, way
    assert len(tried) > 15


def refusal_of(config: dict) -> str | None:
    try:
        build_model(config)
    except IncompatibleParts as error:
        return str(error)
    return None


def ways_out(sentence: str) -> list[tuple[str, ...]]:
    """What follows --set, the ones of one way together."""
    ways = re.split(r", or |; |: (?=--set)", sentence)
    found = (re.findall(r"--set (?:\"([^\"]+)\"|(\S+?)(?=[.,;]?(?:\s|$)))", way) for way in ways)
    return [tuple("".join(text) for text in way) for way in found if way]


def test_ways_out_are_read_from_a_sentence():
    sentence = (
        "X needs y. Change one of them: --set model.head.camera=metric --set "
        "model.head.camera.unit=m, or another head; or do without: --set a.b=null "
        "--set \"a.c={'type': 'd', 'weight': 1.0}\"."
    )
    assert ways_out(sentence) == [
        ("model.head.camera=metric", "model.head.camera.unit=m"),
        ("a.b=null", "a.c={'type': 'd', 'weight': 1.0}"),
    ]


def _paths(sentence: str) -> list[str]:
    return re.findall(r"(?:model|augmentation)(?:\.[a-z0-9_]+)+", sentence)


def test_the_page_says_what_was_found(result):
    assert page(result) == PAGE.read_text("utf-8"), STALE


def test_there_is_no_third_outcome():
    def breaks(config: dict) -> Outcome:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(NeitherTrainsNorRefused, match="mat1 and mat2") as caught:
        run(factors(), attempt=breaks)
    assert all(f"{slot}=" in str(caught.value) for slot in ("backbone", "head", "camera"))


def test_a_parameter_no_gradient_reaches_is_found():
    offered = factors()
    row = {name: next(iter(values)) for name, values in offered.items()} | {"camera": "metric"}
    config = cell_config(offered, row)
    config["model"]["losses"] = {"betas": {"type": "betas", "weight": 1.0}}
    with pytest.raises(NeitherTrainsNorRefused, match=r"No gradient reached .*decpose"):
        try_out(config)
