"""A comparison as plain values, for whoever shows it: tables of rows, a value for each side, a change from the first.

Numbers are as `Row.unit` says; all text may hold whatever models wrote and is to be made safe by who shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from antiphon.display import Displayed
from antiphon.statistics import Interval

if TYPE_CHECKING:
    import pyarrow

BELOW = 0.05
"""A change is starred if its p, adjusted for the rows of its table, is below this."""


class Contribution(NamedTuple):
    """What one trace adds to a change: `side` is the index of the side that it belongs to, `key` its place there
    (a trace's key, or file:line:number), `amount` its part. The amounts of all traces sum to the change."""

    side: int
    key: str
    amount: float


@dataclass(frozen=True, slots=True)
class Value:
    """What one side comes to: the value, a 95% interval over problems (None with fewer than two), of how many
    problems."""

    value: float
    interval: Interval | None
    problems: int


@dataclass(frozen=True, slots=True)
class Change:
    """By how much a side lies above the first one.

    Attributes:
        difference: this side's value less the first one's, over the problems that are compared.
        interval: its 95% interval over problems, None with fewer than two.
        p: how often chance alone makes it as large in either direction, by a permutation test; None: not tested.
        adjusted: the same, adjusted for all rows of its table (Holm).
        paired: whether both sides are compared on the same problems; else they have others.
        problems: on how many (of the side that has fewer).
        traces: those that contribute most, the largest first; at most 20.
    """

    difference: float
    interval: Interval | None
    p: float | None
    paired: bool
    problems: int
    traces: tuple[Contribution, ...] = ()
    adjusted: float | None = None

    @property
    def star(self) -> bool:
        """Whether it is more than chance."""
        return self.adjusted is not None and self.adjusted < BELOW


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of all sides.

    Attributes:
        name: what it is called, without markup.
        unit: "share" (0 to 1), "words", "tokens", "nats", "per 1,000 words" ..., "" for a bare number.
        values: one a side; None: it has nothing to measure.
        changes: one a side, from the first; None for the first itself and where either has nothing.
    """

    name: str
    unit: str
    values: tuple[Value | None, ...]
    changes: tuple[Change | None, ...]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a side is from the first one as a whole.

    Attributes:
        name, unit: as of a row.
        value: None: there is too little to say.
        interval: its 95% interval over problems.
        chance: what it comes to in the mean if the same texts are dealt out to both sides at random.
        p: how often chance alone is as far, None: not tested; `adjusted` for the distances of this pair of sides.
        traces: of both sides those that are most unlike the other one; of the classifier alone.
    """

    name: str
    unit: str
    value: float | None
    interval: Interval | None = None
    chance: float | None = None
    p: float | None = None
    traces: tuple[Contribution, ...] = ()
    adjusted: float | None = None

    @property
    def star(self) -> bool:
        """Whether it is more than chance."""
        return self.adjusted is not None and self.adjusted < BELOW


@dataclass(frozen=True, slots=True)
class Drift:
    """How unlike the first side another one sounds as a whole: `side` is its index, `first` and `second` how many texts
    of each were compared, equal numbers where possible, on the same problems if `paired`. `telling` are the words and
    habits by which the classifier tells them apart: name and weight, positive where the other side has more."""

    side: int
    paired: bool
    first: int
    second: int
    distances: tuple[Distance, ...]
    telling: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that belong together. `name` is a word for programs, `title` for people, `about` says in a sentence what is
    measured and on what."""

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """Likelihood along the response: for each tenth of its tokens the mean of minus log-probability, a value for each
    side (None: no tokens)."""

    title: str
    points: tuple[tuple[Value | None, ...], ...]


@dataclass(frozen=True, slots=True)
class PilotCurve:
    """A measure of a pilot, named and in units as its row is, a value for each of `Pilot.at`."""

    name: str
    unit: str
    values: tuple[Value | None, ...]


@dataclass(frozen=True, slots=True)
class Pilot:
    """Sides that differ in one numeric setting alone: the setting, its values from the lowest, the indices of the sides
    that have them, and the measures to choose it by."""

    setting: str
    at: tuple[float, ...]
    sides: tuple[int, ...]
    curves: tuple[PilotCurve, ...]


@dataclass(frozen=True, slots=True)
class SideAbout:
    """One side of a comparison.

    Attributes:
        name: what it is called beside the others.
        place: the run directory or file, as it was named.
        variant: in a run directory.
        method: of the variant, "" where that is not known.
        models: by role.
        problems, traces: how many there are.
        texts: how many of them were read for what needs the text (finished as was asked for, a sample where they are
            many).
        left_out: why others were not, and how many.
        marked: how many of the texts had no style spans of their own, and were marked by a predictor.
    """

    name: str
    place: str
    variant: str | None
    method: str
    models: Mapping[str, str]
    problems: int
    traces: int
    texts: int
    left_out: Mapping[str, int]
    marked: int = 0


@dataclass(frozen=True, slots=True)
class Comparison(Displayed):
    """Sides beside each other; each but the first is also held against the first.

    Attributes:
        tables: what has a value for each side.
        drifts: one for each side but the first.
        curves: likelihood by position, where it was measured.
        pilot: the same over a setting, if the sides differ in one alone.
        under: the model under which likelihood was measured, None: it was not.
        marks: the predictor by which style was told where the record does not.
        remarks: what a reader should know, one line each.
    """

    sides: tuple[SideAbout, ...]
    tables: tuple[Table, ...]
    drifts: tuple[Drift, ...] = ()
    curves: tuple[Curve, ...] = ()
    pilot: Pilot | None = None
    under: str | None = None
    marks: str | None = None
    remarks: Sequence[str] = field(default_factory=tuple)

    def as_rows(self) -> list[dict[str, Any]]:
        """All rows of all tables, one a side, as flat records."""
        return [
            {
                "table": table.name,
                "measure": row.name,
                "unit": row.unit,
                "side": side.name,
                "value": None if value is None else value.value,
                **_bounds("", None if value is None else value.interval),
                "problems": None if value is None else value.problems,
                "difference": None if change is None else change.difference,
                **_bounds("difference_", None if change is None else change.interval),
                "p": None if change is None else change.p,
                "star": change is not None and change.star,
            }
            for table in self.tables
            for row in table.rows
            for side, value, change in zip(self.sides, row.values, row.changes, strict=True)
        ]

    def as_table(self) -> pyarrow.Table:
        """The same as a table of pyarrow; its `to_pandas` gives a data frame."""
        import pyarrow

        from antiphon.analyse.tables import as_table

        text, real = pyarrow.string(), pyarrow.float64()
        columns = {
            **dict.fromkeys(("table", "measure", "unit", "side"), text),
            **dict.fromkeys(("value", "low", "high"), real),
            "problems": pyarrow.int64(),
            **dict.fromkeys(("difference", "difference_low", "difference_high", "p"), real),
            "star": pyarrow.bool_(),
        }
        return as_table(self.as_rows(), columns)

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON has it; `star` beside each p."""
        plain: dict[str, Any] = asdict(self)
        for table, given in zip(plain["tables"], self.tables, strict=True):
            for row, row_given in zip(table["rows"], given.rows, strict=True):
                _star(row["changes"], row_given.changes)
        for drift, drift_given in zip(plain["drifts"], self.drifts, strict=True):
            _star(drift["distances"], drift_given.distances)
        return plain


def _star(plain: Sequence[dict[str, Any] | None], given: Sequence[Change | Distance | None]) -> None:
    for one, of in zip(plain, given, strict=True):
        if one is not None and of is not None:
            one["star"] = of.star


def _bounds(prefix: str, interval: Interval | None) -> dict[str, float | None]:
    low, high = (None, None) if interval is None else interval
    return {f"{prefix}low": low, f"{prefix}high": high}
