"""Ratios over problems: what a set of texts comes to, by how much two sets differ, and which texts make the difference.

A measure has of each text a numerator and a denominator (commas and words, say); a set comes to the ratio of their
sums. Every problem counts the same, however many texts it has: a text weighs 1 over their number. Problems are what is
drawn in intervals and dealt out in tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from antiphon.analyse.report import Change, Contribution, Value
from antiphon.statistics import Interval, difference, mean_interval

_RESAMPLES = 1000
_DEALS = 9_999
_GROUP = 1_000  # of them at once, so that memory does not grow with their number
_NEAR = 1e-9
_SHOWN = 20
_LEVEL = 0.95

Array = npt.NDArray[np.float64]
Measures = Mapping[str, tuple[float, float]]
"""Of one text: numerator and denominator by the name of the measure; left out where there is nothing to measure."""


class Measure(NamedTuple):
    """What is measured: its name, the unit of the ratio times `scale`, and whether each text has 0 or 1 over 1."""

    name: str
    unit: str = ""
    scale: float = 1.0
    rate: bool = False


@dataclass(frozen=True)
class Sample:
    """Measured texts of one side: their keys and problems, and a row of numerators and denominators for each."""

    keys: Sequence[str]
    problems: Sequence[str]
    measures: Sequence[Measure]
    numerators: Array
    denominators: Array

    @classmethod
    def of(cls, measures: Sequence[Measure], texts: Sequence[tuple[str, str, Measures]]) -> Sample:
        """From texts, each its key, its problem and what was measured of it."""
        many = Counter(problem for _, problem, _ in texts)
        table = np.zeros((2, len(texts), len(measures)))
        for row, (_, problem, found) in enumerate(texts):
            for column, measure in enumerate(measures):
                numerator, denominator = found.get(measure.name, (0.0, 0.0))
                table[:, row, column] = numerator / many[problem], denominator / many[problem]
        return cls([key for key, _, _ in texts], [problem for _, problem, _ in texts], measures, *table)

    def only(self, problems: Collection[str]) -> Sample:
        """The texts of these problems."""
        kept = [row for row, problem in enumerate(self.problems) if problem in problems]
        return Sample(
            [self.keys[row] for row in kept],
            [self.problems[row] for row in kept],
            self.measures,
            self.numerators[kept],
            self.denominators[kept],
        )

    @cached_property
    def by_problem(self) -> tuple[list[str], Array, Array]:
        """The problems, sorted, and the sums of each."""
        names = sorted(set(self.problems))
        place = {name: row for row, name in enumerate(names)}
        rows = [place[problem] for problem in self.problems]
        sums = np.zeros((2, len(names), len(self.measures)))
        np.add.at(sums[0], rows, self.numerators)
        np.add.at(sums[1], rows, self.denominators)
        return names, sums[0], sums[1]


def shared(first: Collection[str], second: Collection[str]) -> frozenset[str]:
    """The problems on which two sides are compared: those that both have, if these are at least half of the fewer;
    none, if each is to be compared on its own ones."""
    both = frozenset(first) & frozenset(second)
    return both if 2 * len(both) >= max(1, min(len(set(first)), len(set(second)))) else frozenset()


def values(sample: Sample) -> list[Value | None]:
    """What each measure comes to."""
    _, over, under = sample.by_problem
    there = (under > 0).sum(axis=0)
    found = _ratio(over.sum(axis=0), under.sum(axis=0))
    drawn = _draws(len(over)) if len(over) else np.zeros((1, 0))
    again = _ratio(drawn @ over, drawn @ under)
    made: list[Value | None] = []
    for column, measure in enumerate(sample.measures):
        problems = int(there[column])
        if not problems:
            made.append(None)
            continue
        value, interval = float(found[column]), _interval(again[:, column])
        if measure.rate:
            shares = _shares(over[:, column], under[:, column])
            value, interval = sum(shares) / problems, mean_interval(shares)
        made.append(Value(value * measure.scale, _scaled(interval, measure) if problems > 1 else None, problems))
    return made


def changes(first: Sample, second: Sample, sides: tuple[int, int] = (0, 1)) -> list[Change | None]:
    """By how much a second sample of the same measures lies above a first one.

    Where they share enough problems (`shared`) they are compared on these, problem by problem: a test exchanges the two
    sides of a problem. Else the problems are dealt out anew to both sides.

    Args:
        sides: the indices of both, for what the texts contribute.
    """
    both = shared(first.problems, second.problems)
    if both:
        first, second = first.only(both), second.only(both)
    if not first.keys or not second.keys:
        return [None] * len(first.measures)
    a, b = ((over, under) for _, over, under in (first.by_problem, second.by_problem))
    values = _differences(a, b)
    drawn = _draws(len(a[0]))
    again = drawn if both else _draws(len(b[0]), seed=1)
    intervals = _ratio(*(again @ sums for sums in b)) - _ratio(*(drawn @ sums for sums in a))
    ps = _chances(a, b, paired=bool(both))
    found: list[Change | None] = []
    for column, measure in enumerate(first.measures):
        there = [int((under[:, column] > 0).sum()) for _, under in (a, b)]
        if not all(there):
            found.append(None)
        elif measure.rate and both:
            found.append(_of_rates(first, second, column, sides))
        else:
            several = min(there) > 1
            change = Change(
                float(values[column]) * measure.scale,
                _scaled(_interval(intervals[:, column]), measure) if several else None,
                float(ps[column]) if several else None,
                bool(both),
                min(there),
                _contributions(first, second, column, sides, paired=bool(both)),
            )
            found.append(change)
    return found


def _of_rates(first: Sample, second: Sample, column: int, sides: tuple[int, int]) -> Change | None:
    """Rates of the same problems, as evaluations are compared."""
    names, _, under = first.by_problem
    _, _, others = second.by_problem  # of the same problems
    there = {name for name, one, other in zip(names, under[:, column], others[:, column], strict=True) if one and other}
    if not there:
        return None
    first, second = first.only(there), second.only(there)
    a, b = (_shares(*(sums[:, column] for sums in sample.by_problem[1:])) for sample in (first, second))
    measure, parts = first.measures[column], _contributions(first, second, column, sides, paired=True)
    made = difference(b, a)
    if len(there) < 2:
        return Change(made.mean * measure.scale, None, None, True, 1, parts)
    return Change(made.mean * measure.scale, _scaled(made.interval, measure), made.p, True, len(there), parts)


def _shares(over: Array, under: Array) -> list[float]:
    there = under > 0
    shares: list[float] = (over[there] / under[there]).tolist()
    return shares


_Sums = tuple[Array, Array]
"""Numerators and denominators: problems by measures."""


def _differences(a: _Sums, b: _Sums) -> Array:
    return _ratio(b[0].sum(axis=0), b[1].sum(axis=0)) - _ratio(a[0].sum(axis=0), a[1].sum(axis=0))


def _chances(a: _Sums, b: _Sums, *, paired: bool) -> Array:
    """How often each difference is as large if the sides are dealt out at random; at least once, which is what was
    seen."""
    rng = np.random.default_rng(0)
    size, pool = len(a[0]), [np.concatenate([one, other]) for one, other in zip(a, b, strict=True)]
    least = np.abs(_differences(a, b)) - _NEAR
    reached = np.zeros(len(least))
    for begun in range(0, _DEALS, _GROUP):
        dealt = deal(rng, min(_GROUP, _DEALS - begun), size, len(pool[0]), paired=paired)
        of_a = [dealt @ sums for sums in pool]
        of_b = [sums.sum(axis=0) - part for sums, part in zip(pool, of_a, strict=True)]
        reached += (np.abs(_ratio(*of_b) - _ratio(*of_a)) >= least).sum(axis=0)
    return np.asarray((1 + reached) / (1 + _DEALS))


def deal(rng: np.random.Generator, number: int, first: int, whole: int, *, paired: bool) -> Array:
    """Ways to deal out a pool to the first side, one a row: 1 for what it gets. The pool holds what belongs to the
    first side before what belongs to the second; paired: both in the same order of problems, which are exchanged."""
    if paired:
        kept = rng.random((number, first)) < 0.5
        return np.concatenate([kept, ~kept], axis=1).astype(np.float64)
    return (rng.random((number, whole)).argsort(axis=1) < first).astype(np.float64)


def _contributions(
    first: Sample, second: Sample, column: int, sides: tuple[int, int], *, paired: bool
) -> tuple[Contribution, ...]:
    """What each text adds to the difference: by how much its numerator differs from what both sides together would
    have at its denominator, over all denominators of its side. The sum over all texts is the difference.

    Paired: what a problem adds, which is nothing where both sides are alike, is halved between the texts of both.
    """
    samples = (first, second)
    over = [sample.numerators[:, column] for sample in samples]
    under = [sample.denominators[:, column] for sample in samples]
    both = sum(part.sum() for part in over) / sum(part.sum() for part in under)
    scale = first.measures[column].scale
    amounts = [
        sign * scale * (numerators - both * denominators) / denominators.sum()
        for sign, numerators, denominators in zip((-1, 1), over, under, strict=True)
    ]
    if paired:
        amounts = _halved(samples, amounts, under)
    parts: list[Contribution] = []
    for side, sample, amount in zip(sides, samples, amounts, strict=True):
        largest = np.argsort(-np.abs(amount), kind="stable")[:_SHOWN]
        parts += [Contribution(side, sample.keys[row], float(amount[row])) for row in largest if amount[row]]
    return tuple(sorted(parts, key=lambda part: -abs(part.amount))[:_SHOWN])


def _halved(samples: Sequence[Sample], amounts: Sequence[Array], under: Sequence[Array]) -> list[Array]:
    """Half of what each text adds, and its share, by denominator, of half of what the other side's texts on the same
    problem add; all where the other side has nothing there."""
    place = {name: row for row, name in enumerate(samples[0].by_problem[0])}
    rows = [np.array([place[problem] for problem in sample.problems]) for sample in samples]
    added, held = np.zeros((2, len(place))), np.zeros((2, len(place)))
    for side in (0, 1):
        np.add.at(added[side], rows[side], amounts[side])
        np.add.at(held[side], rows[side], under[side])
    halved = []
    for side, other in ((0, 1), (1, 0)):
        at = rows[side]
        shares = np.divide(under[side], held[side][at], out=np.zeros_like(under[side]), where=held[side][at] > 0)
        alone = held[other][at] == 0
        halved.append(np.where(alone, amounts[side], (amounts[side] + shares * added[other][at]) / 2))
    return halved


@lru_cache(maxsize=4)
def _draws(problems: int, *, seed: int = 0) -> Array:
    """How often each problem is drawn, in each of the resamples."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(problems, np.full(problems, 1 / problems), size=_RESAMPLES).astype(np.float64)


def _scaled(interval: Interval | None, measure: Measure) -> Interval | None:
    return None if interval is None else Interval(interval.low * measure.scale, interval.high * measure.scale)


def _ratio(over: Array, under: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.divide(over, under))


def _interval(drawn: Array) -> Interval | None:
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(low), float(high))
