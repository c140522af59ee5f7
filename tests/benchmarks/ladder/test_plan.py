"""A ladder covers every difference, reaches its goal and stands on configs that can be built."""

from __future__ import annotations

import pytest

from benchmarks.ladder.orders import route
from benchmarks.ladder.plan import CannotClimb, make_plan, single_changes
from registry.difference import apply, same

OLD = {
    "model": {
        "head": {"type": "mano_decoder", "steps": 1, "camera": {"type": "heatmap", "bins": 64}},
        "losses": {"wrist": {"type": "heatmap"}, "joints": {"type": "joints", "weight": 1.0}},
    },
    "augmentation": {"crop": {"type": "hand", "expand": 1.1}},
    "optim_wrapper": {"optimizer": {"lr": 1e-4}},
    "param_scheduler": {"warmup": 50},
    "train_cfg": {"max_iters": 100},
    "data": {"train": {"batch_size": 42}},
}
NEW = {
    "model": {
        "head": {"type": "mano_decoder", "steps": 3, "camera": {"type": "metric"}},
        "losses": {"joints": {"type": "joints", "weight": 0.1}},
    },
    "augmentation": {"crop": {"type": "hand", "expand": 2.0}},
    "optim_wrapper": {"optimizer": {"lr": 1e-3}},
    "param_scheduler": {"warmup": 0},
    "train_cfg": {"max_iters": 900},
    "data": {"train": {"batch_size": 32}},
}


def why_not(config) -> str | None:
    """A heat-map loss reads what only a heat-map camera says."""
    model = config["model"]
    if "wrist" in model["losses"] and model["head"]["camera"]["type"] != "heatmap":
        return "model.losses.wrist needs a heat map"
    return None


def plan_of(**more):
    return make_plan(("old", OLD), ("new", NEW), why_not=why_not, **more)


def test_the_top_is_the_goal_but_for_what_is_held_equal():
    plan = plan_of()
    assert same(plan.top, {**NEW, "train_cfg": OLD["train_cfg"], "data": OLD["data"]})
    assert {change.path for change in plan.held} == {"train_cfg.max_iters", "data.train.batch_size"}


def test_every_difference_is_climbed_once():
    plan = plan_of()
    climbed = sorted(change.path for rung in plan.rungs for change in rung.changes)
    assert climbed == [
        "augmentation.crop.expand",
        "model.head.camera",
        "model.head.steps",
        "model.losses.joints.weight",
        "model.losses.wrist",
        "optim_wrapper.optimizer.lr",
        "param_scheduler.warmup",
    ]


def test_a_rung_takes_the_one_difference_it_cannot_be_built_without_and_says_so():
    plan = plan_of()
    camera = plan.rungs[0]
    assert camera.name == "camera"
    assert [change.path for change in camera.changes] == ["model.head.camera", "model.losses.wrist"]
    assert "model.losses.wrist needs a heat map" in camera.notes[0]
    assert [change.path for change in plan.rungs[2].changes] == ["model.losses.joints.weight"]


def test_every_rung_can_be_built():
    plan = plan_of()
    assert all(why_not(plan.at(range(n))) is None for n in range(len(plan.rungs) + 1))


def test_a_grouping_gives_a_difference_to_its_first_rung():
    groups = {"sight": ["model.head.camera", "model.losses.wrist"], "rest": ["model"]}
    with pytest.raises(CannotClimb, match=r"No rung covers: augmentation\.crop\.expand"):
        plan_of(groups=groups)
    groups["recipe"] = ["augmentation", "optim_wrapper", "param_scheduler"]
    plan = plan_of(groups=groups)
    assert [rung.name for rung in plan.rungs] == ["sight", "rest", "recipe"]
    assert len(plan.rungs[0].changes) == 2


def test_a_prefix_is_whole_keys():
    with pytest.raises(CannotClimb, match="No rung covers"):
        plan_of(groups={"a": ["model.head.step", "model.losses", "augmentation"], "b": ["x"]})


def test_a_rung_takes_several_differences_and_leaves_those_it_does_not_need():
    def three_together(config) -> str | None:
        steps, rate = config["model"]["head"]["steps"], config["optim_wrapper"]["optimizer"]["lr"]
        warmup = config["param_scheduler"]["warmup"]
        alike = (steps == 3) == (rate == 1e-3) == (warmup == 0)
        return None if alike and len({steps == 3, rate == 1e-3, warmup == 0}) == 1 else "unlike"

    plan = make_plan(("old", OLD), ("new", NEW), why_not=three_together)
    head = next(rung for rung in plan.rungs if rung.name == "head")
    assert [change.path for change in head.changes] == [
        "model.head.steps",
        "optim_wrapper.optimizer.lr",
        "param_scheduler.warmup",
    ]
    assert "optim_wrapper.optimizer.lr and param_scheduler.warmup" in head.notes[0]
    assert [rung.name for rung in plan.rungs] == ["camera", "head", "loss", "crop"]


def test_rungs_that_need_each_other_are_climbed_together():
    def both_or_none(config) -> str | None:
        wide = config["augmentation"]["crop"]["expand"] == 2.0
        steps, rate = config["model"]["head"]["steps"], config["optim_wrapper"]["optimizer"]["lr"]
        return None if wide == (steps == 3) == (rate == 1e-3) else "they differ"

    plan = make_plan(
        ("old", {k: OLD[k] for k in ("model", "augmentation", "optim_wrapper")}),
        ("new", {k: NEW[k] for k in ("model", "augmentation", "optim_wrapper")}),
        why_not=both_or_none,
    )
    assert all(both_or_none(plan.at(range(n))) is None for n in range(len(plan.rungs) + 1))


def test_a_goal_that_cannot_be_built_is_refused_before_anything_runs():
    broken = {**NEW, "model": {**NEW["model"], "losses": OLD["model"]["losses"]}}
    with pytest.raises(CannotClimb, match="new cannot be built"):
        make_plan(("old", OLD), ("new", broken), why_not=why_not)


def test_equal_configs_have_no_rung():
    assert make_plan(("a", OLD), ("b", OLD), why_not=why_not).rungs == ()


def test_single_changes_make_the_same_climb_and_keep_together_what_needs_each_other():
    plan = plan_of()
    fine = single_changes(plan)
    assert [len(rung.changes) for rung in fine.rungs] == [2, 1, 1, 1, 1, 1]
    assert same(fine.top, plan.top)
    assert same(apply(OLD, [c for r in fine.rungs for c in r.changes]), plan.top)


@pytest.mark.parametrize("kind", ["forward", "backward", "both", "shapley"])
def test_every_stop_of_every_order_can_be_built_and_ends_at_the_goal(kind):
    found = route(plan_of(), kind, budget=20, seed=0, why_not=why_not)
    for climb in found.climbs:
        assert all(why_not(found.plan.at(stop)) is None for stop in climb.stops())
        assert same(found.plan.at(climb.stops()[-1]), found.plan.top)
        assert sorted(climb.order) == list(range(len(found.plan.rungs)))


def test_a_shapley_estimate_keeps_to_its_budget_and_climbs_each_order_both_ways():
    found = route(plan_of(), "shapley", budget=20, seed=0, why_not=why_not)
    assert len(found.stops()) <= 20
    orders = {climb.order for climb in found.climbs}
    assert len(orders) > 2
    assert {order[::-1] for order in orders} == orders


def test_the_orders_of_a_seed_are_always_the_same():
    first, again = (route(plan_of(), "shapley", budget=20, seed=3, why_not=why_not) for _ in "ab")
    assert first.climbs == again.climbs


def test_backward_merges_what_only_that_order_cannot_climb():
    groups = {
        "losses": ["model.losses"],
        "camera": ["model.head.camera"],
        "rest": ["model", "augmentation", "optim_wrapper", "param_scheduler"],
    }
    assert len(plan_of(groups=groups).rungs) == 3
    found = route(plan_of(groups=groups), "backward", budget=9, seed=0, why_not=why_not)
    assert [rung.name for rung in found.plan.rungs] == ["losses+camera", "rest"]
    assert "in another order" in found.plan.rungs[0].notes[0]
