"""Whether two results are the same rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from math import isclose
from typing import Any

Row = tuple[Any, ...]

_TOLERANCE = 1e-6  # of numbers that are not both whole, relative
_ARRANGEMENTS = 1_000
"""Arrangements of columns that are tried."""


def same(gold: Sequence[Row], rows: Sequence[Row], blocks: Sequence[int] | None) -> bool:
    """Whether two results of as many rows and columns are the same.

    Columns may stand in any order, their names do not count. Rows are a multiset; with `blocks`, the ends of stretches
    of the gold result, they are one in each stretch.
    """
    stretches = list(pairwise([0, *(blocks or [len(gold)])]))
    if all(_same_multiset(gold[a:b], rows[a:b]) for a, b in stretches):
        return True
    for order in _arrangements(gold, rows):
        arranged = [tuple(row[i] for i in order) for row in rows]
        if all(_same_multiset(gold[a:b], arranged[a:b]) for a, b in stretches):
            return True
    return False


def blocks_of(rows: Sequence[Row], up: Sequence[Row], down: Sequence[Row]) -> list[int]:
    """The ends of the stretches within which the order of `rows` is open, from the same query with ties broken once
    up and once down. Empty where the three do not hold the same rows, as when a limit cuts through ties."""
    ends = []
    balance: Counter[Any] = Counter()
    for number, (one, other) in enumerate(zip(up, down, strict=False), 1):
        balance[repr(one)] += 1
        balance[repr(other)] -= 1
        for row in (one, other):
            if not balance[repr(row)]:
                del balance[repr(row)]
        if not balance:
            ends.append(number)
    whole = len(up) == len(down) == len(rows) and not balance
    return ends if whole and Counter(map(repr, up)) == Counter(map(repr, rows)) else []


def _arrangements(gold: Sequence[Row], rows: Sequence[Row]) -> Iterator[tuple[int, ...]]:
    """For each column of the gold result one of the other's, each taken once, that holds the same values."""
    width = len(gold[0]) if gold else 0
    columns = [list(column) for column in zip(*rows, strict=True)]
    fitting = [
        [j for j in range(width) if _same_multiset([(value,) for value in column], [(value,) for value in columns[j]])]
        for column in zip(*gold, strict=True)
    ]

    def extended(chosen: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(chosen) == width:
            yield chosen
            return
        for j in fitting[len(chosen)]:
            if j not in chosen:
                yield from extended((*chosen, j))

    return islice(extended(()), _ARRANGEMENTS)


def _same_multiset(one: Sequence[Row], other: Sequence[Row]) -> bool:
    if len(one) != len(other):
        return False
    if Counter(one) == Counter(other):
        return True
    pairs = zip(sorted(one, key=_key), sorted(other, key=_key), strict=True)
    return all(all(map(_same_value, a, b)) for a, b in pairs)


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
        return numbers and isclose(a, b, rel_tol=_TOLERANCE, abs_tol=1e-12)
    return type(a) is type(b) and bool(a == b)


def _key(row: Row) -> tuple[Any, ...]:
    """Sorts rows of any values; numbers that differ by a trifle come side by side."""
    return tuple(map(_rank, row))


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, (int, float)):
        return 1, float(f"{value:.6g}")
    return (2, value) if isinstance(value, str) else (3, value)
