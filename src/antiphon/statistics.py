"""pass@k, how sure a mean over problems is, and whether two models differ on the same problems.

Problems are what is drawn: an interval says how the figure might have come out with other problems of their kind and
other samples of the model. Where models were trained several times, seeds are drawn, too (`crossed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb, exp, lgamma, log, log1p, pi, sqrt
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_RESAMPLES = 10_000
_FLIPS = 50_000
_SHUFFLES = 20_000
_GROUP = 1_000  # of them at once, so that memory does not grow with their number
_NEAR = 1e-9  # sums of the same shares differ by less, different ones by more
_TERMS = 1_000  # of a continued fraction that needs some tens
_STEPS = 100  # of Newton's method, which needs ten

_Array = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """The bounds of an interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """By how much a first model is ahead of a second on the same problems: the mean over problems, its interval, and
    how often chance alone would make it as large in either direction."""

    mean: float
    interval: Interval
    p: float


def pass_at_k(samples: int, right: int, k: int) -> float:
    """The chance that among k of a problem's samples, drawn without putting back, one is right.

    It is 1 - C(n - c, k) / C(n, k), the unbiased estimate of Chen et al. 2021 (arXiv:2107.03374, section 2.1). All is
    in whole numbers but the last division, so nothing overflows or cancels.

    Raises:
        ValueError: there are fewer than k samples, or not 0 <= right <= samples.
    """
    if not (1 <= k <= samples and 0 <= right <= samples):
        raise ValueError(f"no pass@{k} of {samples} samples with {right} right")
    draws = comb(samples, k)
    return (draws - comb(samples - right, k)) / draws


def mean_interval(
    values: Sequence[float],
    *,
    least: float = 0.0,
    most: float = 1.0,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> Interval:
    """An interval for the mean of what problems come to, one value each.

    A bootstrap that draws problems, bias-corrected and accelerated (BCa; Efron 1987), since rates near 0 or 1 are
    skewed. Where all values are alike no resample differs; then it is what a kind of problem may come to that is so
    rare that it would be missed (for values of 0 or 1 the exact interval of Clopper and Pearson). Equal values, in
    whatever order, and seed give equal intervals.

    Args:
        least, most: between which a value lies at all.
        level: how often the interval is to hold the true mean.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("an interval of no values")
    given = np.sort(np.asarray(values, dtype=np.float64))  # or sums would differ in their last bits
    mean, tail = float(given.mean()), (1 - level) / 2
    spread = given - mean
    if np.abs(spread).max() < _NEAR:
        seen = tail ** (1 / len(given))  # the least share of problems that would all be drawn with this probability
        return Interval(mean * seen + least * (1 - seen), mean * seen + most * (1 - seen))
    means = np.concatenate([*_resampled(given, np.random.default_rng(seed), resamples)])
    normal = NormalDist()
    below = float(((means < mean - _NEAR).mean() + (means <= mean + _NEAR).mean()) / 2)
    bias = normal.inv_cdf(min(max(below, 1 / resamples), 1 - 1 / resamples))
    acceleration = float((spread**3).sum() / (6 * (spread**2).sum() ** 1.5))
    shifted = (bias + normal.inv_cdf(share) for share in (tail, 1 - tail))
    shares = [normal.cdf(bias + z / (1 - acceleration * z)) for z in shifted]
    low, high = np.quantile(means, shares)
    return Interval(float(low), float(high))


def difference(first: Sequence[float], second: Sequence[float], *, level: float = 0.95, seed: int = 0) -> Difference:
    """How two models compare on the same problems, one value from 0 to 1 a problem and model.

    `p` is of a paired permutation test: under chance alone the two values of a problem might as well be exchanged.

    Raises:
        ValueError: there are not as many values of one as of the other, or none.
    """
    apart = [a - b for a, b in zip(first, second, strict=True)]
    interval = mean_interval(apart, least=-1.0, level=level, seed=seed)
    return Difference(sum(apart) / len(apart), interval, _chance(apart, seed))


def crossed(
    values: Sequence[Sequence[float]], *, least: float = -1.0, most: float = 1.0, level: float = 0.95
) -> Difference:
    """The mean of what each seed came to on each problem, where all seeds met the same problems: how it might have come
    out with other seeds and other problems. `p` is of the hypothesis that the mean is 0.

    Seeds and problems are both drawn, so the variance of the mean is that of the seeds' means plus that of the
    problems' means, which counts what belongs to neither twice: never too small. The interval is Student's t, its
    degrees of freedom after Satterthwaite (1946): those of the few seeds if these differ much, those of the many
    problems if not. A bootstrap of five seeds would be too narrow by a third. Where all values are alike, problems
    alone decide, as in `mean_interval`; so they do where there is one seed.

    Args:
        values: a row for each seed, a column for each problem.
        least, most: between which a value lies at all.
        level: how often the interval is to hold the true mean.

    Raises:
        ValueError: there are no values, or not as many of one seed as of another.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError("no table of seeds and problems")
    mean = float(table.mean())
    sides = (table.mean(axis=1), table.mean(axis=0))
    parts = [(float(means.var(ddof=1)) / len(means), len(means) - 1) for means in sides if len(means) > 1]
    variance = sum(part for part, _ in parts)
    if variance < _NEAR**2:
        alike = sides[1].tolist()
        chance = 1.0 if abs(mean) < _NEAR else 0.5 ** (len(alike) - 1)  # of the exchanges of each problem's sides
        return Difference(mean, mean_interval(alike, least=least, most=most, level=level), chance)
    freedom = variance**2 / sum(part**2 / less for part, less in parts)
    reach = _student_quantile(1 - level, freedom) * sqrt(variance)
    interval = Interval(max(least, mean - reach), min(most, mean + reach))
    return Difference(mean, interval, student_tails(mean / sqrt(variance), freedom))


def student_tails(t: float, freedom: float) -> float:
    """How often Student's t of so many degrees of freedom (not always a whole number) is as far from 0 in either
    direction."""
    return _beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def _student_quantile(tails: float, freedom: float) -> float:
    """The t whose tails these are, by Newton's method: tails are convex and heavier than the normal distribution's, so
    that it comes from the left and never goes too far."""
    t = NormalDist().inv_cdf(1 - tails / 2)
    scale = lgamma((freedom + 1) / 2) - lgamma(freedom / 2) - log(freedom * pi) / 2
    for _ in range(_STEPS):
        density = exp(scale - (freedom + 1) / 2 * log1p(t * t / freedom))
        further = (student_tails(t, freedom) - tails) / (2 * density)
        t += further
        if further < _NEAR * t:
            break
    return t


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by the continued fraction of DLMF 8.17.22."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction is slow, its mirror image is fast
        return 1 - _beta(1 - x, b, a)
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = 1 + term / c, 1 / (1 + term * d)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return fraction * exp(a * log(x) + b * log(1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)) / a


def rank_correlation(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> tuple[float, float] | None:
    """Spearman's rank correlation, and how often it is as far from 0 if one side is shuffled. None: there are fewer
    than three, or all of one side are alike.

    Raises:
        ValueError: there are not as many of one as of the other.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values beside {len(second)}")
    ranked = [ranks(np.asarray(side, dtype=np.float64)) for side in (first, second)]
    if len(first) < 3 or any(np.ptp(side) == 0 for side in ranked):
        return None
    one, other = ((side - side.mean()) / np.linalg.norm(side - side.mean()) for side in ranked)
    found = float(one @ other)
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(other, (_SHUFFLES, 1)), axis=1) @ one
    return found, float((1 + (np.abs(shuffled) >= abs(found) - _NEAR).sum()) / (1 + _SHUFFLES))


def ranks(values: _Array) -> _Array:
    """The ranks from 1; those of equal values are their mean."""
    ordered = np.sort(values)
    return np.asarray((ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right") + 1) / 2)


def _resampled(values: _Array, rng: np.random.Generator, resamples: int) -> Iterator[_Array]:
    """Means of as many draws as there are values. Most values are equal to others: their counts are what is drawn."""
    distinct, counts = _counted(values)
    for begun in range(0, resamples, _GROUP):
        drawn = rng.multinomial(len(values), counts / len(values), size=min(_GROUP, resamples - begun))
        yield drawn @ distinct / len(values)


def _chance(apart: Sequence[float], seed: int) -> float:
    """How often the sum is as far from 0 if each value's sign is drawn; at least once, which is what was seen."""
    given = np.asarray(apart, dtype=np.float64)
    sizes, counts = _counted(np.abs(given[np.abs(given) > _NEAR]))
    rng = np.random.default_rng(seed)
    reached = 0
    for _ in range(0, _FLIPS, _GROUP):
        positive = rng.binomial(counts, 0.5, size=(_GROUP, len(counts)))
        sums = (2 * positive - counts) @ sizes
        reached += int((np.abs(sums) >= abs(given.sum()) - _NEAR).sum())
    return (1 + reached) / (1 + _FLIPS)


def _counted(values: _Array) -> tuple[_Array, npt.NDArray[Any]]:
    """The distinct values, and how many there are of each."""
    return np.unique(np.round(values, 12), return_counts=True)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Probabilities of a family of tests, adjusted for how many they are: where those below 0.05 are called
    differences, the chance that any of them is none is below 0.05 (Holm 1979). None, where nothing was tested, stays
    None."""
    order = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    reached = 0.0
    for rank, (p, place) in enumerate(order):
        reached = max(reached, min(1.0, p * (len(order) - rank)))
        adjusted[place] = reached
    return adjusted
