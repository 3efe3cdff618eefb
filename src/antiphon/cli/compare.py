"""`antiphon compare`: sets of traces side by side, and how much of what differs is more than chance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table as Grid

from antiphon.cli import options
from antiphon.cli.reading import first
from antiphon.cli.terminal import print_json, say, show, visible, warn
from antiphon.trace import Author, Status

if TYPE_CHECKING:
    from antiphon.analyse.report import Change, Comparison, Contribution, Distance, Drift, Row, SideAbout, Table, Value
    from antiphon.analyse.source import Side
    from antiphon.settings import Settings
    from antiphon.statistics import Interval

_MOST = 400
_HABITS = 15  # of them that are more than chance
_TRACES = 3
_LOOKED_INTO = ("outcomes", "lengths", "likelihood", "habits")
_WIDE = 60  # characters of a name in the legend
_EVERY = 5.0  # seconds between two lines of progress


def compare(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="A B ...",
            help="Run directories, DIR:VARIANT, or files of traces; the others are held against the first.",
            show_default=False,
        ),
    ],
    under: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="How likely all is under this model: the student. A URL, a folder, lab:student."
        ),
    ] = None,
    boundary: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Who marks style where the record does not: a boundary as of synth, or none."
        ),
    ] = "default",
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="The texts of which traces; complete unless given. Repeatable."),
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, metavar="N", help="The texts of at most so many problems of each.")
    ] = _MOST,
    scores: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where likelihoods are kept, so that none is measured twice.", dir_okay=True),
    ] = Path("likelihoods"),
    config: options.Config = None,
    assignments: options.Assignments = None,
    json: options.Json = False,
) -> None:
    """Compares sets of traces: outcomes, lengths, authors, habits, drift, cost and likelihood.

    Example: antiphon compare runs/one:tessy runs/one:teacher_only --under lab:student

    A star marks what is more than chance, all rows of its table considered.
    Exit codes: 0 done, 2 wrong use, 3 a service or disk gave out, 130 interrupted; likelihoods are kept.
    """
    from antiphon.analyse.source import find

    statuses = options.statuses(status or [Status.COMPLETE], "--status")
    settings = _settings(under, config, options.assigned(assignments))
    sides = find(places)
    made = asyncio.run(
        _compare(sides, settings, None if boundary == "none" else boundary, statuses, most, scores, json)
    )
    if json:
        print_json(made.as_json())
    else:
        _tell(made)


def _settings(under: str | None, config: Path | None, given: dict[str, Any] | Any) -> Settings | None:
    """The model that measures, as a student is set; a model of this machine runs in this process, since the servers
    that are started for one do not tell likelihoods."""
    from antiphon.settings import load

    if under is None:
        return None
    here = {} if "://" in under else {"student.runs": "in-process"}
    return load(config, {"student.model": under, **here, **given})


async def _compare(
    sides: Sequence[Side],
    settings: Settings | None,
    boundary: str | None,
    statuses: Sequence[Status],
    most: int,
    scores: Path,
    quiet: bool,
) -> Comparison:
    import antiphon.boundary
    from antiphon.analyse.compare import compare
    from antiphon.analyse.likelihood import Scorer
    from antiphon.engine import models
    from antiphon.synth.cast import find_voice

    predictor = None if boundary is None else antiphon.boundary.load(boundary)
    engine = None
    try:
        scorer = None
        if settings is not None:
            role = settings.student
            engine = models.open_engine(
                role.model or "", device=role.device, context=role.context, runs=role.runs, server=role.server
            )
            await models.start([engine])
            scorer = Scorer(await find_voice(Author.STUDENT, engine, role), scores)
        return await compare(
            sides, statuses=statuses, most=most, predictor=predictor, scorer=scorer, done=_counting(quiet)
        )
    finally:
        if engine is not None:
            await engine.close()
        if predictor is not None:
            await predictor.close()


def _counting(quiet: bool) -> Callable[[], None]:
    """Says every few seconds how many texts were read."""
    number, said = 0, time.monotonic()

    def done() -> None:
        nonlocal number, said
        number += 1
        if not quiet and time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            say(f"{number:,} texts read")

    return done


def _tell(made: Comparison) -> None:
    for remark in made.remarks:
        warn(remark)
    for letter, about in zip(_letters(made), made.sides, strict=True):
        show(f"{letter}  {_side(about)}")
    if made.under:
        show(f"   likelihood under {visible(made.under)}")
    if made.marks:
        show(f"   style marked by {visible(made.marks)} where the record does not tell it")
    for table in made.tables:
        _tell_table(made, table)
    for drift in made.drifts:
        _tell_drift(made, drift)
    _tell_traces(made)
    if len(made.sides) > 1:
        show(f"\n* more than chance: p below {_below()} with all rows of the table considered")


def _below() -> float:
    from antiphon.analyse.report import BELOW

    return BELOW


def _letters(made: Comparison) -> list[str]:
    return [chr(ord("A") + number) if number < 26 else str(number + 1) for number in range(len(made.sides))]


def _side(about: SideAbout) -> str:
    models = ", ".join(model if role == Author.UNKNOWN else f"{role} {model}" for role, model in about.models.items())
    told = [_short(visible(about.name)), *(visible(text) for text in (about.method, models) if text)]
    return f"{', '.join(told)}: {about.problems:,} problems, {about.traces:,} traces, {about.texts:,} texts read"


def _tell_table(made: Comparison, table: Table) -> None:
    """A table of all sides, with what each differs by from the first; of habits those that are more than chance."""
    rows, note = list(table.rows), ""
    if table.name == "habits":
        starred = [row for row in rows if any(change is not None and change.star for change in row.changes)]
        starred.sort(key=_sureness)
        note = f" ({len(starred)} of {len(rows)} differ by more than chance"
        note += f"; the {_HABITS} surest)" if len(starred) > _HABITS else ")"
        rows = starred[:_HABITS]
        if len(made.sides) < 2:
            return
    letters = _letters(made)
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column("", no_wrap=True)
    for letter in letters:
        grid.add_column(letter, justify="right", no_wrap=True)
    for letter in letters[1:]:
        grid.add_column(f"{letter} - {letters[0]}", no_wrap=True)
    for row in rows:
        cells = (_value(row, value) for value in row.values)
        grid.add_row(visible(row.name), *cells, *(_change(row, change, len(letters)) for change in row.changes[1:]))
    show(f"\n{table.title}{note}")
    show(f"  {table.about}")
    if rows:
        show(Padding(grid, (0, 0, 0, 2), expand=False))


def _sureness(row: Row) -> tuple[float, float]:
    """The least p of a row, and of those with the same how many times its interval the difference is."""
    held = [change for change in row.changes if change is not None and change.p is not None]
    widths = [(change, change.interval.high - change.interval.low) for change in held if change.interval is not None]
    return (
        min((change.p for change in held if change.p is not None), default=1.0),
        -max((abs(change.difference) / width for change, width in widths if width > 0), default=0.0),
    )


def _tell_drift(made: Comparison, drift: Drift) -> None:
    letters = _letters(made)
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column("")
    for column in ("", "95% interval", "by chance", "p"):
        grid.add_column(column, justify="right", no_wrap=True)
    for one in drift.distances:
        if one.value is not None:
            grid.add_row(one.name, *_distance(one))
    same = "on the same problems" if drift.paired else "on other problems"
    show(f"\nDrift of {letters[drift.side]} from {letters[0]}")
    show(
        f"  {drift.first:,} and {drift.second:,} texts {same}; 0 bits and a similarity of 1 are alike, told apart 0.5."
    )
    show(Padding(grid, (0, 0, 0, 2), expand=False))
    if drift.telling and drift.distances[-1].star:
        told = ", ".join(f"{visible(name)} {'+' if weight > 0 else '-'}" for name, weight in drift.telling)
        show(f"  by: {told}")


def _distance(one: Distance) -> Iterator[str]:
    assert one.value is not None
    yield f"{one.value:.3f}{'*' if one.star else ''}"
    yield _interval(one.interval, lambda bound: f"{bound:.3f}") if one.interval else ""
    yield "" if one.chance is None else f"{one.chance:.3f}"
    yield "" if one.p is None else _p(one.p)


def _tell_traces(made: Comparison) -> None:
    """Where to look: the traces that make the differences that are more than chance."""
    lines = []
    for table in made.tables:
        for row in sorted(table.rows, key=_sureness) if table.name in _LOOKED_INTO else ():
            for letter, change in zip(_letters(made), row.changes, strict=True):
                if change is not None and change.star:
                    keys = ", ".join(_key(made, part) for part in change.traces[:_TRACES])
                    lines.append(f"  {letter}, {visible(row.name)}: {keys}")
    if lines:
        show("\nWhich traces make the difference (--json names 20 of each)")
        for line in first(lines, "differences"):
            show(line)


def _key(made: Comparison, part: Contribution) -> str:
    """A trace by the letter of its side and its key there."""
    place = made.sides[part.side].place
    return f"{_letters(made)[part.side]} {visible(part.key.removeprefix(f'{place}:'))}"


def _value(row: Row, value: Value | None) -> str:
    return "-" if value is None else _number(row.unit, value.value)


def _change(row: Row, change: Change | None, sides: int) -> str:
    if change is None:
        return ""
    told = _number(row.unit, change.difference, signed=True) + ("*" if change.star else "")
    if change.interval is None or sides > 2:
        return told
    return f"{told} ({_interval(change.interval, lambda bound: _number(row.unit, bound, signed=True))})"


def _interval(interval: Interval, form: Callable[[float], str]) -> str:
    return f"{form(interval.low)} to {form(interval.high)}"


def _number(unit: str, value: float, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if unit == "share":
        return f"{100 * value:{sign}.1f}" + ("" if signed else "%")
    if unit == "money":
        return f"{value:{sign}.4g}"
    digits = 3 if "nats" in unit else 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return f"{value:{sign},.{digits}f}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.001 else "<0.001"


def _short(name: str) -> str:
    return name if len(name) <= _WIDE else f"...{name[3 - _WIDE :]}"
