"""Traces read back from the tables, over any connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from antiphon.errors import UsageError
from antiphon.problem.shard import Share
from antiphon.store import columns
from antiphon.store.columns import text_in, text_out
from antiphon.store.found import BEYOND, NOT_JUDGED, PENDING, Standing
from antiphon.trace import Author, Key, Kind, Label, Span, Status, Trace, Usage, Verdict

TRACES = """SELECT traces.number, problems.id, variants.name, sample, status, cause, closed_by, started, finished,
    traces.change FROM traces
    JOIN problems ON problems.number = traces.problem JOIN variants ON variants.number = traces.variant"""
"""Rows for `trace_out`, to be narrowed down."""

_KEYS = """SELECT problems.id, variants.name, sample FROM traces
    JOIN problems ON problems.number = traces.problem JOIN variants ON variants.number = traces.variant"""


_LABEL = "(SELECT label FROM verdicts WHERE trace = traces.number ORDER BY number DESC LIMIT 1)"  # the newest verdict's


class Wanted(NamedTuple):
    """Which traces `Reader.outcomes` reads the responses of."""

    statuses: Collection[Status | None]
    labels: Collection[Label] | None
    per_problem: int | None

    def query(self, *, variant: int | None) -> tuple[str, list[Any]]:
        """The query of all traces with what `left_out` needs and their problems, to be narrowed down; its values.
        Labels and places are looked up only where they are asked for."""
        joined, values = "", list[Any]()
        if self.per_problem is not None:
            conditions = [f"coalesce(status, '') IN ({_marks(self.statuses)})"]
            values += [status or "" for status in self.statuses]
            if variant is not None:
                conditions.append("variant = ?")
                values.append(variant)
            if self.labels is not None:
                conditions.append(f"{_LABEL} IN ({_marks(self.labels)})")
                values += self.labels
            joined = f"""LEFT JOIN (
                SELECT number, row_number() OVER (PARTITION BY problem ORDER BY sample, variant) AS place
                FROM traces WHERE {" AND ".join(conditions)}) AS placed ON placed.number = traces.number"""
        return (
            f"""SELECT traces.number, variants.name, sample, status, traces.change,
            {"NULL" if self.labels is None else _LABEL}, {"place" if joined else "NULL"},
            {", ".join(f"problems.{name}" for name in columns.PROBLEM.split(", "))} FROM traces
            JOIN problems ON problems.number = traces.problem JOIN variants ON variants.number = traces.variant
            {joined}""",
            values,
        )

    def left_out(self, status: Status | None, label: str | None, place: int | None) -> str:
        """Why a trace is not wanted, "" if it is."""
        if status not in self.statuses:
            return status or PENDING
        if self.labels is not None and label not in self.labels:
            return label or NOT_JUDGED
        return BEYOND if self.per_problem is not None and (place is None or place > self.per_problem) else ""


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))


def number_of(connection: sqlite3.Connection, key: Key) -> int:
    """A trace's number in the tables.

    Raises:
        UsageError: there is no such trace.
    """
    row = connection.execute(
        """SELECT traces.number FROM traces
        JOIN problems ON problems.number = traces.problem JOIN variants ON variants.number = traces.variant
        WHERE problems.id = ? AND variants.name = ? AND sample = ?""",
        (text_in(key.problem), text_in(key.variant), key.sample),
    ).fetchone()
    if row is None:
        raise UsageError(f"there is no trace {key} in this run directory")
    return int(row[0])


def share_of(connection: sqlite3.Connection) -> Share | None:
    """What the run directory holds of a whole; None: it is one itself, or was merged."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'share'").fetchone()
    return None if row is None else columns.shares_out(row[0])[0]


def variant_number(connection: sqlite3.Connection, name: str) -> int:
    """A variant's number in the tables.

    Raises:
        UsageError: there is no such variant; says which there are.
    """
    row = connection.execute("SELECT number FROM variants WHERE name = ?", (text_in(name),)).fetchone()
    if row is None:
        names = [text_out(known) for (known,) in connection.execute("SELECT name FROM variants ORDER BY number")]
        raise UsageError(f"there is no variant {name!r} in this run directory; there are: {', '.join(names) or 'none'}")
    return int(row[0])


def keys(connection: sqlite3.Connection, rest: str, values: Sequence[Any] = ()) -> Iterator[Key]:
    """The keys that the `rest` of the query chooses and orders."""
    for problem, variant, sample in connection.execute(f"{_KEYS} {rest}", values):
        yield Key(text_out(problem), text_out(variant), sample)


def trace_out(connection: sqlite3.Connection, row: Sequence[Any]) -> Trace:
    """A whole trace from a row of `TRACES`."""
    number, problem, variant, sample, status, cause, closed_by, started, finished, change = row
    return Trace(
        Key(text_out(problem), text_out(variant), sample),
        spans_of(connection, number),
        None if status is None else Status(status),
        text_out(cause),
        None if closed_by is None else Author(closed_by),
        usage_of(connection, number),
        verdicts_of(connection, number),
        tuple(
            keys(
                connection,
                "JOIN made_from ON made_from.source = traces.number WHERE made_from.trace = ? ORDER BY position",
                (number,),
            )
        ),
        started,
        finished,
        change,
    )


def spans_of(connection: sqlite3.Connection, trace: int) -> tuple[Span, ...]:
    """A trace's spans; one that has grown since it was last closed, or was never, has no end."""
    spans = {
        position: columns.span_out(span)
        for position, *span in connection.execute(
            f"SELECT position, {columns.SPAN} FROM spans WHERE trace = ? ORDER BY position", (trace,)
        )
    }
    for position, *row in connection.execute(
        f"SELECT position, {columns.SPAN} FROM growing WHERE trace = ? ORDER BY number", (trace,)
    ):
        part = replace(columns.span_out(row), end=None)
        before = spans.get(position)
        if before is not None:
            part = replace(
                part, text=before.text + part.text, ids=before.ids + part.ids, words=before.words + part.words
            )
        spans[position] = part
    return tuple(spans.values())


def response_of(connection: sqlite3.Connection, trace: int) -> str:
    """The texts of `spans_of`, joined. Nothing else is read of a trace that is whole."""
    if _is_growing(connection, trace):
        return "".join(span.text for span in spans_of(connection, trace))
    texts = connection.execute("SELECT text FROM spans WHERE trace = ? ORDER BY position", (trace,))
    return "".join([text_out(text) for (text,) in texts])


def answer_of(connection: sqlite3.Connection, trace: int) -> str:
    """The texts of the answer, which follows the thinking, joined. Of a trace that is whole, nothing before it but the
    kind of the last span of the thinking is read."""
    if _is_growing(connection, trace):
        return "".join(span.text for span in spans_of(connection, trace) if span.kind is Kind.ANSWER)
    texts = connection.execute(
        """SELECT text FROM spans WHERE trace = :trace AND kind = 'answer' AND position > coalesce((
            SELECT position FROM spans WHERE trace = :trace AND kind NOT IN ('answer', 'marker')
            ORDER BY position DESC LIMIT 1), -1) ORDER BY position""",
        {"trace": trace},
    )
    return "".join([text_out(text) for (text,) in texts])


def _is_growing(connection: sqlite3.Connection, trace: int) -> bool:
    (is_growing,) = connection.execute("SELECT EXISTS (SELECT 1 FROM growing WHERE trace = ?)", (trace,)).fetchone()
    return bool(is_growing)


def standings(connection: sqlite3.Connection, between: tuple[int, int], condition: str) -> Iterator[Standing]:
    """How the traces stand of all problems whose number is above the first and not above the second."""
    rows = connection.execute(
        f"""SELECT traces.number, problems.id, variants.name, sample, status, verifier, version, label, detail, seconds
        FROM traces JOIN problems ON problems.number = traces.problem JOIN variants ON variants.number = traces.variant
        LEFT JOIN verdicts ON verdicts.trace = traces.number
        WHERE traces.problem > ? AND traces.problem <= ?{condition}
        ORDER BY traces.problem, traces.variant, sample, verdicts.number""",
        between,
    )
    for (_, problem, variant, sample, status), together in groupby(rows, lambda row: row[:5]):
        yield Standing(
            Key(text_out(problem), text_out(variant), sample),
            None if status is None else Status(status),
            tuple(_verdict_out(row[5:]) for row in together if row[5] is not None),
        )


def verdicts_of(connection: sqlite3.Connection, trace: int) -> tuple[Verdict, ...]:
    """A trace's verdicts, the newest last."""
    rows = connection.execute(
        "SELECT verifier, version, label, detail, seconds FROM verdicts WHERE trace = ? ORDER BY number", (trace,)
    )
    return tuple(map(_verdict_out, rows))


def _verdict_out(row: Sequence[Any]) -> Verdict:
    verifier, version, label, detail, seconds = row
    return Verdict(text_out(verifier), text_out(version), Label(label), text_out(detail), seconds)


def usage_of(connection: sqlite3.Connection, trace: int) -> dict[Author, Usage]:
    """What each role cost in a trace; a role that cost nothing is left out."""
    rows = connection.execute(f"SELECT {columns.USAGE} FROM usage WHERE trace = ?", (trace,))
    return {Author(role): usage for role, *amounts in rows if (usage := Usage(*amounts)) != Usage()}
