"""Reading a run directory, also while it is being written."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from antiphon.errors import UsageError
from antiphon.problem import Problem
from antiphon.problem.shard import Share
from antiphon.store import columns, load
from antiphon.store.columns import json_out, text_in, text_out
from antiphon.store.found import Call, Outcome, Session, Standing, Totals, Variant
from antiphon.store.place import explain, open_for_reading
from antiphon.trace import Author, Key, Label, Status, Trace, Turn, Usage

_GROUP = 200  # problems whose traces' standings are read at once


class Reader:
    """Reads a run directory. Any number may, at any time, in any process. A context manager.

    Each answer is of one moment. What the writer has handed over is seen once it is committed, within a tenth of a
    second.
    """

    def __init__(self, directory: Path):
        """Opens it.

        Raises:
            StoreUnfit: not a run directory, of a newer version, or not readable here.
        """
        self.directory = directory
        self._connection = open_for_reading(directory)
        weakref.finalize(self, self._connection.close)  # a notebook's cell closes nothing
        self._lock = threading.RLock()

    def id(self) -> str:
        """What the run is known by, also in a copy of its directory."""
        with self._snapshot() as connection:
            (id,) = connection.execute("SELECT value FROM meta WHERE name = 'id'").fetchone()
            return str(id)

    def share(self) -> Share | None:
        """Which shard of a whole this is; None: it is none."""
        with self._snapshot() as connection:
            return load.share_of(connection)

    def shares(self) -> list[Share]:
        """Its own share, or those of the shards that were merged into this run; in their order, each once."""
        with self._snapshot() as connection:
            rows = connection.execute(
                "SELECT value FROM meta WHERE name = 'share' UNION ALL SELECT shares FROM sources"
            ).fetchall()
        shares = {share.shard: share for (row,) in rows for share in columns.shares_out(row)}
        return [shares[shard] for shard in sorted(shares)]

    def sources(self) -> dict[str, int]:
        """Which runs were merged into this one, by `id`, each with its change number at that time."""
        with self._snapshot() as connection:
            return dict(connection.execute("SELECT id, change FROM sources ORDER BY number").fetchall())

    def problems(self) -> Iterator[Problem]:
        """All problems, in the order in which they were added."""
        with self._own_snapshot() as connection:
            for row in connection.execute(f"SELECT {columns.PROBLEM} FROM problems ORDER BY number"):
                yield columns.problem_out(row)

    def places(self) -> dict[str, int]:
        """Each problem's place in the order in which they were added, from 0, by its id. It never changes."""
        with self._snapshot() as connection:
            ids = connection.execute("SELECT id FROM problems ORDER BY number").fetchall()
        return {text_out(id): place for place, (id,) in enumerate(ids)}

    def problem_count(self) -> int:
        """How many problems there are."""
        with self._snapshot() as connection:
            (count,) = connection.execute("SELECT count(*) FROM problems").fetchone()
            return int(count)

    def problem(self, id: str) -> Problem:
        """One problem.

        Raises:
            UsageError: there is none of this id.
        """
        with self._snapshot() as connection:
            row = connection.execute(f"SELECT {columns.PROBLEM} FROM problems WHERE id = ?", (text_in(id),)).fetchone()
        if row is None:
            raise UsageError(f"there is no problem {id!r} in {self.directory}")
        return columns.problem_out(row)

    def variants(self) -> list[Variant]:
        """All variants, the oldest first."""
        with self._snapshot() as connection:
            rows = connection.execute(
                "SELECT number, name, fingerprint, shaping, created FROM variants ORDER BY number"
            ).fetchall()
            abouts: dict[int, list[Mapping[str, Any]]] = {}
            for variant, about in connection.execute("SELECT variant, about FROM about ORDER BY number"):
                abouts.setdefault(variant, []).append(json_out(about))
        return [
            Variant(
                text_out(name), fingerprint, json_out(shaping), abouts[number][-1], created, tuple(abouts[number][:-1])
            )
            for number, name, fingerprint, shaping, created in rows
        ]

    def sessions(self, variant: str) -> list[Session]:
        """The times in which a variant was written, the oldest first. One that was killed has left none.

        Raises:
            UsageError: there is no such variant.
        """
        with self._snapshot() as connection:
            rows = connection.execute(
                """SELECT began, ended, places, turns, cpu, coreless FROM sessions WHERE variant = ? ORDER BY number""",
                (load.variant_number(connection, variant),),
            ).fetchall()
        return [Session(*row) for row in rows]

    def traces(
        self,
        *,
        variant: str | None = None,
        status: Collection[Status | None] | None = None,
        since: int = 0,
        problem: str | None = None,
    ) -> Iterator[Trace]:
        """Traces in the order in which they last changed, all as they were at the first step of the iteration.

        One trace is in memory at a time. While the iteration lasts, the writer's log is kept and grows.

        Args:
            status: only with one of these; None among them stands for pending ones.
            since: only those that changed after this change number.
            problem: only those of the problem with this id.

        Raises:
            UsageError: there is no such variant.
        """
        with self._own_snapshot() as connection:
            conditions, values = _narrowed(connection, variant, since)
            if problem is not None:
                conditions.append("problems.id = ?")
                values.append(text_in(problem))
            if status is not None:
                conditions.append(f"coalesce(status, '') IN ({', '.join('?' * len(status))})")
                values.extend(one or "" for one in status)
            query = f"{load.TRACES} WHERE {' AND '.join(conditions)} ORDER BY traces.change"
            for row in connection.execute(query, values):
                yield load.trace_out(connection, row)

    def outcomes(
        self,
        statuses: Collection[Status | None],
        *,
        variant: str | None = None,
        since: int = 0,
        labels: Collection[Label] | None = None,
        per_problem: int | None = None,
    ) -> Iterator[tuple[Problem, Outcome]]:
        """What `traces` gives with the same arguments, each with its problem and without its spans: for whoever needs
        texts alone, about ten times as fast.

        Args:
            statuses: which traces' responses are read; the others come without.
            labels: of these, only those whose newest verdict has one of these labels.
            per_problem: of these, only so many of each problem: the first by sample, then by variant, `since` when
                ever they changed.

        Raises:
            UsageError: there is no such variant.
        """
        with self._own_snapshot() as connection:
            conditions, values = _narrowed(connection, variant, since)
            wanted = load.Wanted(statuses, labels, per_problem)
            query, more = wanted.query(variant=None if variant is None else load.variant_number(connection, variant))
            query = f"{query} WHERE {' AND '.join(conditions)} ORDER BY traces.change"
            for number, name, sample, status, change, label, place, *row in connection.execute(query, more + values):
                problem = columns.problem_out(row)
                ended = None if status is None else Status(status)
                left_out = wanted.left_out(ended, label, place)
                response = None if left_out else load.response_of(connection, number)
                yield problem, Outcome(Key(problem.id, text_out(name), sample), ended, response, change, left_out)

    def standings(self, *, variant: str | None = None) -> Iterator[list[Standing]]:
        """How all traces stand, those of one problem together, by variant and sample; problems in the order in which
        they were added, those without traces left out.

        Some hundred problems at a time are of one moment, so that the writer's log need not be kept while the
        iteration lasts: whoever judges traces writes meanwhile.

        Raises:
            UsageError: there is no such variant.
        """
        with self._snapshot() as connection:
            condition = "" if variant is None else f" AND traces.variant = {load.variant_number(connection, variant)}"
            (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM problems").fetchone()
        for first in range(0, last, _GROUP):
            with self._snapshot() as connection:
                standings = load.standings(connection, (first, first + _GROUP), condition)
            for _, together in groupby(standings, lambda standing: standing.key.problem):
                yield list(together)

    def answer(self, key: Key) -> str:
        """A trace's final answer. Its thinking is not read: many answers cost little time and memory.

        Raises:
            UsageError: there is no such trace.
        """
        with self._snapshot() as connection:
            return load.answer_of(connection, load.number_of(connection, key))

    def trace(self, key: Key) -> Trace:
        """One trace, finished or not.

        Raises:
            UsageError: there is no such trace.
        """
        with self._snapshot() as connection:
            number = load.number_of(connection, key)
            row = connection.execute(f"{load.TRACES} WHERE traces.number = ?", (number,)).fetchone()
            return load.trace_out(connection, row)

    def find(self, text: str) -> list[Key]:
        """The traces meant by `problem`, `problem/variant` or `problem/variant/sample`; if there are none, those
        whose key begins with the text."""
        exact, beginning = [], []
        with self._snapshot() as connection:
            for key in load.keys(connection, "ORDER BY traces.number"):
                if text in (key.problem, f"{key.problem}/{key.variant}", str(key)):
                    exact.append(key)
                elif str(key).startswith(text):
                    beginning.append(key)
        return exact or beginning

    def turns(self, key: Key) -> list[Turn]:
        """A trace's turns, in order.

        Raises:
            UsageError: there is no such trace.
        """
        with self._snapshot() as connection:
            rows = connection.execute(
                f"SELECT {columns.TURN} FROM turns WHERE trace = ? ORDER BY position",
                (load.number_of(connection, key),),
            )
            return [columns.turn_out(row) for row in rows]

    def calls(self, key: Key) -> list[Call]:
        """A trace's auxiliary calls, in order.

        Raises:
            UsageError: there is no such trace.
        """
        with self._snapshot() as connection:
            rows = connection.execute(
                f"SELECT purpose, text, {columns.USAGE} FROM calls WHERE trace = ? ORDER BY number",
                (load.number_of(connection, key),),
            )
            return [
                Call(Author(role), text_out(purpose), Usage(*amounts), text_out(text))
                for purpose, text, role, *amounts in rows
            ]

    def counts(self, variant: str | None = None) -> dict[Status | None, int]:
        """How many traces have each status, None for pending; only those of which there are some.

        Raises:
            UsageError: there is no such variant.
        """
        rows = self._grouped("SELECT status, count(*) FROM traces {where} GROUP BY status", variant)
        return {None if status is None else Status(status): count for status, count in rows}

    def causes(self, variant: str | None = None) -> dict[str, int]:
        """How many finished traces have each cause, the most frequent first.

        Raises:
            UsageError: there is no such variant.
        """
        rows = self._grouped(
            """SELECT cause, count(*) FROM traces {where} GROUP BY cause HAVING cause != ''
            ORDER BY count(*) DESC, cause""",
            variant,
        )
        return {text_out(cause): count for cause, count in rows}

    def standing_counts(self, variant: str | None = None) -> dict[tuple[Status | None, Label | None], int]:
        """How many traces stand so: how they ended (None: not yet) and the label of their newest verdict (None: not
        judged); only those of which there are some.

        Raises:
            UsageError: there is no such variant.
        """
        rows = self._grouped(
            """SELECT status, label, count(*) FROM traces LEFT JOIN (
                SELECT trace, label FROM verdicts WHERE number IN (SELECT max(number) FROM verdicts GROUP BY trace)
            ) AS newest ON newest.trace = traces.number {where} GROUP BY status, label ORDER BY status, label""",
            variant,
        )
        return {
            (None if status is None else Status(status), None if label is None else Label(label)): count
            for status, label, count in rows
        }

    def totals(self, variant: str | None = None) -> dict[Author, Totals]:
        """Sums by author, over finished and pending traces.

        Raises:
            UsageError: there is no such variant.
        """
        rows = self._grouped(
            """SELECT role, sum(requests), sum(received), sum(kept), sum(CASE WHEN told THEN cached END), sum(seconds),
            sum(prompt), sum(told), sum(turns), sum(words), sum(refused), sum(spans), sum(forced)
            FROM usage {join} {where} GROUP BY role""",
            variant,
        )
        return {Author(role): Totals(*sums) for role, *sums in rows}

    def call_totals(self, variant: str | None = None) -> dict[Author, Usage]:
        """What auxiliary calls have cost, by who was asked.

        Raises:
            UsageError: there is no such variant.
        """
        with self._snapshot() as connection:
            where, values = "", list[Any]()
            if variant is not None:
                where = "JOIN traces ON traces.number = calls.trace WHERE variant = ?"
                values.append(load.variant_number(connection, variant))
            rows = connection.execute(
                f"""SELECT role, sum(requests), sum(received), sum(kept), sum(CASE WHEN told THEN cached END),
                sum(seconds), sum(prompt), sum(told) FROM calls {where} GROUP BY role""",
                values,
            ).fetchall()
        return {Author(role): Usage(*sums) for role, *sums in rows}

    def change(self) -> int:
        """The newest change number; what changes later has a higher one."""
        with self._snapshot() as connection:
            (change,) = connection.execute("SELECT value FROM meta WHERE name = 'change'").fetchone()
            return int(change)

    def close(self) -> None:
        """Lets go of the database. Safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _grouped(self, query: str, variant: str | None) -> Sequence[Any]:
        """Rows of a query with places for what narrows it down to a variant; `join`: where it counts usage."""
        with self._snapshot() as connection:
            if variant is None:
                return connection.execute(query.format(where="", join="")).fetchall()
            join = "JOIN traces ON traces.number = usage.trace"
            number = load.variant_number(connection, variant)
            return connection.execute(query.format(where="WHERE variant = ?", join=join), (number,)).fetchall()

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """All that is read inside is of one moment."""
        with self._lock, _moment(self._connection, self.directory):
            yield self._connection

    @contextlib.contextmanager
    def _own_snapshot(self) -> Iterator[sqlite3.Connection]:
        """A snapshot over a connection of its own, for iterations that others may interleave with."""
        with contextlib.closing(open_for_reading(self.directory)) as connection, _moment(connection, self.directory):
            yield connection


def _narrowed(connection: sqlite3.Connection, variant: str | None, since: int) -> tuple[list[str], list[Any]]:
    """Conditions on traces, and their values."""
    conditions: list[str] = ["traces.change > ?"]
    values: list[Any] = [since]
    if variant is not None:
        conditions.append("traces.variant = ?")
        values.append(load.variant_number(connection, variant))
    return conditions, values


@contextlib.contextmanager
def _moment(connection: sqlite3.Connection, directory: Path) -> Iterator[None]:
    try:
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        raise explain(error, directory) from error
