"""pass@k against counting it out, intervals against data of which the truth is known, p against every exchange."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.statistics import difference, holm, mean_interval, pass_at_k

REPETITIONS = 200


@pytest.mark.parametrize("samples", range(1, 9))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(samples: int) -> None:
    for right in range(samples + 1):
        marks = [True] * right + [False] * (samples - right)
        for k in range(1, samples + 1):
            drawn = [any(subset) for subset in combinations(marks, k)]
            assert pass_at_k(samples, right, k) == pytest.approx(sum(drawn) / len(drawn), abs=1e-15)


@given(st.integers(1, 3000), st.data())
def test_pass_at_k_of_many_samples_is_exact(samples: int, data: st.DataObject) -> None:
    right, k = data.draw(st.integers(0, samples)), data.draw(st.integers(1, samples))
    exact = 1 - Fraction(comb(samples - right, k), comb(samples, k))
    assert pass_at_k(samples, right, k) == float(exact)


def test_pass_at_1_is_the_share_and_its_mean_over_draws_is_unbiased() -> None:
    assert pass_at_k(8, 3, 1) == 3 / 8
    rng = random.Random(5)
    drawn = [pass_at_k(6, sum(rng.random() < 0.3 for _ in range(6)), 4) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(1 - 0.7**4, abs=0.01)


@pytest.mark.parametrize(("samples", "right", "k"), [(4, 0, 5), (4, 5, 1), (4, -1, 1), (4, 2, 0), (0, 0, 1)])
def test_pass_at_k_of_nonsense_is_refused(samples: int, right: int, k: int) -> None:
    with pytest.raises(ValueError, match="no pass@"):
        pass_at_k(samples, right, k)


def made_up(rng: np.random.Generator, problems: int, samples: int, k: int, shape: tuple[float, float]) -> list[float]:
    """What problems come to whose chances are Beta-distributed: their pass@k."""
    chances = rng.beta(*shape, size=problems)
    return [pass_at_k(samples, int(right), k) for right in rng.binomial(samples, chances)]


def truth(k: int, shape: tuple[float, float]) -> float:
    """The mean of 1 - (1 - p)^k over Beta(a, b)."""
    a, b = shape
    missed = 1.0
    for step in range(k):
        missed *= (b + step) / (a + b + step)
    return 1 - missed


@pytest.mark.parametrize(
    ("problems", "samples", "k", "shape"),
    [(60, 4, 1, (0.6, 0.9)), (60, 8, 4, (0.3, 1.5)), (150, 1, 1, (0.4, 2.0)), (30, 4, 1, (1.0, 1.0))],
)
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_hold_the_truth_as_often_as_they_say(
    problems: int, samples: int, k: int, shape: tuple[float, float], level: float
) -> None:
    rng = np.random.default_rng(7)
    held = 0
    for repetition in range(REPETITIONS):
        values = made_up(rng, problems, samples, k, shape)
        low, high = mean_interval(values, level=level, seed=repetition, resamples=2000)
        held += low <= truth(k, shape) <= high
    tolerance = 3.3 * (REPETITIONS * level * (1 - level)) ** 0.5  # of a binomial: 1 in 1,000 is outside
    assert abs(held - REPETITIONS * level) <= tolerance


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_of_differences_hold_the_truth_as_often_as_they_say(level: float) -> None:
    rng = np.random.default_rng(11)
    held = 0
    for repetition in range(REPETITIONS):
        chances = rng.beta(0.7, 0.7, size=60)
        better = chances + 0.3 * (1 - chances)
        apart = rng.binomial(4, better) / 4 - rng.binomial(4, chances) / 4
        low, high = mean_interval(list(apart), least=-1.0, level=level, seed=repetition, resamples=2000)
        held += low <= 0.15 <= high
    assert abs(held - REPETITIONS * level) <= 3.3 * (REPETITIONS * level * (1 - level)) ** 0.5


@given(st.integers(1, 200))
def test_where_all_is_alike_the_interval_is_the_exact_one(problems: int) -> None:
    """Clopper and Pearson: the bound is the chance at which what was seen has a probability of a fortieth."""
    low, high = mean_interval([1.0] * problems)
    assert high == 1.0 and low**problems == pytest.approx(0.025)
    low, high = mean_interval([0.0] * problems)
    assert low == 0.0 and (1 - high) ** problems == pytest.approx(0.025)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40))
def test_an_interval_lies_within_what_can_be_and_is_the_same_again(values: list[float]) -> None:
    low, high = mean_interval(values, resamples=500)
    assert 0 <= low <= high <= 1
    assert (low, high) == mean_interval(values[::-1], resamples=500)
    below, above = mean_interval([1 - value for value in values], resamples=500)
    assert 0 <= below <= above <= 1


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


@given(st.lists(st.tuples(*[st.sampled_from([0, 0.25, 0.5, 0.75, 1])] * 2), min_size=1, max_size=9))
def test_p_is_the_share_of_exchanges_that_come_out_as_far_apart(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    found = difference(first, second)
    apart = [a - b for a, b in pairs]
    sums = [
        sum(sign * d for sign, d in zip(signs, apart, strict=True)) for signs in product((1, -1), repeat=len(apart))
    ]
    exact = sum(abs(one) >= abs(sum(apart)) - 1e-9 for one in sums) / len(sums)
    assert found.mean == pytest.approx(sum(apart) / len(apart))
    assert found.p == pytest.approx(exact, abs=0.012)  # five standard errors of the draws
    assert found.interval.low <= found.interval.high


@pytest.mark.slow
def test_models_that_do_not_differ_are_seldom_said_to() -> None:
    rng = np.random.default_rng(3)
    said = 0
    for repetition in range(REPETITIONS):
        chances = rng.beta(0.5, 0.5, size=40)
        first, second = (list(rng.binomial(4, chances) / 4) for _ in range(2))
        said += difference(first, second, seed=repetition).p < 0.05
    assert said <= REPETITIONS * 0.05 + 3.3 * (REPETITIONS * 0.05 * 0.95) ** 0.5


def test_a_difference_is_signed() -> None:
    ahead, behind = [1.0, 0.75, 1.0, 0.5] * 10, [0.5, 0.5, 0.75, 0.5] * 10
    forth, back = difference(ahead, behind), difference(behind, ahead)
    assert forth.mean == pytest.approx(-back.mean) == pytest.approx(0.25)
    assert forth.interval.low > 0 > back.interval.high
    assert forth.p < 0.001 and back.p < 0.001
    assert difference(ahead, ahead).p == 1.0


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_a_family_of_tests_is_adjusted_in_order(ps: list[float | None]) -> None:
    adjusted = holm(ps)
    tested = [(p, q) for p, q in zip(ps, adjusted, strict=True) if p is not None and q is not None]
    assert [q is None for q in adjusted] == [p is None for p in ps]
    assert all(p <= q <= min(1.0, p * len(tested)) for p, q in tested)
    assert all(q <= r for p, q in tested for other, r in tested if p < other)


def test_the_smallest_of_a_family_is_multiplied_by_its_size() -> None:
    assert holm([0.04, 0.01, None, 0.02]) == pytest.approx([0.04, 0.03, None, 0.04], nan_ok=True)
