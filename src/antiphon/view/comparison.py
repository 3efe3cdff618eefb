"""A comparison made ready for pages: its charts, and what its templates need to tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from antiphon.analyse import telling
from antiphon.analyse.report import Comparison, Contribution, Drift, Pilot, Value
from antiphon.view.figures import Chart

_SCALES = {"share": (100, "%")}
_DIGITS = {"%": 1, "tokens": 0, "nats a token": 3}


def context(made: Comparison, link: Callable[[Contribution], str | None]) -> dict[str, Any]:
    """What `templates/_comparison.html` takes.

    Args:
        link: where a trace that contributes to a difference is shown, None: nowhere.
    """
    return {"made": made, "letters": telling.letters(made), "telling": telling, "comparison_charts": charts(made)} | {
        "link_of": link
    }


def most_telling(made: Comparison) -> Iterator[Contribution]:
    """The traces that make the differences, each once: those of the tables that are shown and of the drifts, the first
    of each difference, then the second of each, with those that are more than chance before the others."""
    starred: list[Sequence[Contribution]] = []
    others: list[Sequence[Contribution]] = []
    for table in made.tables:
        for row in telling.rows_of(table)[1]:
            for change in row.changes:
                if change is not None:
                    (starred if change.star else others).append(change.traces)
    for drift in made.drifts:
        for distance in drift.distances:
            (starred if distance.star else others).append(distance.traces)
    seen = set()
    for differences in (starred, others):
        for together in zip_longest(*differences):
            for part in together:
                if part is not None and (part.side, part.key) not in seen:
                    seen.add((part.side, part.key))
                    yield part


def charts(made: Comparison) -> list[Chart]:
    """Its charts, if there is anything to draw: over a setting, drift, likelihood along the response."""
    letters = telling.letters(made)
    found = [] if made.pilot is None else list(_of_pilot(made.pilot))
    if made.drifts:
        found.append(_of_drifts(made.drifts, letters))
    for curve in made.curves:
        sides = list(zip(*curve.points, strict=True))
        shown = [(letter, side) for letter, side in zip(letters, sides, strict=True) if any(side)]
        found.append(
            Chart(
                f"How likely along the response: {curve.title}",
                "Minus log-probability of a token in the mean, by tenths of the response's tokens; the shade is the 95%"
                " interval.",
                "line",
                "tenth of the response",
                tuple(float(tenth + 1) for tenth in range(len(curve.points))),
                tuple((letter, _values(side)) for letter, side in shown),
                "nats a token",
                _DIGITS["nats a token"],
                bounds=tuple(_bounds(side) for _, side in shown),
            )
        )
    return found


def _of_pilot(pilot: Pilot) -> Iterator[Chart]:
    for curve in pilot.curves:
        scale, unit = _SCALES.get(curve.unit, (1, curve.unit))
        yield Chart(
            f"{curve.name[0].upper()}{curve.name[1:]} by {pilot.setting}",
            "These sides differ in this setting alone; the shade is the 95% interval.",
            "line",
            pilot.setting,
            pilot.at,
            ((curve.name, _values(curve.values, scale)),),
            unit,
            _DIGITS.get(unit, 2),
            bounds=(_bounds(curve.values, scale),),
        )


def _of_drifts(drifts: Sequence[Drift], letters: Sequence[str]) -> Chart:
    names = list(dict.fromkeys(distance.name for drift in drifts for distance in drift.distances))
    of_sides = [{distance.name: distance for distance in drift.distances} for drift in drifts]
    rows = [[of.get(name) for name in names] for of in of_sides]
    return Chart(
        f"Drift from {letters[0]}",
        "A dot is the distance, a bar its 95% interval, a dash what chance alone comes to. Alike are 0 bits, a"
        " similarity of 1, and told apart 0.5.",
        "points",
        "distance",
        tuple(float(place) for place in range(len(names))),
        tuple(
            (letters[drift.side], tuple(None if one is None else one.value for one in row))
            for drift, row in zip(drifts, rows, strict=True)
        ),
        "bits, cosine, share",
        3,
        tuple(names),
        tuple(tuple(None if one is None else one.interval for one in row) for row in rows),
        tuple(tuple(None if one is None else one.chance for one in row) for row in rows),
    )


def _values(values: Sequence[Value | None], scale: float = 1) -> tuple[float | None, ...]:
    return tuple(None if value is None else scale * value.value for value in values)


def _bounds(values: Sequence[Value | None], scale: float = 1) -> tuple[tuple[float, float] | None, ...]:
    intervals = (None if value is None else value.interval for value in values)
    return tuple(None if one is None else (scale * one.low, scale * one.high) for one in intervals)
