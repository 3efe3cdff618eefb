"""A pilot: sides that differ in one numeric setting alone, as curves over it.

A predictor's threshold is one, too, though it stands in the predictor's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from antiphon.analyse.report import Pilot, PilotCurve, Table
from antiphon.analyse.source import Side

CURVES = (
    ("ownership", "teacher's share of the thinking"),
    ("outcomes", "right"),
    ("likelihood", "style (L_Sty)"),
    ("cost", "tokens received"),
)
"""What is told over the setting: table and row."""

_USUAL = 0.5  # the threshold of a predictor whose id names none
_THRESHOLD = re.compile(r":threshold=([0-9.e+-]+)")
_OF_THRESHOLD = "boundary threshold"

_Place = tuple[str, ...]


def pilot(sides: Sequence[Side], tables: Sequence[Table]) -> Pilot | None:
    """The curves, if these sides are a pilot: at least two variants that differ in one numeric setting and in nothing
    else that shapes their text (in both roles alike, if it is one of both)."""
    shapings = [dict(_leaves(side.variant.shaping)) for side in sides if side.variant is not None]
    if len(shapings) != len(sides) or len(sides) < 2:
        return None
    places = list(dict.fromkeys(place for shaping in shapings for place in shaping))
    columns: dict[_Place, list[Any]] = {
        place: [shaping.get(place, _missing(place)) for shaping in shapings] for place in places
    }
    apart = {place: column for place, column in columns.items() if any(value != column[0] for value in column)}
    if not apart or not all(_is_number(value) for column in apart.values() for value in column):
        return None
    (at, *others), names = [[*map(float, column)] for column in apart.values()], {place[-1] for place in apart}
    if len(set(at)) < len(at) or len(names) > 1 or any(other != at for other in others):
        return None
    order = sorted(range(len(at)), key=at.__getitem__)
    rows = {(table.name, row.name): row for table in tables for row in table.rows}
    found = [row for wanted in CURVES if (row := rows.get(wanted)) is not None]
    return Pilot(
        names.pop() if len(apart) > 1 else ".".join(next(iter(apart))),
        tuple(at[side] for side in order),
        tuple(order),
        tuple(PilotCurve(row.name, row.unit, tuple(row.values[side] for side in order)) for row in found),
    )


def _leaves(value: Any, place: _Place = ()) -> Iterator[tuple[_Place, Any]]:
    """All that a variant's text depends on, each with its place; a threshold apart from its predictor."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*place, name))
    elif isinstance(value, str) and (found := _THRESHOLD.search(value)):
        yield place, value.replace(found[0], "")
        yield (*place[:-1], _OF_THRESHOLD), float(found[1])
    else:
        yield place, value


def _missing(place: _Place) -> float | None:
    return _USUAL if place[-1:] == (_OF_THRESHOLD,) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
