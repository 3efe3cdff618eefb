"""The figures of a report, computed again from the results by other means."""

from __future__ import annotations

from functools import cache
from math import lgamma, pi, sqrt

import numpy as np
import numpy.typing as npt
import pytest

from antiphon.lab.report.findings import GAPS, LIKELIHOODS, OTHERS, Contrast, Findings
from antiphon.lab.report.measure import find
from antiphon.lab.results import BASE, Results
from tests.lab import synthetic
from tests.lab.synthetic import POINTS, TARGET, arm_data, drifted, results

Array = npt.NDArray[np.float64]

RATE = 1e-4
LEVEL = {("tessy_level", RATE): (0.6, 0.7, 0.9, 0.97), ("teacher_only_level", RATE): (0.3, 0.5, 0.8, 0.95)}
COSTS = {"teacher_only": 4.0, "tessy": 0.5, "student_only": 0.4}


@cache
def given() -> Results:
    curves = {
        **synthetic.CURVES,
        **{place: {TARGET: curve, "addition": (0.9,) * 4, "sorting": (0.9,) * 4} for place, curve in LEVEL.items()},
    }
    data = [arm_data(arm, seed, style=cost + seed / 100) for arm, cost in COSTS.items() for seed in range(5)]
    drift = [drifted("tessy", seed=seed, value=0.1 * seed) for seed in range(5)]
    return results(curves, data=data, drift=drift)


@cache
def found() -> Findings:
    return find(given())


def right(arm: str, rate: float | None, steps: tuple[int, ...], families: tuple[str, ...]) -> Array:
    """Seeds by problems: the mean over steps."""
    seeds = (0,) if arm == BASE else (0, 1, 2, 3, 4)
    rows = []
    for seed in seeds:
        of_steps = []
        for step in steps:
            marks: list[bool] = []
            for family in families:
                (one,) = [
                    e
                    for e in given().evaluations
                    if (e.arm, e.rate, e.seed, e.step, e.family) == (arm, rate, seed, step, family)
                ]
                marks += one.right
            of_steps.append(marks)
        rows.append(np.mean(of_steps, axis=0))
    return np.array(rows)


def less(first: str, second: str, rate: float, steps: tuple[int, ...], families: tuple[str, ...] = (TARGET,)) -> Array:
    other = right(second, None, (0,), families) if second == BASE else right(second, rate, steps, families)
    return right(first, rate, steps, families) - other


def tails(t: float, freedom: float) -> float:
    """Both tails of Student's t: one less the integral of its density, by Simpson's rule."""
    at = np.linspace(0, abs(t), 20_001)
    scale = np.exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(freedom * pi)
    density = scale * (1 + at**2 / freedom) ** (-(freedom + 1) / 2)
    weights = np.ones(len(at))
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return float(1 - 2 * (weights * density).sum() * (at[1] - at[0]) / 3)


def spread(table: Array) -> tuple[float, float]:
    """The standard error of a mean over seeds and problems and its degrees of freedom, from mean squares."""
    seeds, problems = table.shape
    squares = [
        (problems * ((table.mean(axis=1) - table.mean()) ** 2).sum() / (seeds - 1), seeds - 1),
        (seeds * ((table.mean(axis=0) - table.mean()) ** 2).sum() / (problems - 1), problems - 1),
    ]
    whole = sum(square for square, _ in squares)
    return sqrt(whole / table.size), whole**2 / sum(square**2 / freedom for square, freedom in squares)


def chance(table: Array) -> float:
    error, freedom = spread(table)
    return tails(float(table.mean()) / error, freedom)


def check(one: Contrast, table: Array, level: float = 0.95) -> None:
    error, freedom = spread(table)
    assert one.mean == pytest.approx(table.mean())
    assert one.p == pytest.approx(chance(table), abs=1e-8)
    assert (one.low + one.high) / 2 == pytest.approx(one.mean)
    assert tails((one.high - one.mean) / error, freedom) == pytest.approx(1 - level)
    assert [*one.seeds.values()] == pytest.approx(list(table.mean(axis=1)))
    assert one.problems == table.shape[1]


def test_what_decides_is_twelve_differences_corrected_together() -> None:
    primary = found().primary
    pairs = (("teacher_only", BASE), ("tessy", BASE), ("tessy", "teacher_only"))
    assert [(one.first, one.second, one.step) for one in primary] == [
        (*pair, step) for pair in pairs for step in POINTS
    ]
    for one in primary:
        assert one.step is not None
        check(one, less(one.first, one.second, RATE, (one.step,)))
    ordered = sorted(primary, key=lambda one: one.p)
    reached = 0.0
    for rank, one in enumerate(ordered):
        reached = max(reached, min(1.0, (12 - rank) * one.p))
        assert one.adjusted == pytest.approx(reached)
        assert one.verdict == (0 if reached >= 0.05 else np.sign(one.mean))


def test_other_tables_are_what_they_say() -> None:
    assert [(one.first, one.rate, one.step) for one in found().side] == [
        ("teacher_only", 3e-5, step) for step in POINTS
    ]
    for one in (*found().side, *found().every):
        check(one, less(one.first, one.second, one.rate, POINTS if one.step is None else (one.step,)))
    assert {one.first for one in found().every} == {arm for arm, _ in (*synthetic.CURVES, *LEVEL)}
    assert {(one.first, one.second, one.rate) for one in found().forgetting} == {
        *((arm, BASE, rate) for arm, rate in (*synthetic.CURVES, *LEVEL)),
        ("tessy", "teacher_only", RATE),
        ("tessy", "student_only", RATE),
    }
    for one in found().forgetting:
        check(one, less(one.first, one.second, one.rate, (300,), ("addition", "sorting")))
    for one in found().by_family:
        check(one, less(one.first, one.second, one.rate, (300,), (one.of,)))


def test_scores_are_means_with_the_least_and_most_of_seeds() -> None:
    for one in found().scores:
        families = ("addition", "sorting") if one.of == OTHERS else (one.of,)
        table = right(one.arm, one.rate, (one.step,), families)
        assert one.value == pytest.approx(table.mean())
        assert [*one.seeds.values()] == pytest.approx(list(table.mean(axis=1)))
        assert 0 <= one.low <= one.value <= one.high <= 1
    assert len(found().scores) == (1 + 4 * (len(synthetic.CURVES) + len(LEVEL))) * 4


def test_a_dip_is_the_lowest_point_with_an_interval_for_the_choice() -> None:
    for dip in found().dips:
        means = {step: right(dip.arm, dip.rate, (step,), (TARGET,)).mean() for step in POINTS}
        assert dip.value == pytest.approx(min(means.values())) == pytest.approx(means[dip.step])
        table = less(dip.arm, BASE, dip.rate, (dip.step,))
        error, freedom = spread(table)
        assert dip.mean == pytest.approx(table.mean()) == pytest.approx(dip.value - dip.base)
        assert tails((dip.high - dip.mean) / error, freedom) == pytest.approx(0.05 / 4)


def test_what_explains_the_gap_is_a_share_whose_bounds_the_test_just_accepts() -> None:
    gap, left = less("tessy", "teacher_only", RATE, POINTS), less("tessy_level", "teacher_only_level", RATE, POINTS)
    whole, (one,) = found().gap, found().gaps
    assert whole is not None and one.by == "length" and GAPS["length"] == (one.left.first, one.left.second)
    check(whole, gap)
    check(one.left, left)
    check(one.gone, gap - left)
    assert one.share is not None and one.low is not None and one.high is not None
    assert one.share == pytest.approx(1 - left.mean() / gap.mean())
    for bound in (one.low, one.high):
        assert chance(gap - left - bound * gap) == pytest.approx(0.05, abs=0.001)


def test_the_order_of_likelihood_and_dip_is_that_of_ranks_of_means() -> None:
    depths = {dip.arm: -dip.mean for dip in found().dips if dip.rate == RATE}
    main = found().style[0]
    assert main.measure == next(iter(LIKELIHOODS)) == "style part" and set(main.arms) == set(COSTS)
    ranks = [np.argsort(np.argsort([values[arm] for arm in main.arms])) for values in (COSTS, depths)]
    assert main.rho == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_data_and_form_are_means_over_seeds() -> None:
    data = {one.arm: one for one in found().data}
    assert set(data) == set(COSTS)
    for arm, cost in COSTS.items():
        one = data[arm]
        assert one.likelihood["style part"] == pytest.approx(cost + 0.02)
        assert (one.right, one.right_rows) == (441 / 490, 441 / 490)
        assert one.excluded == {"repetition": 50} and one.seeds == 5
    (form,) = found().form
    assert (form.figure, form.seeds) == ("style words", 5)
    assert (form.mean, form.least, form.most) == pytest.approx((0.2, 0.0, 0.4))
