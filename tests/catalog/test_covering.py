"""The design leaves nothing out: every tuple goes through, or holds values that refuse."""

from __future__ import annotations

import itertools

from zoo.app.combinations.covering import Covering, Row

FACTORS = {"a": "123456", "b": "xyz", "c": "pqrs", "d": "uv"}


def refusal(row: Row) -> Row | None:
    """What cannot stand together in these tests."""
    for values in ({"a": "1", "b": "x"}, {"b": "y", "c": "p", "d": "u"}):
        if values.items() <= row.items():
            return values
    return None


def climb(design: Covering) -> tuple[list[Row], list[Row]]:
    trained, refused = [], []
    for row in design.rows():
        if values := refusal(row):
            refused.append(row)
            design.refuses(values)
        else:
            trained.append(row)
            design.went_through(row)
    return trained, refused


def test_every_pair_and_chosen_triple_trains_or_holds_what_refuses():
    trained, refused = climb(Covering(FACTORS, strengths=[("a", "b", "c")]))
    groups = [*itertools.combinations(FACTORS, 2), ("a", "b", "c")]
    for group in groups:
        for values in itertools.product(*(FACTORS[name] for name in group)):
            asked = dict(zip(group, values, strict=True))
            together = any(asked.items() <= row.items() for row in trained)
            assert together or refusal(asked), asked
    assert len(refused) == 2, "what refuses is met once and then avoided"


def test_a_design_is_far_smaller_than_all_combinations():
    trained, refused = climb(Covering(FACTORS))
    assert len(trained) + len(refused) <= 34  # 6 x 4 pairs are the least, of 144 combinations


def test_the_same_factors_give_the_same_rows():
    assert climb(Covering(FACTORS)) == climb(Covering(FACTORS))


def test_values_that_always_refuse_end_the_design():
    design = Covering({"a": "12", "b": "x"})
    for _ in design.rows():
        design.refuses({"b": "x"})
    assert design.open == {}
