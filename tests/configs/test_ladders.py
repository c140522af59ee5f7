"""Every shipped ladder and table can be planned: each config on the way is checked and built."""

from __future__ import annotations

import pytest

from benchmarks.ladder.buildable import why_not_built
from benchmarks.ladder.climb import Stop
from benchmarks.ladder.orders import route
from benchmarks.ladder.plan import CannotClimb, make_plan
from registry.config import SHIPPED, load, load_ladder
from registry.difference import same
from zoo.app.ladder.table import check_variants

FILES = {file.stem: load_ladder(file) for file in sorted((SHIPPED / "ladders").glob("[!_]*.py"))}
CLIMBS = [name for name, file in FILES.items() if "rungs" in file]
TABLES = [name for name, file in FILES.items() if "variants" in file]
WHY_NOT = why_not_built(None)  # one memory: the two climbs share their ends


@pytest.mark.parametrize("name", CLIMBS)
def test_a_climb_is_planned_and_every_stop_of_it_can_be_built(name):
    file = FILES[name]
    ends = [(file[end], load(file[end], size="tiny")) for end in ("start", "goal")]
    plan = make_plan(*ends, groups=file["rungs"], why_not=WHY_NOT)
    assert set(file["rungs"]) >= {rung.name for rung in plan.rungs}
    found = route(plan, "forward", budget=40, seed=0, why_not=WHY_NOT)
    assert found.plan == plan, "no two rungs have to be climbed together"
    assert same(plan.top["model"], ends[1][1]["model"])


@pytest.mark.parametrize("name", TABLES)
def test_every_variant_of_a_table_can_be_built_and_differs_from_the_others(name):
    file = FILES[name]
    configs = {
        v: load(file["base"], list(said), size="tiny") for v, said in file["variants"].items()
    }
    check_variants([Stop(v, (), config) for v, config in configs.items()], WHY_NOT)
    texts = {repr(config) for config in configs.values()}
    assert len(texts) == len(configs) > 2
    assert set(FILES[name].get("claims", {})) <= set(configs)


def test_the_four_tables_of_the_thesis_are_shipped():
    assert {f"thesis_{n}" for n in ("clips", "dropout", "pixels", "precision")} <= set(TABLES)
    lengths = {int(v.rpartition("_")[2]) for v in FILES["thesis_clips"]["variants"]}
    assert lengths == {1, 3, 5, 7, 9}
    assert set(FILES["thesis_precision"]["variants"]) == {"fp32", "bf16", "fp16"}


def test_a_variant_that_cannot_be_built_is_refused_with_its_reason_before_any_training():
    broken = load("csvit2", size="tiny")
    broken["model"]["head"]["camera"] = {"type": "weak_perspective"}
    with pytest.raises(CannotClimb, match="The variant wrong cannot be built: model"):
        check_variants([Stop("wrong", (), broken)], WHY_NOT)


def test_a_climb_changes_first_what_the_analysis_ranks_first():
    assert list(FILES["csvit2_to_hamer"]["rungs"])[:2] == ["residual", "mean_init"]
