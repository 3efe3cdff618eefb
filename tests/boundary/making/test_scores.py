"""Scores, held against counting by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.making.scores import Counts, compare, figures, intervals, total

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=14)


def most_pairs(left: list[int], right: list[int], within: int) -> int:
    """The most that can be paired, each once, by trying everything."""
    if not left:
        return 0
    first, *others = left
    skipped = most_pairs(others, right, within)
    near = [n for n in right if abs(n - first) <= within]
    return max([skipped, *(1 + most_pairs(others, [n for n in right if n != m], within) for m in near)])


def cuts(classes: list[bool], to: bool) -> list[int]:
    return [n + 1 for n, (a, b) in enumerate(pairwise(classes)) if a != b and b is to]


@given(PAIRS)
def test_counts(pairs: list[tuple[bool, bool]]) -> None:
    given_, true = [g for g, _ in pairs], [t for _, t in pairs]
    counts = compare(given_, true)
    assert counts.words == len(pairs)
    assert (counts.given, counts.true, counts.right) == (sum(given_), sum(true), pairs.count((True, True)))
    assert counts.cuts_given == sum(a != b for a, b in pairwise(given_))
    assert counts.cuts_true == sum(a != b for a, b in pairwise(true))
    for within, found in ((0, counts.exact), (1, counts.near)):
        assert found == sum(most_pairs(cuts(given_, to), cuts(true, to), within) for to in (True, False))


@given(PAIRS)
def test_figures(pairs: list[tuple[bool, bool]]) -> None:
    counts = compare([g for g, _ in pairs], [t for _, t in pairs])
    found = figures(counts)
    n, right, given_, true = len(pairs), pairs.count((True, True)), counts.given, counts.true
    assert math.isnan(found.precision) if not given_ else found.precision == pytest.approx(right / given_)
    assert math.isnan(found.recall) if not true else found.recall == pytest.approx(right / true)
    if right:
        assert found.style_f1 == pytest.approx(2 / (1 / found.precision + 1 / found.recall))
    chance = (given_ * true + (n - given_) * (n - true)) / n**2
    same = sum(g == t for g, t in pairs) / n
    assert math.isnan(found.kappa) if chance == 1 else found.kappa == pytest.approx((same - chance) / (1 - chance))
    assert total([counts, Counts(), counts]) == Counts(*(2 * count for count in counts))


PROBLEMS = st.dictionaries(st.text("abc", min_size=1), PAIRS, min_size=2, max_size=8).map(
    lambda problems: {name: compare([g for g, _ in p], [t for _, t in p]) for name, p in problems.items()}
)


@given(PROBLEMS, st.integers(0, 5))
def test_intervals_are_the_same_for_equal_seeds_in_any_order(problems: dict[str, Counts], seed: int) -> None:
    bounds = intervals(problems, resamples=50, seed=seed)
    assert bounds == intervals(dict(reversed(problems.items())), resamples=50, seed=seed)
    assert all(0 <= low <= high <= 1 for name, (low, high) in bounds.items() if name != "kappa")


def test_an_interval_holds_the_figure_and_narrows_with_more_problems() -> None:
    good, bad = Counts(10, 4, 4, 4, 2, 2, 2, 2), Counts(10, 4, 4, 1, 2, 2, 0, 1)
    few = {str(n): (good, bad)[n % 2] for n in range(10)}
    many = {str(n): (good, bad)[n % 2] for n in range(1000)}
    wide, narrow = intervals(few)["style_f1"], intervals(many)["style_f1"]
    assert wide.low < narrow.low < figures(total(few.values())).style_f1 < narrow.high < wide.high
    assert intervals(many, seed=1) != intervals(many, seed=2)
    assert intervals({"one": good}) == {}


def test_a_figure_that_some_draws_lack_has_an_interval_of_the_others() -> None:
    nothing, something = Counts(5, 0, 0, 0), Counts(5, 2, 2, 1)
    bounds = intervals({"a": nothing, "b": something})
    assert bounds["style_f1"] == (0.5, 0.5)
    assert "exact_f1" not in bounds
