"""What the charts of a run show, counted from the index. Every text on them stands here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.store.columns import text_out
from antiphon.view.index import Index
from antiphon.view.marking import plain

_BINS = 20
_POINTS = 60


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and the table that says the same.

    Attributes:
        kind: `bars` for counts in bins, `line` for what changes along the axis, `points` for values of things apart.
        at: the left edges of the bins, times in seconds since the epoch, or other places on the axis.
        series: a name and a value for each of `at`, None where there is none.
        unit: of the values.
        digits: decimals of the values.
        labels: what stands for each of `at`, if not the number.
        bounds: of each series the intervals of its values, None where there is none.
        chance: of each series what its values come to by chance alone, None where that is not known.
    """

    title: str
    about: str
    kind: str
    axis: str
    at: tuple[float, ...]
    series: tuple[tuple[str, tuple[float | None, ...]], ...]
    unit: str = "traces"
    digits: int = 0
    labels: tuple[str, ...] = ()
    bounds: tuple[tuple[tuple[float, float] | None, ...], ...] = ()
    chance: tuple[tuple[float | None, ...], ...] = ()

    @property
    def for_script(self) -> dict[str, Any]:
        """What `static/charts.js` draws."""
        return {
            "kind": self.kind,
            "axis": self.axis,
            "unit": self.unit,
            "digits": self.digits,
            "at": self.at,
            "labels": self.labels,
            "names": [name for name, _ in self.series],
            "values": [values for _, values in self.series],
            "bounds": self.bounds,
            "chance": self.chance,
        }

    def label(self, place: int) -> str:
        """What stands for one of `at` in the table."""
        return self.labels[place] if self.labels else f"{self.at[place]:,.10g}"

    def cell(self, series: int, place: int) -> str:
        """A value in the table."""
        value = self.series[series][1][place]
        if value is None:
            return ""
        more = []
        if self.bounds and (bounds := self.bounds[series][place]) is not None:
            more.append(" to ".join(map(self._said, bounds)))
        if self.chance and (chance := self.chance[series][place]) is not None:
            more.append(f"by chance {self._said(chance)}")
        return self._said(value) + (f" ({'; '.join(more)})" if more else "")

    def _said(self, value: float) -> str:
        return f"{value:,.{self.digits}f}"


@dataclass(frozen=True, slots=True)
class VariantFigures:
    """A row of the table of variants: counts of traces, shares and lengths as means over those that have text."""

    name: str
    traces: int
    pending: int
    complete: int
    right: int
    judged: int
    tokens: float
    student: float
    teacher: float
    unknown: float


def variants(index: Index) -> list[VariantFigures]:
    """The table of variants."""
    rows = index.rows(
        """SELECT variant, count(*), sum(status IS NULL), sum(coalesce(status, '') = 'complete'),
        sum(result = 'right'), sum(result NOT IN ('cannot_judge', 'not_judged', 'failed', 'pending')),
        coalesce(avg(CASE WHEN tokens THEN tokens END), 0), coalesce(avg(CASE WHEN tokens THEN student END), 0),
        coalesce(avg(CASE WHEN tokens THEN teacher END), 0), coalesce(avg(CASE WHEN tokens THEN unknown END), 0)
        FROM traces GROUP BY variant ORDER BY variant"""
    )
    return [VariantFigures(plain(text_out(name)), *rest) for name, *rest in rows]


def charts(index: Index) -> list[Chart]:
    """All charts of a run that have anything to show."""
    found = [_lengths(index), _shares(index, "teacher"), _shares(index, "student"), _progress(index)]
    return [chart for chart in found if chart is not None]


def _lengths(index: Index) -> Chart | None:
    ((longest,),) = index.rows("SELECT max(tokens) FROM traces WHERE status IS NOT NULL")
    if not longest:
        return None
    width = _round_up(longest / _BINS)
    rows = index.rows(
        f"""SELECT variant, CAST(tokens / {width} AS INTEGER), count(*) FROM traces
        WHERE status IS NOT NULL GROUP BY 1, 2"""
    )
    first = min(place for _, place, _ in rows)
    bins = longest // width + 1 - first
    rows = [(variant, place - first, count) for variant, place, count in rows]
    at = tuple(float((first + n) * width) for n in range(bins))
    about = f"How many finished traces have so many tokens; a bar covers {width:,} tokens."
    return Chart("Lengths", about, "bars", "tokens of the response", at, _series(rows, bins))


def _shares(index: Index, author: str) -> Chart | None:
    rows = index.rows(
        f"""SELECT variant, min(CAST({author} * {_BINS} AS INTEGER), {_BINS - 1}), count(*) FROM traces
        WHERE status IS NOT NULL GROUP BY 1, 2"""
    )
    if not any(place for _, place, _ in rows):
        return None
    width = 100 // _BINS
    at = tuple(float(n * width) for n in range(_BINS))
    about = f"How many finished traces have so much of their text from the {author}; a bar covers {width} %."
    return Chart(
        f"Who wrote it: the {author}'s share",
        about,
        "bars",
        f"% of the characters by the {author}",
        at,
        _series(rows, _BINS),
    )


def _progress(index: Index) -> Chart | None:
    ((first, last),) = index.rows("SELECT min(finished), max(finished) FROM traces")
    if first is None:
        return None
    step = max((last - first) / (_POINTS - 1), 0.5)
    rows = index.rows(
        "SELECT variant, min(CAST((finished - ?) / ? AS INTEGER), ?), count(*) FROM traces"
        " WHERE finished IS NOT NULL GROUP BY 1, 2",
        (first, step, _POINTS - 1),
    )
    bins = max(place for _, place, _ in rows) + 1
    grown = []
    for name, values in _series(rows, bins):
        total, so_far = 0.0, []
        for value in values:
            total += value
            so_far.append(total)
        grown.append((name, tuple(so_far)))
    at = tuple(first + (n + 1) * step for n in range(bins))
    return Chart("Progress", "How many traces were finished by then.", "line", "time", at, tuple(grown))


def _series(rows: Sequence[tuple[Any, ...]], bins: int) -> tuple[tuple[str, tuple[float, ...]], ...]:
    values: dict[str, list[float]] = {}
    for variant, place, count in rows:
        values.setdefault(plain(text_out(variant)), [0.0] * bins)[place] += count
    return tuple((name, tuple(counts)) for name, counts in sorted(values.items()))


def _round_up(width: float) -> int:
    """The next of 1, 2, 5, 10, 20 ..."""
    if width <= 1:
        return 1
    power = 10 ** math.floor(math.log10(width))
    return int(next(power * step for step in (1, 2, 5, 10) if power * step >= width))
