"""Whether what a program printed, or a function gave, is what was expected."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import Any


def difference(printed: str, expected: str) -> str:
    """Where two outputs differ; "" where they do not.

    Blanks around the whole and around each line do not count, neither does how a number is spelled: lines that differ
    as text are the same where both are numbers only, as many, each equal to its counterpart (1.0 and 1, 1e3 and 1000;
    exactly: there is no tolerance). This is how LiveCodeBench compares.
    """
    pairs = zip_longest(printed.strip().split("\n"), expected.strip().split("\n"))
    for number, (ours, theirs) in enumerate(pairs, 1):
        if ours is None or theirs is None:
            return f"line {number} is {'missing' if ours is None else 'one too many'}"
        if ours.strip() != theirs.strip() and not _same_numbers(ours, theirs):
            return f"line {number} is {_short(ours)}, not {_short(theirs)}"
    return ""


def same_value(given: Any, expected: Any) -> bool:
    """Whether a function's value is the expected one, which JSON spelled: tuples are lists there."""
    try:
        return bool(_as_lists(given) == expected)
    except RecursionError:  # the expected one is not as deep, or could not have been read
        return False


def _same_numbers(ours: str, theirs: str) -> bool:
    try:
        left, right = ([Decimal(token) for token in line.split()] for line in (ours, theirs))
        return left == right
    except InvalidOperation:  # no number, or one that must not be compared
        return False


def _as_lists(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_as_lists(each) for each in value]
    if isinstance(value, dict):
        return {key: _as_lists(each) for key, each in value.items()}
    return value


def _short(text: str) -> str:
    shown = repr(text.strip())
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
