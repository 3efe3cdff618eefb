"""Ratios over problems: against counting them out, and against every exchange."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.analyse.contrast import Measure, Sample, changes, shared, values

COMMAS = Measure("commas", "per 1,000 words", 1000)
RIGHT = Measure("right", "share", rate=True)

_TEXTS = st.lists(
    st.tuples(st.integers(0, 5).map(str), st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=9
).filter(lambda texts: any(words for _, _, words in texts))


def sample(texts: list[tuple[str, int, int]], measure: Measure = COMMAS) -> Sample:
    found = [(f"k{n}", name, {measure.name: (over, under)}) for n, (name, over, under) in enumerate(texts)]
    return Sample.of([measure], [(key, name, told) for key, name, told in found if told[measure.name][1]])


def ratio(texts: list[tuple[str, int, int]]) -> float:
    texts = [text for text in texts if text[2]]
    many = {name: sum(other == name for other, _, _ in texts) for name, _, _ in texts}
    return sum(over / many[name] for name, over, _ in texts) / sum(under / many[name] for name, _, under in texts)


@settings(max_examples=25, deadline=None)
@given(_TEXTS)
def test_a_value_is_the_ratio_of_sums_in_which_each_problem_counts_once(texts: list[tuple[str, int, int]]) -> None:
    (found,) = values(sample(texts))
    assert found is not None
    assert found.value == pytest.approx(1000 * ratio(texts))
    assert (found.interval is None) == (found.problems < 2)
    assert found.interval is None or found.interval.low <= found.interval.high


@settings(deadline=None, max_examples=15)
@given(_TEXTS, _TEXTS)
def test_what_texts_contribute_sums_to_the_difference(
    first: list[tuple[str, int, int]], second: list[tuple[str, int, int]]
) -> None:
    a, b = sample(first), sample(second)
    (change,) = changes(a, b)
    assert change is not None
    both = shared(a.problems, b.problems)
    kept = [[text for text in texts if not both or text[0] in both] for texts in (first, second)]
    assert change.difference == pytest.approx(1000 * (ratio(kept[1]) - ratio(kept[0])), abs=1e-9)
    assert sum(part.amount for part in change.traces) == pytest.approx(change.difference, abs=1e-6)
    assert change.paired == bool(both)


def test_p_of_paired_problems_is_that_of_all_exchanges() -> None:
    rng = random.Random(3)
    one = [(str(n), rng.randint(0, 9), rng.randint(10, 20)) for n in range(6)]
    other = [(str(n), rng.randint(2, 14), rng.randint(10, 20)) for n in range(6)]
    (change,) = changes(sample(one), sample(other))
    assert change is not None and change.p is not None and change.paired
    seen = abs(ratio(other) - ratio(one))
    reached = []
    for swaps in product([False, True], repeat=6):
        a = [y if swap else x for x, y, swap in zip(one, other, swaps, strict=True)]
        b = [x if swap else y for x, y, swap in zip(one, other, swaps, strict=True)]
        reached.append(abs(ratio(b) - ratio(a)) >= seen - 1e-12)
    assert change.p == pytest.approx(np.mean(reached), abs=0.02)


@pytest.mark.parametrize("paired", [True, False])
def test_equal_sides_differ_as_often_as_chance_lets_them(paired: bool) -> None:
    rng = random.Random(5)
    ps = []
    for _ in range(40):
        names = [f"{n}" for n in range(12)], [f"{n if paired else n + 12}" for n in range(12)]
        sides = ([(name, rng.randint(0, 9), rng.randint(10, 30)) for name in side] for side in names)
        (change,) = changes(*map(sample, sides))  # type: ignore[arg-type]
        assert change is not None and change.p is not None and change.paired is paired
        ps.append(change.p)
    assert sum(p < 0.05 for p in ps) <= 6  # of 40; more has a chance of 1 in 300
    assert 0.35 < np.mean(ps) < 0.65


def test_rates_are_compared_as_evaluations_are() -> None:
    one = [(str(n), int(n < 3), 1) for n in range(10)]
    other = [(str(n), int(n < 9), 1) for n in range(10)]
    (change,) = changes(sample(one, RIGHT), sample(other, RIGHT))
    assert change is not None and change.interval is not None
    assert change.difference == pytest.approx(0.6)
    assert change.p == pytest.approx(2 * 0.5**6, abs=0.005)
    assert 0 < change.interval.low < 0.6 < change.interval.high <= 1
    assert sorted(change.traces) == [(side, f"k{n}", pytest.approx(0.05)) for side in (0, 1) for n in range(3, 9)]


def test_one_problem_is_no_test_and_nothing_is_no_change() -> None:
    (change,) = changes(sample([("a", 1, 9)]), sample([("a", 3, 9)]))
    assert change is not None and (change.interval, change.p) == (None, None) and not change.star
    empty = Sample.of([COMMAS], [])
    assert values(empty) == [None]
    assert changes(empty, sample([("a", 3, 9)])) == changes(sample([("a", 3, 9)]), empty) == [None]
