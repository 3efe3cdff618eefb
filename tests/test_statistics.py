"""pass@k against counting it out, intervals against data of which the truth is known, p against every exchange."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations, permutations, product
from math import atan, comb, erfc, pi, sqrt

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.statistics import crossed, difference, holm, mean_interval, pass_at_k, rank_correlation, student_tails

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
@example([0.0, 1.0, *[0.0] * 4, *[0.25] * 3, 0.5, 1.0, 1.0, *[0.25] * 4, 0.5, 0.5, *[1.0] * 4])
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


@given(st.floats(0, 50))
def test_tails_of_student_are_those_that_can_be_written_down(t: float) -> None:
    """Closed forms of one, two and four degrees of freedom; the normal distribution for ever so many."""
    assert student_tails(t, 1) == pytest.approx(1 - 2 * atan(t) / pi, abs=1e-7)
    assert student_tails(t, 2) == pytest.approx(1 - t / sqrt(2 + t * t), abs=1e-7)
    share = t / sqrt(4 + t * t)
    assert student_tails(t, 4) == pytest.approx(1 - share * (3 - share**2) / 2, abs=1e-7)
    assert student_tails(t, 1e6) == pytest.approx(erfc(t / sqrt(2)), abs=1e-5)
    assert student_tails(-t, 5.5) == student_tails(t, 5.5)


@given(st.floats(1, 300), st.floats(0, 20), st.floats(0.001, 5))
def test_tails_of_student_fall(freedom: float, t: float, more: float) -> None:
    assert 0 <= student_tails(t + more, freedom) <= student_tails(t, freedom) <= 1
    assert student_tails(t, freedom + more) <= student_tails(t, freedom) + 1e-12 or t < 1


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_with_one_problem_seeds_are_a_plain_t_test_and_with_one_seed_problems_are(values: list[float]) -> None:
    by_seed, by_problem = crossed([[value] for value in values]), crossed([values])
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    assert by_seed.mean == by_problem.mean == pytest.approx(mean)
    if spread > 1e-6:
        assert by_seed == by_problem
        t = mean / (spread / sqrt(len(values)))
        assert by_seed.p == pytest.approx(student_tails(t, len(values) - 1), rel=1e-6)
        low, high = crossed([values], least=-1e9, most=1e9).interval
        assert student_tails((mean - low) / (spread / sqrt(len(values))), len(values) - 1) == pytest.approx(0.05)
        assert low + high == pytest.approx(2 * mean, abs=1e-6)


@given(st.integers(2, 6), st.integers(2, 30), st.randoms(use_true_random=False))
def test_seeds_and_problems_have_the_same_say_and_neither_order_has_any(
    seeds: int, problems: int, rng: random.Random
) -> None:
    table = np.array([[rng.choice((-1.0, 0.0, 1.0)) for _ in range(problems)] for _ in range(seeds)])
    found = crossed(table.tolist())
    again = crossed(table[rng.sample(range(seeds), seeds)][:, rng.sample(range(problems), problems)].tolist())
    for other in (again, crossed(table.T.tolist())):
        assert found.mean == pytest.approx(other.mean)
        if table.std() > 0:
            assert found.p == pytest.approx(other.p, abs=1e-9) and found.interval == pytest.approx(other.interval)
    assert -1 <= found.interval.low <= found.mean + 1e-9 and found.mean <= found.interval.high + 1e-9 <= 1 + 2e-9
    opposite = crossed((-table).tolist())
    assert opposite.mean == -found.mean and opposite.p == pytest.approx(found.p, abs=1e-9)


def test_seeds_that_differ_count_for_more_than_many_problems() -> None:
    apart = [[float(problem < seed * 40) for problem in range(200)] for seed in range(5)]
    alike = [[float(problem < 80) for problem in range(200)] for _ in range(5)]
    assert crossed(apart).mean == pytest.approx(crossed(alike).mean)
    wide, narrow = crossed(apart).interval, crossed(alike).interval
    assert wide.high - wide.low > 4 * (narrow.high - narrow.low)
    assert crossed(alike).p < 1e-6 < 0.04 < crossed(apart).p


def test_where_all_seeds_and_problems_are_alike_problems_decide() -> None:
    assert crossed([[0.0] * 40] * 5).p == 1.0
    assert crossed([[1.0] * 40] * 5).interval == mean_interval([1.0] * 40, least=-1.0)
    assert crossed([[1.0] * 40] * 5).p < 0.001


@pytest.mark.parametrize("nothing", [[], [[]], [[], []]])
def test_no_table_is_refused(nothing: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="no table"):
        crossed(nothing)
    with pytest.raises(ValueError):
        crossed([[0.0, 1.0], [0.0]])


def trained(rng: np.random.Generator, seeds: int, problems: int, spread: float, gain: float) -> list[list[float]]:
    """Students of several seeds less one base on the same problems: a seed, a problem and both together have a part in
    whether an answer is right."""
    hard = rng.normal(0, 1, problems)
    luck = rng.normal(0, spread, (seeds, 1))

    def right(logit: np.ndarray) -> np.ndarray:
        return (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(float)

    return list((right(gain + luck + hard + rng.normal(0, 0.5, (seeds, problems))) - right(2 * hard)).tolist())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "problems", "spread", "gain"),
    [(5, 200, 0.3, 0.0), (5, 200, 1.0, 0.0), (5, 200, 0.5, -2.0), (5, 40, 0.3, 2.0), (3, 200, 0.3, 0.0)],
)
def test_intervals_over_seeds_and_problems_hold_the_truth_as_often_as_they_say(
    seeds: int, problems: int, spread: float, gain: float
) -> None:
    rng = np.random.default_rng(13)
    many = np.mean([np.mean(trained(rng, 1, 200_000, 0.0, gain + luck)) for luck in rng.normal(0, spread, 200)])
    repetitions, held = 1000, 0
    for _ in range(repetitions):
        found = crossed(trained(rng, seeds, problems, spread, gain))
        held += found.interval.low <= many <= found.interval.high
    assert held >= repetitions * 0.95 - 3.3 * (repetitions * 0.95 * 0.05) ** 0.5
    assert held <= repetitions * 0.99


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=5))
def test_a_rank_correlation_is_that_of_ranks_and_its_p_is_counted_out(pairs: list[tuple[int, int]]) -> None:
    first, second = map(list, zip(*pairs, strict=True))
    found = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found is None
        return
    assert found is not None

    def rank(values: list[int]) -> list[float]:
        return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]

    def rho(one: list[float], other: list[float]) -> float:
        return float(np.corrcoef(one, other)[0, 1])

    exact = rho(rank(first), rank(second))
    assert found[0] == pytest.approx(exact)
    all_orders = [rho(rank(first), list(order)) for order in permutations(rank(second))]
    far = sum(abs(one) >= abs(exact) - 1e-9 for one in all_orders) / len(all_orders)
    assert found[1] == pytest.approx(far, abs=0.02)


def test_no_rank_correlation_of_two_or_of_unequal_numbers() -> None:
    assert rank_correlation([1, 2], [1, 2]) is None
    with pytest.raises(ValueError, match="beside"):
        rank_correlation([1, 2, 3], [1, 2])
