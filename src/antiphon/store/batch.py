"""What was handed over since the last commit, and how it is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from antiphon.store import columns
from antiphon.store.columns import Row
from antiphon.trace import Author, Usage


def _insert(table: str, names: str, *, replacing: bool = False) -> str:
    marks = ", ".join("?" * (names.count(",") + 1))
    return f"INSERT {'OR REPLACE ' if replacing else ''}INTO {table} ({names}) VALUES ({marks})"


_DROP_SPANS = "DELETE FROM spans WHERE trace = ?"
_DROP_ALL_GROWTH = "DELETE FROM growing WHERE trace = ?"
_DROP_GROWTH = "DELETE FROM growing WHERE trace = ? AND position = ?"
_INSERT_SPANS = _insert("spans", f"trace, position, {columns.SPAN}, change", replacing=True)
_INSERT_GROWTH = _insert("growing", f"trace, position, {columns.SPAN}")
_INSERT_TURNS = _insert("turns", f"trace, position, {columns.TURN}, change")
_ADD_USAGE = (
    _insert("usage", f"trace, {columns.USAGE}, turns, words, refused, spans, forced, change")
    + """ ON CONFLICT (trace, role) DO UPDATE SET
    requests = requests + excluded.requests, received = received + excluded.received, kept = kept + excluded.kept,
    cached = coalesce(cached + excluded.cached, excluded.cached, cached), seconds = seconds + excluded.seconds,
    prompt = prompt + excluded.prompt, told = told + excluded.told,
    turns = turns + excluded.turns, words = words + excluded.words, refused = refused + excluded.refused,
    spans = spans + excluded.spans, forced = forced + excluded.forced, change = excluded.change"""
)
_SET_USAGE = (
    _insert("usage", f"trace, {columns.USAGE}, change")
    + """ ON CONFLICT (trace, role) DO UPDATE SET
    requests = excluded.requests, received = excluded.received, kept = excluded.kept, cached = excluded.cached,
    seconds = excluded.seconds, prompt = excluded.prompt, told = excluded.told, change = excluded.change"""
)
_BEGIN = "UPDATE traces SET started = coalesce(started, ?) WHERE number = ?"
_FINISH = "UPDATE traces SET status = ?, cause = ?, closed_by = ?, finished = ? WHERE number = ?"
_INSERT_VERDICTS = _insert(
    "verdicts", "trace, verifier, version, label, detail, seconds, created, change", replacing=True
)
_DROP_SOURCES = "DELETE FROM made_from WHERE trace = ?"
_INSERT_SOURCES = _insert("made_from", "trace, position, source, change")
_INSERT_CALLS = _insert("calls", f"trace, {columns.USAGE}, purpose, text, created, change")
_RENUMBER = "UPDATE traces SET change = ? WHERE number = ?"


class Changes:
    """The database's counter of changes, inside one transaction of its writer."""

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection
        (self.last,) = connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()

    def next(self) -> int:
        """A new number, above all others."""
        self.last += 1
        return int(self.last)

    def save(self) -> None:
        """Writes it down. Also where nothing changed: a commit that writes nothing would make nothing durable."""
        self._connection.execute("UPDATE meta SET value = ? WHERE name = 'change'", (self.last,))


class _Sum:
    """What one role's turns and spans of one trace add up to."""

    __slots__ = (
        "cached",
        "forced",
        "kept",
        "prompt",
        "received",
        "refused",
        "requests",
        "seconds",
        "spans",
        "told",
        "turns",
        "words",
    )

    def __init__(self) -> None:
        self.requests = self.received = self.kept = self.turns = self.words = self.refused = 0
        self.prompt = self.told = self.spans = self.forced = 0
        self.cached: int | None = None
        self.seconds = 0.0

    @property
    def row(self) -> Row:
        """The columns that add to a row of usage."""
        return (
            self.requests,
            self.received,
            self.kept,
            self.cached,
            self.seconds,
            self.prompt,
            self.told,
            self.turns,
            self.words,
            self.refused,
            self.spans,
            self.forced,
        )


class Batch:
    """Rows on their way to the tables, in the order that matters: a span's growth after its last closing."""

    def __init__(self) -> None:
        self._begun: list[Row] = []
        self._anew: list[Row] = []
        self._spans: dict[tuple[int, int], Row] = {}
        self._growth: dict[tuple[int, int], list[Row]] = {}
        self._turns: list[Row] = []
        self._sums: dict[tuple[int, str], _Sum] = {}
        self._usage: list[Row] = []
        self._finished: list[Row] = []
        self._verdicts: list[Row] = []
        self._sources: dict[int, Sequence[int]] = {}
        self._calls: list[Row] = []
        self._touched: dict[int, None] = {}

    def begin(self, trace: int, started: float, *, anew: bool = False) -> None:
        """A trace's writing begins, or goes on; `anew`: the spans that were there go."""
        self._begun.append((started, trace))
        if anew:
            self._anew.append((trace,))
        self._touched[trace] = None

    def grow(self, trace: int, position: int, part: Row) -> None:
        """A span has grown by this."""
        self._growth.setdefault((trace, position), []).append(part)

    def close_span(self, trace: int, position: int, span: Row, *, author: Author, forced: bool, is_new: bool) -> None:
        """A span is whole; what it grew by before is part of it."""
        self._growth.pop((trace, position), None)
        self._spans[trace, position] = span
        if is_new:
            total = self._sum(trace, author)
            total.spans += 1
            total.forced += forced

    def turn(self, trace: int, position: int, turn: Row, *, role: Author) -> None:
        """A turn is over."""
        self._turns.append((trace, position, *turn))
        _, _, _, received, kept, words, cut, seconds, requests, cached, _, _, prompt, told = turn
        total = self._sum(trace, role)
        total.requests += requests
        total.received += received
        total.kept += kept
        total.turns += 1
        total.words += words
        total.refused += cut and not words
        total.seconds += seconds
        total.prompt += prompt
        total.told += told
        if cached is not None:
            total.cached = (total.cached or 0) + cached

    def finish(
        self,
        trace: int,
        status: str,
        cause: str | bytes,
        closed_by: str | None,
        finished: float,
        usage: Mapping[Author, Usage],
    ) -> None:
        """A trace is over; `usage` takes the place of what its turns add up to."""
        self._finished.append((status, cause, closed_by, finished, trace))
        self._usage.extend((trace, *columns.usage_in(role, used)) for role, used in usage.items())
        self._touched[trace] = None

    def verdict(self, trace: int, verdict: Row) -> None:
        """A verifier has judged; an earlier verdict of the same verifier and version goes."""
        self._verdicts.append((trace, *verdict))
        self._touched[trace] = None

    def made_from(self, trace: int, sources: Sequence[int]) -> None:
        """A trace was made of these."""
        self._sources[trace] = sources
        self._touched[trace] = None

    def call(self, trace: int, call: Row) -> None:
        """An auxiliary call was made for a trace."""
        self._calls.append((trace, *call))
        self._touched[trace] = None

    def write(self, connection: sqlite3.Connection, changes: Changes) -> None:
        """Writes all of it inside the open transaction."""
        many, change = connection.executemany, (changes.next(),)
        many(_DROP_SPANS, self._anew)
        many(_DROP_ALL_GROWTH, self._anew)
        many(_DROP_GROWTH, self._spans)
        many(_INSERT_SPANS, ((*place, *span, *change) for place, span in self._spans.items()))
        many(_INSERT_GROWTH, ((*place, *part) for place, parts in self._growth.items() for part in parts))
        many(_INSERT_TURNS, (turn + change for turn in self._turns))
        many(_ADD_USAGE, (whose + total.row + change for whose, total in self._sums.items()))
        many(_SET_USAGE, (usage + change for usage in self._usage))
        many(_BEGIN, self._begun)
        many(_FINISH, self._finished)
        many(_INSERT_VERDICTS, (verdict + change for verdict in self._verdicts))
        many(_DROP_SOURCES, ((trace,) for trace in self._sources))
        many(
            _INSERT_SOURCES,
            (
                (trace, position, source, *change)
                for trace, sources in self._sources.items()
                for position, source in enumerate(sources)
            ),
        )
        many(_INSERT_CALLS, (call + change for call in self._calls))
        many(_RENUMBER, ((changes.next(), trace) for trace in self._touched))

    def _sum(self, trace: int, role: Author) -> _Sum:
        total = self._sums.get((trace, role.value))
        if total is None:
            total = self._sums[trace, role.value] = _Sum()
        return total
