"""Bisecting names exactly the harmful differences, and asks for few trainings."""

from __future__ import annotations

from itertools import combinations

import pytest

from benchmarks.ladder.bisect import NothingToBisect, bisect


def judge_of(harmful: set[int], *, goal_fails: bool = True):
    """Holds as long as no harmful difference is in the config; counts what it is asked."""
    asked = []

    def judge(taken) -> bool:
        asked.append(taken)
        return not (harmful & taken) if goal_fails else harmful <= taken

    judge.asked = asked
    return judge


@pytest.mark.parametrize("pair", list(combinations(range(10), 2)))
@pytest.mark.parametrize("goal_fails", [True, False])
def test_two_harmful_differences_among_ten_take_at_most_twelve_trainings(pair, goal_fails):
    judge = judge_of(set(pair), goal_fails=goal_fails)
    found = bisect(10, judge)
    assert found.numbers == pair
    assert found.start_holds is goal_fails
    assert len(judge.asked) == found.runs <= 12
    assert len(set(judge.asked)) == len(judge.asked), "a config was trained twice"


@pytest.mark.parametrize("harmful", [{0}, {6}, {9}, {0, 1, 2}, {1, 5, 9}, set(range(10))])
def test_any_number_of_harmful_differences_is_found(harmful):
    assert set(bisect(10, judge_of(harmful)).numbers) == harmful


def test_the_only_difference_needs_no_search():
    found = bisect(1, judge_of({0}))
    assert (found.numbers, found.runs) == ((0,), 2)


def test_a_set_that_cannot_be_judged_does_not_count_as_holding():
    def judge(taken):
        return None if len(taken) == 3 else not ({2, 7} & taken)

    assert bisect(10, judge).numbers == (2, 7)


@pytest.mark.parametrize("answer", [True, False])
def test_equal_verdicts_are_nothing_to_bisect(answer):
    with pytest.raises(NothingToBisect, match="both"):
        bisect(4, lambda taken: answer)
