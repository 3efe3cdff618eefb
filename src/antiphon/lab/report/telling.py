"""Differences and shares as a report writes them."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.analyse.telling import chance, number
from antiphon.lab.report.findings import Contrast


def told(one: Contrast) -> str:
    """A difference with its interval, its corrected p, and of several seeds how many share its sign."""
    agree = sum(value * one.mean > 0 for value in one.seeds.values())
    side = "above" if one.mean > 0 else "below"
    seeds = f", {agree} of {len(one.seeds)} seeds {side} 0" if one.mean and len(one.seeds) > 1 else ""
    return f"{points(one.mean)} points ({between(one.low, one.high)}; p {chance(one.adjusted)}{seeds})"


def brief(one: Contrast) -> str:
    """A difference with its interval, within brackets."""
    return f"{points(one.mean)}, {between(one.low, one.high)}"


def where(one: Contrast) -> str:
    """At which point it is measured."""
    return "in the mean of the curve" if one.step is None else f"after {one.step} steps"


def rated(rate: float) -> str:
    """A learning rate, as recipes write it: 1e-4."""
    digits, power = f"{rate:e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"


def points(value: float) -> str:
    """A difference of shares, in points."""
    return number("share", value, signed=True)


def between(low: float, high: float) -> str:
    """The bounds of a difference."""
    return f"{points(low)} to {points(high)}"


def share(value: float) -> str:
    """A share, in per cent."""
    return number("share", value)


def listed(names: Iterable[str]) -> str:
    """Names one after the other: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def star(one: Contrast) -> str:
    """Marks a difference that is more than chance, with all tests of its table considered."""
    return "*" if one.verdict else ""
