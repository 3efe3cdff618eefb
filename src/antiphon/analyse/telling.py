"""A comparison as people read it: the same rows, figures and words in a terminal, on a page, in a notebook.

Texts may hold whatever models wrote and are to be made safe by who shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from antiphon.analyse.report import (
    BELOW,
    Change,
    Comparison,
    Contribution,
    Distance,
    Drift,
    Row,
    SideAbout,
    Table,
    Value,
)
from antiphon.plural import many
from antiphon.statistics import Interval
from antiphon.trace import Author

HABITS = "habits"
"""The table of which only rows that differ by more than chance are told."""

_MOST_HABITS = 15
_TRACES = 3
_LOOKED_INTO = ("outcomes", "lengths", "likelihood", HABITS)
_WIDE = 60  # characters of a name in the legend


class Grid(NamedTuple):
    """A table to be read.

    Attributes:
        about: what is measured, a sentence.
        head: over the columns after the first.
        rows: each begins with its name and has a text for each column, "" where there is nothing to say.
        below: what else is to be said of it.
    """

    title: str
    about: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: str = ""


def letters(made: Comparison) -> list[str]:
    """What the sides are called in tables."""
    return [chr(ord("A") + number) if number < 26 else str(number + 1) for number in range(len(made.sides))]


def legend(made: Comparison) -> list[str]:
    """What the letters stand for, and by what was measured: a line each."""
    lines = [f"{letter}  {_side(about)}" for letter, about in zip(letters(made), made.sides, strict=True)]
    if made.under:
        lines.append(f"   likelihood under {made.under}")
    if made.marks:
        lines.append(f"   style marked by {made.marks} where the record does not tell it")
    return lines


def star(made: Comparison) -> str:
    """What a star stands for, "" where there can be none."""
    if len(made.sides) < 2:
        return ""
    return f"* more than chance: p below {BELOW} with all rows of the table considered"


def grids(made: Comparison, *, intervals: bool) -> Iterator[Grid]:
    """All tables, then the drifts.

    Args:
        intervals: behind differences; they take space.
    """
    for table in made.tables:
        if table.name != HABITS or len(made.sides) > 1:
            yield _table(made, table, intervals)
    for drift in made.drifts:
        yield _drift(made, drift)


def places(made: Comparison) -> list[str]:
    """Where to look: the traces that make the differences that are more than chance, a line for each difference."""
    return [
        f"{letter}, {row.name}: {', '.join(place_of(made, part) for part in change.traces[:_TRACES])}"
        for table in made.tables
        for row in (sorted(table.rows, key=_sureness) if table.name in _LOOKED_INTO else ())
        for letter, change in zip(letters(made), row.changes, strict=True)
        if change is not None and change.star
    ]


def _side(about: SideAbout) -> str:
    models = ", ".join(model if role == Author.UNKNOWN else f"{role} {model}" for role, model in about.models.items())
    name = about.name if len(about.name) <= _WIDE else f"...{about.name[3 - _WIDE :]}"
    told = ", ".join(text for text in (name, about.method, models) if text)
    return f"{told}: {many(about.problems, 'problem')}, {many(about.traces, 'trace')}, {many(about.texts, 'text')} read"


def rows_of(table: Table) -> tuple[str, list[Row]]:
    """The title of a table and the rows to tell: all; of habits the surest of those that are more than chance."""
    if table.name != HABITS:
        return table.title, list(table.rows)
    starred = [row for row in table.rows if any(change is not None and change.star for change in row.changes)]
    surest = f"; the {_MOST_HABITS} surest" if len(starred) > _MOST_HABITS else ""
    title = f"{table.title} ({len(starred)} of {len(table.rows)} differ by more than chance{surest})"
    return title, sorted(starred, key=_sureness)[:_MOST_HABITS]


def _table(made: Comparison, table: Table, intervals: bool) -> Grid:
    """A table of all sides, with what each differs by from the first."""
    title, rows = rows_of(table)
    first, *others = letters(made)
    return Grid(
        title,
        table.about,
        (first, *others, *(f"{other} - {first}" for other in others)),
        tuple(
            (
                row.name,
                *(_value(row, value) for value in row.values),
                *(_change(row, change, intervals) for change in row.changes[1:]),
            )
            for row in rows
        ),
    )


def _drift(made: Comparison, drift: Drift) -> Grid:
    names = letters(made)
    same = "on the same problems" if drift.paired else "on other problems"
    below = ""
    if drift.telling and drift.distances[-1].star:
        below = "by: " + ", ".join(f"{name} {'+' if weight > 0 else '-'}" for name, weight in drift.telling)
    return Grid(
        f"Drift of {names[drift.side]} from {names[0]}",
        f"{drift.first:,} and {drift.second:,} texts {same}; 0 bits and a similarity of 1 are alike, told apart 0.5.",
        ("", "95% interval", "by chance", "p"),
        tuple((one.name, *_distance(one, one.value)) for one in drift.distances if one.value is not None),
        below,
    )


def _distance(one: Distance, value: float) -> Iterator[str]:
    yield f"{value:.3f}{'*' if one.star else ''}"
    yield between(one.interval, lambda bound: f"{bound:.3f}") if one.interval else ""
    yield "" if one.chance is None else f"{one.chance:.3f}"
    yield "" if one.p is None else chance(one.p)


def chance(p: float) -> str:
    """A p."""
    return f"{p:.2g}" if p >= 0.001 else "<0.001"


def _sureness(row: Row) -> tuple[float, float]:
    """The least p of a row, and of those with the same how many times its interval the difference is."""
    held: Sequence[Change] = [change for change in row.changes if change is not None and change.p is not None]
    widths = [(change, change.interval.high - change.interval.low) for change in held if change.interval is not None]
    return (
        min((change.p for change in held if change.p is not None), default=1.0),
        -max((abs(change.difference) / width for change, width in widths if width > 0), default=0.0),
    )


def place_of(made: Comparison, part: Contribution) -> str:
    """A trace by the letter of its side and its key there."""
    place = made.sides[part.side].place
    return f"{letters(made)[part.side]} {part.key.removeprefix(f'{place}:')}"


def _value(row: Row, value: Value | None) -> str:
    return "-" if value is None else number(row.unit, value.value)


def _change(row: Row, change: Change | None, intervals: bool) -> str:
    if change is None:
        return ""
    told = number(row.unit, change.difference, signed=True) + ("*" if change.star else "")
    if change.interval is None or not intervals:
        return told
    return f"{told} ({between(change.interval, lambda bound: number(row.unit, bound, signed=True))})"


def between(interval: Interval, form: Callable[[float], str]) -> str:
    """An interval, its bounds as they are formed."""
    return f"{form(interval.low)} to {form(interval.high)}"


def number(unit: str, value: float, *, signed: bool = False) -> str:
    """A figure of a row (`Row.unit`); signed: a difference of two."""
    sign = "+" if signed else ""
    if unit == "share":
        return f"{100 * value:{sign}.1f}" + ("" if signed else "%")
    if unit == "money":
        return f"{value:{sign}.4g}"
    digits = 3 if "nats" in unit else 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return f"{value:{sign},.{digits}f}"
