"""What was handed over since the last commit, and how it is written: a few statements, however many rows.

Each statement takes many rows at once, because SQLite works through one without the interpreter's lock. `executemany`
takes that lock anew for every row, and beside a busy event loop may wait 5 ms for it each time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain

from antiphon.store import columns
from antiphon.store.columns import Row
from antiphon.trace import Author, Usage

_COUNTS = (512, 64, 8, 1)  # rows a statement: few different ones, so that each is compiled once

_INSERT_SPANS = f"INSERT OR REPLACE INTO spans (trace, position, {columns.SPAN}, change) VALUES {{rows}}"
_DROP_GROWTH = """DELETE FROM growing WHERE number IN (
    SELECT number FROM (VALUES {rows}) AS whole
    CROSS JOIN growing ON trace = whole.column1 AND position = whole.column2)"""
_INSERT_GROWTH = f"INSERT INTO growing (trace, position, {columns.SPAN}) VALUES {{rows}}"
_INSERT_TURNS = f"INSERT INTO turns (trace, position, {columns.TURN}, change) VALUES {{rows}}"
_ADD_USAGE = """INSERT INTO usage
    (trace, role, requests, received, kept, cached, seconds, turns, words, refused, spans, forced, change) VALUES {rows}
    ON CONFLICT (trace, role) DO UPDATE SET
    requests = requests + excluded.requests, received = received + excluded.received, kept = kept + excluded.kept,
    cached = iif(excluded.cached IS NULL, cached, coalesce(cached, 0) + excluded.cached),
    seconds = seconds + excluded.seconds, turns = turns + excluded.turns, words = words + excluded.words,
    refused = refused + excluded.refused, spans = spans + excluded.spans, forced = forced + excluded.forced,
    change = excluded.change"""
_SET_USAGE = f"""INSERT INTO usage (trace, {columns.USAGE}, change) VALUES {{rows}}
    ON CONFLICT (trace, role) DO UPDATE SET
    requests = excluded.requests, received = excluded.received, kept = excluded.kept, cached = excluded.cached,
    seconds = excluded.seconds, change = excluded.change"""
_BEGIN = """UPDATE traces SET started = coalesce(started, new.column2) FROM (VALUES {rows}) AS new
    WHERE number = new.column1"""
_FINISH = """UPDATE traces SET status = new.column2, cause = new.column3, closed_by = new.column4,
    finished = new.column5 FROM (VALUES {rows}) AS new WHERE number = new.column1"""
_INSERT_VERDICTS = """INSERT OR REPLACE INTO verdicts (trace, verifier, version, label, detail, created, change)
    VALUES {rows}"""
_DROP_SOURCES = "DELETE FROM made_from WHERE trace IN (VALUES {rows})"
_INSERT_SOURCES = "INSERT INTO made_from (trace, position, source, change) VALUES {rows}"
_INSERT_CALLS = f"""INSERT INTO calls (trace, {columns.USAGE}, purpose, text, created, change) VALUES {{rows}}"""
_RENUMBER = "UPDATE traces SET change = new.column2 FROM (VALUES {rows}) AS new WHERE number = new.column1"


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

    __slots__ = ("cached", "forced", "kept", "received", "refused", "requests", "seconds", "spans", "turns", "words")

    def __init__(self) -> None:
        self.requests = self.received = self.kept = self.turns = self.words = self.refused = 0
        self.spans = self.forced = 0
        self.cached: int | None = None
        self.seconds = 0.0


class Batch:
    """Rows on their way to the tables, in the order that matters: a span's growth after its last closing."""

    def __init__(self) -> None:
        self._begun: list[Row] = []
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

    def begin(self, trace: int, started: float) -> None:
        """A trace's writing begins, or goes on."""
        self._begun.append((trace, started))
        self._touched[trace] = None

    def grow(self, trace: int, position: int, part: Row) -> None:
        """A span has grown by this."""
        self._growth.setdefault((trace, position), []).append(part)

    def close_span(self, trace: int, position: int, span: Row, *, author: Author, forced: bool, is_new: bool) -> None:
        """A span is whole; what it grew by before is part of it."""
        self._growth.pop((trace, position), None)
        self._spans[trace, position] = span
        if is_new and author is not Author.NONE:
            total = self._sum(trace, author)
            total.spans += 1
            total.forced += forced

    def turn(self, trace: int, position: int, turn: Row, *, role: Author) -> None:
        """A turn is over."""
        self._turns.append((trace, position, *turn))
        _, _, _, received, kept, words, cut, seconds, requests, cached, _, _ = turn
        total = self._sum(trace, role)
        total.requests += requests
        total.received += received
        total.kept += kept
        total.turns += 1
        total.words += words
        total.refused += cut and not words
        total.seconds += seconds
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
        self._finished.append((trace, status, cause, closed_by, finished))
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
        change = (changes.next(),)
        whole = list(self._spans)
        _many(connection, _DROP_GROWTH, whole)
        _many(connection, _INSERT_SPANS, [(*place, *span, *change) for place, span in self._spans.items()])
        _many(connection, _INSERT_GROWTH, [(*place, *part) for place, parts in self._growth.items() for part in parts])
        _many(connection, _INSERT_TURNS, [turn + change for turn in self._turns])
        _many(
            connection,
            _ADD_USAGE,
            [
                (
                    *whose,
                    total.requests,
                    total.received,
                    total.kept,
                    total.cached,
                    total.seconds,
                    total.turns,
                    total.words,
                    total.refused,
                    total.spans,
                    total.forced,
                    *change,
                )
                for whose, total in self._sums.items()
            ],
        )
        _many(connection, _SET_USAGE, [usage + change for usage in self._usage])
        _many(connection, _BEGIN, self._begun)
        _many(connection, _FINISH, self._finished)
        _many(connection, _INSERT_VERDICTS, [verdict + change for verdict in self._verdicts])
        _many(connection, _DROP_SOURCES, [(trace,) for trace in self._sources])
        _many(
            connection,
            _INSERT_SOURCES,
            [
                (trace, position, source, *change)
                for trace, sources in self._sources.items()
                for position, source in enumerate(sources)
            ],
        )
        _many(connection, _INSERT_CALLS, [call + change for call in self._calls])
        _many(connection, _RENUMBER, [(trace, changes.next()) for trace in self._touched])

    def _sum(self, trace: int, role: Author) -> _Sum:
        total = self._sums.get((trace, role.value))
        if total is None:
            total = self._sums[trace, role.value] = _Sum()
        return total


def _many(connection: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> None:
    at = 0
    for count in _COUNTS:
        while len(rows) - at >= count:
            several = rows[at : at + count]
            at += count
            connection.execute(_with_rows(statement, len(several[0]), count), list(chain.from_iterable(several)))


@lru_cache
def _with_rows(statement: str, width: int, count: int) -> str:
    row = f"({', '.join('?' * width)})"
    return statement.replace("{rows}", ", ".join([row] * count))
