"""How well given classes of words agree with true ones: counts, figures made of them, and how sure these are.

A boundary is a word whose class differs from that of the word before it. It is found exactly if the true classes have
one of the same direction at that word, and nearly if they have one at most a word away; each counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_RESAMPLES = 1000
_LEVEL = 0.95


class Counts(NamedTuple):
    """What is counted in one text or many: words in all, words given as style, truly style, and both; boundaries given
    and true, found exactly and within one word."""

    words: int = 0
    given: int = 0
    true: int = 0
    right: int = 0
    cuts_given: int = 0
    cuts_true: int = 0
    exact: int = 0
    near: int = 0


class Figures(NamedTuple):
    """Shares from 0 to 1 made of counts; NaN where there was nothing to find.

    Attributes:
        precision, recall, style_f1: of style, by word.
        exact_f1: of boundaries, in their very place.
        near_f1: of boundaries, at most one word away.
        kappa: Cohen's, of the classes of words: 0 is chance, 1 full agreement.
    """

    precision: float
    recall: float
    style_f1: float
    exact_f1: float
    near_f1: float
    kappa: float


class Interval(NamedTuple):
    """The bounds of a percentile interval."""

    low: float
    high: float


def compare(given: Sequence[bool], true: Sequence[bool]) -> Counts:
    """Counts of one text.

    Raises:
        ValueError: there are not as many classes given as true ones.
    """
    cuts_given, cuts_true = _cuts(given), _cuts(true)
    return Counts(
        words=len(true),
        given=sum(given),
        true=sum(true),
        right=sum(g and t for g, t in zip(given, true, strict=True)),
        cuts_given=len(cuts_given),
        cuts_true=len(cuts_true),
        exact=_matched(cuts_given, cuts_true, 0),
        near=_matched(cuts_given, cuts_true, 1),
    )


def total(counts: Iterable[Counts]) -> Counts:
    """The sums over many texts."""
    return Counts(*(sum(column) for column in zip(Counts(), *counts, strict=True)))


def figures(counts: Counts) -> Figures:
    """The figures that counts come to."""
    return Figures(*map(float, _figures(np.array(counts, dtype=np.float64))))


def intervals(
    by_problem: Mapping[str, Counts], *, resamples: int = _RESAMPLES, level: float = _LEVEL, seed: int = 0
) -> dict[str, Interval]:
    """How far each figure might have come out otherwise with other problems: percentile intervals of a bootstrap that
    draws whole problems. Equal counts and seed give equal intervals.

    Args:
        by_problem: the counts of all texts of each problem.
        resamples: how many times to draw as many problems as there are.
        level: the share of the draws within the interval.

    Returns:
        An interval for each of the `Figures`, by name; none where fewer than two problems are there.
    """
    if len(by_problem) < 2:
        return {}
    counts = np.array([by_problem[problem] for problem in sorted(by_problem)], dtype=np.float64)
    drawn = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=resamples)
    values = _figures(drawn @ counts)
    bounds = {}
    for name, column in zip(Figures._fields, values, strict=True):
        known = column[~np.isnan(column)]
        if len(known):
            low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
            bounds[name] = Interval(float(low), float(high))
    return bounds


def _cuts(classes: Sequence[bool]) -> list[tuple[int, bool]]:
    return [(n, c) for n, c in enumerate(classes) if n and c != classes[n - 1]]


def _matched(given: Sequence[tuple[int, bool]], true: Sequence[tuple[int, bool]], within: int) -> int:
    """How many boundaries can be paired, from left to right."""
    pairs = 0
    for direction in (True, False):
        left = iter([n for n, c in true if c is direction])
        candidate = next(left, None)
        for n in (n for n, c in given if c is direction):
            while candidate is not None and candidate < n - within:
                candidate = next(left, None)
            if candidate is not None and candidate <= n + within:
                pairs += 1
                candidate = next(left, None)
    return pairs


def _figures(counts: npt.NDArray[np.float64]) -> tuple[Any, ...]:
    """`Figures` of one row of counts, or columns of them for many rows."""
    words, given, true, right, cuts_given, cuts_true, exact, near = np.moveaxis(counts, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        cuts = cuts_given + cuts_true
        observed = (words - given - true + 2 * right) / words
        expected = (given * true + (words - given) * (words - true)) / words**2
        return (
            right / given,
            right / true,
            2 * right / (given + true),
            2 * exact / cuts,
            2 * near / cuts,
            (observed - expected) / (1 - expected),
        )
