"""Traces of other run directories taken into one, in bulk, by the database itself.

A trace is taken whole, with all that hangs on it, as it stood at one moment, some hundred in one transaction: a shard
may be written meanwhile, and what was taken stays taken after a kill. `taken` notes the state in which each trace was,
so that the next time only what has changed there is taken.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from antiphon.errors import StoreUnfit
from antiphon.store import columns, load
from antiphon.store.batch import Changes
from antiphon.store.columns import text_out
from antiphon.store.place import DATABASE, Lock, attach, create, explain, explained, open_for_writing
from antiphon.trace import Key, Status

_BATCH = 100  # traces of a transaction; one may be a megabyte

_HANGING = ("spans", "growing", "turns", "usage", "verdicts", "calls")
"""Tables of rows that belong to a trace, and to it alone."""

_COMPARED = "position, " + columns.SPAN

# A trace that is being written gets no new change number with each span; a finished one does with all it ever gets.
_STATE = """CASE WHEN t.status IS NOT NULL OR t.started IS NULL THEN CAST(t.change AS TEXT) ELSE
    max(t.change, coalesce((SELECT max(change) FROM theirs.spans WHERE trace = t.number), 0),
        coalesce((SELECT max(change) FROM theirs.turns WHERE trace = t.number), 0)) || '.' ||
    coalesce((SELECT max(number) FROM theirs.growing WHERE trace = t.number), 0) END"""


@dataclass(slots=True)
class Taken:
    """What came of one directory.

    Attributes:
        traces: how many it holds.
        new: of them taken for the first time, `changed` taken again, `same` found in others, with the same text.
        kept: finished here, and not there or failed there; those here stay.
        differing: finished here and there with other texts; those here stay.
    """

    traces: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    kept: int = 0
    differing: list[Key] = field(default_factory=list)


class _Pair(NamedTuple):
    """A trace there and the one of its key here. `known`: it was taken from there, or compared; `own`: it was taken and
    is as it was then."""

    theirs: int
    ours: int
    state: str
    known: bool
    own: bool
    status_there: str | None
    status_here: str | None
    begun_here: bool


class Intake:
    """The one writer of a run directory that others are merged into. A context manager."""

    def __init__(self, directory: Path, lock: Lock, connection: sqlite3.Connection):
        """Use `open`."""
        self.directory = directory
        self._lock = lock
        self._connection = connection
        names = {table: _columns(connection, table) for table in (*_HANGING, "problems", "variants", "sessions")}
        self._columns = {table: ", ".join(each) for table, each in names.items()}

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Opens a run directory made by merging; makes it if it is not there.

        Raises:
            StoreUnfit: there is something else, or it cannot hold a run.
            StoreBusy: another process writes it.
            StoreFull: it cannot be written.
        """
        with contextlib.ExitStack() as undo:
            with explained(directory):
                create(directory)
                _require_none_else(directory)
                lock = Lock(directory)
                undo.callback(lock.release)
                connection = open_for_writing(directory)
                undo.callback(connection.close)
                _require_merged(connection, directory)
                # What a power cut takes is taken again; a transaction is whole all the same.
                connection.execute("PRAGMA synchronous = NORMAL")
                intake = cls(directory, lock, connection)
            undo.pop_all()
            return intake

    def take(self, directory: Path, heard: Callable[[int], None] = lambda traces: None) -> Taken:
        """Takes what is new there. Its variants must be the same as those of their names here.

        Args:
            heard: told now and then how many of its traces have been looked at.

        Raises:
            StoreUnfit: a problem there has other messages here; or the directory cannot be read.
            StoreFull: something could not be written. What was taken until then is kept.
        """
        try:
            with attach(self._connection, directory, "theirs"):
                return _Source(self._connection, directory, self._columns).take(heard)
        except sqlite3.OperationalError as error:
            raise explain(error, self.directory) from error
        except sqlite3.DatabaseError as error:  # what is damaged is what was not written just now
            raise explain(error, directory) from error

    def close(self) -> None:
        """Folds the log into the database and lets go of the directory. Safe to call twice."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Source:
    """One attached directory, for the time of its merge. Their numbers are mapped to ours in temporary tables."""

    def __init__(self, connection: sqlite3.Connection, directory: Path, names: dict[str, str]):
        self._connection, self._directory, self._columns = connection, directory, names
        self._taken = Taken()
        for table in ("problem_of", "variant_of", "trace_of"):
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
            connection.execute(f"CREATE TABLE temp.{table} (theirs INTEGER PRIMARY KEY, ours INTEGER NOT NULL)")
        connection.execute("DROP TABLE IF EXISTS temp.chosen")
        connection.execute(
            "CREATE TABLE temp.chosen (place INTEGER PRIMARY KEY, theirs INTEGER, ours INTEGER, state TEXT)"
        )

    def take(self, heard: Callable[[int], None]) -> Taken:
        """See `Intake.take`."""
        after, done = 0, False
        while not done:
            with _transaction(self._connection) as changes:
                source = self._begin(changes)
                self._plan(changes)
                pairs = self._next(source, after)
                self._copy([pair for pair in pairs if self._is_wanted(pair, source, changes)], source, changes)
                if pairs:
                    after = pairs[-1].theirs
                else:
                    done = True
                    self._end(source, changes)
            heard(after)
        (self._taken.traces,) = self._connection.execute("SELECT count(*) FROM theirs.traces").fetchone()
        return self._taken

    def _begin(self, changes: Changes) -> int:
        """The number of this source here."""
        (id,) = self._connection.execute("SELECT value FROM theirs.meta WHERE name = 'id'").fetchone()
        row = self._connection.execute("SELECT number FROM main.sources WHERE id = ?", (id,)).fetchone()
        if row is None:
            number = self._connection.execute(
                "INSERT INTO main.sources (id, directory, shares, change) VALUES (?, '', '[]', 0)", (id,)
            ).lastrowid
            changes.next()
            assert number is not None
            return number
        return int(row[0])

    def _plan(self, changes: Changes) -> None:
        """Problems, variants and traces that are there and not here, the traces as pending ones; and whose number here
        each has. A trace taken later may be made of any of them."""
        connection = self._connection
        differing = connection.execute(
            f"""SELECT {_of("p", columns.PROBLEM)}, o.source, o.line FROM theirs.problems p
            JOIN main.problems o ON o.id = p.id WHERE p.number > {_last("problem_of")} AND o.messages IS NOT p.messages
            LIMIT 1"""
        ).fetchone()
        if differing is not None:
            *row, source, line = differing
            problem = columns.problem_out(row)
            here = f" (from {text_out(source)}:{line})" if source else ""
            raise StoreUnfit(
                f"{self._directory}: problem {problem.id!r}{f' (from {problem.place})' if problem.source else ''} has"
                f" other messages than in what was merged before{here}; runs of other problems cannot be merged"
            )
        self._add(
            changes,
            f"""INTO main.problems ({self._columns["problems"]}, change)
            SELECT {_of("p", self._columns["problems"])}, {_numbered("p.number")} FROM theirs.problems p
            WHERE p.number > {_last("problem_of")} AND NOT EXISTS (SELECT 1 FROM main.problems o WHERE o.id = p.id)
            ORDER BY p.number""",
        )
        connection.execute(
            f"""INSERT INTO temp.problem_of SELECT p.number, o.number FROM theirs.problems p
            JOIN main.problems o ON o.id = p.id WHERE p.number > {_last("problem_of")}"""
        )
        self._add(
            changes,
            f"""INTO main.variants ({self._columns["variants"]}, change)
            SELECT {_of("v", self._columns["variants"])}, {_numbered("v.number")} FROM theirs.variants v
            WHERE NOT EXISTS (SELECT 1 FROM main.variants o WHERE o.name = v.name) ORDER BY v.number""",
        )
        connection.execute(
            f"""INSERT INTO temp.variant_of SELECT v.number, o.number FROM theirs.variants v
            JOIN main.variants o ON o.name = v.name WHERE v.number > {_last("variant_of")}"""
        )
        self._add(
            changes,
            f"""INTO main.about (variant, about, created, change)
            SELECT v.ours, a.about, a.created, {_numbered("a.number")} FROM theirs.about a
            JOIN temp.variant_of v ON v.theirs = a.variant WHERE NOT EXISTS (
                SELECT 1 FROM main.about o WHERE o.variant = v.ours AND o.about = a.about) ORDER BY a.number""",
        )
        self._add(
            changes,
            f"""INTO main.traces (problem, variant, sample, change)
            SELECT p.ours, v.ours, t.sample, {_numbered("t.number")} FROM theirs.traces t
            JOIN temp.problem_of p ON p.theirs = t.problem JOIN temp.variant_of v ON v.theirs = t.variant
            WHERE t.number > {_last("trace_of")} AND NOT EXISTS (SELECT 1 FROM main.traces o
                WHERE o.problem = p.ours AND o.variant = v.ours AND o.sample = t.sample)
            ORDER BY t.number""",
        )
        connection.execute(
            f"""INSERT INTO temp.trace_of SELECT t.number, o.number FROM theirs.traces t
            JOIN temp.problem_of p ON p.theirs = t.problem JOIN temp.variant_of v ON v.theirs = t.variant
            JOIN main.traces o ON o.problem = p.ours AND o.variant = v.ours AND o.sample = t.sample
            WHERE t.number > {_last("trace_of")}"""
        )

    def _add(self, changes: Changes, insert: str) -> None:
        """Inserts rows that are numbered from `:change` on."""
        changes.last += self._connection.execute(f"INSERT {insert}", {"change": changes.last}).rowcount

    def _next(self, source: int, after: int) -> list[_Pair]:
        """The next traces there that are not as they were when they were last taken or looked at."""
        rows = self._connection.execute(
            f"""SELECT t.number, m.ours, {_STATE}, k.state IS NOT NULL, k.change IS o.change, t.status, o.status,
                o.started IS NOT NULL
            FROM theirs.traces t JOIN temp.trace_of m ON m.theirs = t.number JOIN main.traces o ON o.number = m.ours
            LEFT JOIN main.taken k ON k.trace = m.ours AND k.source = ?
            WHERE t.number > ? AND k.state IS NOT {_STATE} ORDER BY t.number LIMIT {_BATCH}""",
            (source, after),
        )
        return [_Pair(*row) for row in rows]

    def _is_wanted(self, pair: _Pair, source: int, changes: Changes) -> bool:
        """Whether a trace takes the place of the one here."""
        if pair.own or (pair.status_here is None and not pair.begun_here):
            self._taken.changed += pair.known
            self._taken.new += not pair.known
            return True
        if pair.status_here is None or pair.status_here == Status.FAILED:
            if pair.status_there not in (None, Status.FAILED):
                self._taken.changed += 1
                return True
        elif pair.status_there not in (None, Status.FAILED):
            if not self._is_same(pair):
                self._taken.differing += load.keys(self._connection, "WHERE traces.number = ?", (pair.ours,))
                return False
            self._taken.same += 1
            self._take_verdicts(pair, source, changes)
            return False
        self._taken.kept += 1
        return False

    def _is_same(self, pair: _Pair) -> bool:
        """Whether both have the same status and the same spans."""
        if pair.status_here != pair.status_there:
            return False
        there = f"SELECT {_COMPARED} FROM theirs.spans WHERE trace = :theirs"
        here = f"SELECT {_COMPARED} FROM main.spans WHERE trace = :ours"
        (differs,) = self._connection.execute(
            f"SELECT EXISTS (SELECT * FROM ({there}) EXCEPT {here}) OR EXISTS (SELECT * FROM ({here}) EXCEPT {there})",
            {"theirs": pair.theirs, "ours": pair.ours},
        ).fetchone()
        return not differs

    def _take_verdicts(self, pair: _Pair, source: int, changes: Changes) -> None:
        """Those on a trace that is here already, where nobody has judged it; and notes that it was looked at."""
        names = self._columns["verdicts"]
        judged = self._connection.execute(
            f"""INSERT INTO main.verdicts (trace, {names}, change) SELECT :ours, {names}, :change FROM theirs.verdicts
            WHERE trace = :theirs AND NOT EXISTS (SELECT 1 FROM main.verdicts WHERE trace = :ours) ORDER BY number""",
            {"ours": pair.ours, "theirs": pair.theirs, "change": changes.next()},
        ).rowcount
        if judged:
            self._connection.execute("UPDATE main.traces SET change = ? WHERE number = ?", (changes.next(), pair.ours))
        self._connection.execute(
            "INSERT OR REPLACE INTO main.taken VALUES (?, ?, ?, NULL)", (pair.ours, source, pair.state)
        )

    def _copy(self, pairs: list[_Pair], source: int, changes: Changes) -> None:
        """Puts traces in the place of those here."""
        if not pairs:
            return
        connection, change = self._connection, changes.next()
        connection.execute("DELETE FROM temp.chosen")
        connection.executemany(
            "INSERT INTO temp.chosen (theirs, ours, state) VALUES (?, ?, ?)",
            [(pair.theirs, pair.ours, pair.state) for pair in pairs],
        )
        connection.execute(
            """UPDATE main.traces SET status = t.status, cause = t.cause, closed_by = t.closed_by, started = t.started,
                finished = t.finished, change = ? + c.place
            FROM temp.chosen c JOIN theirs.traces t ON t.number = c.theirs WHERE traces.number = c.ours""",
            (change,),
        )
        for table in (*_HANGING, "made_from"):
            connection.execute(f"DELETE FROM main.{table} WHERE trace IN (SELECT ours FROM temp.chosen)")
        for table in _HANGING:
            names = self._columns[table]
            numbered = ("", "") if table == "growing" else (", change", f", {change}")
            # CROSS JOIN: the traces in turn, and the rows of each as its index has them, so that ours are appended.
            connection.execute(
                f"""INSERT INTO main.{table} (trace, {names}{numbered[0]}) SELECT c.ours, {_of("r", names)}{numbered[1]}
                FROM temp.chosen c CROSS JOIN theirs.{table} r ON r.trace = c.theirs"""
            )
        connection.execute(
            """INSERT INTO main.made_from (trace, position, source, change) SELECT c.ours, r.position, m.ours, ?
            FROM temp.chosen c CROSS JOIN theirs.made_from r ON r.trace = c.theirs
            JOIN temp.trace_of m ON m.theirs = r.source""",
            (change,),
        )
        connection.execute(
            "INSERT OR REPLACE INTO main.taken SELECT ours, ?, state, ? + place FROM temp.chosen", (source, change)
        )
        changes.last += len(pairs)

    def _end(self, source: int, changes: Changes) -> None:
        """What is no trace's: sessions, and what has changed in the fields of problems."""
        connection = self._connection
        (until,) = connection.execute("SELECT change FROM main.sources WHERE number = ?", (source,)).fetchone()
        names = self._columns["sessions"].replace("variant, ", "")
        self._add(
            changes,
            f"""INTO main.sessions (variant, {names}, change)
            SELECT v.ours, {_of("s", names)}, {_numbered("s.number")} FROM theirs.sessions s
            JOIN temp.variant_of v ON v.theirs = s.variant WHERE NOT EXISTS (
                SELECT 1 FROM main.sessions o WHERE o.variant = v.ours AND o.began = s.began AND o.ended = s.ended)
            ORDER BY s.number""",
        )
        change = changes.last + 1
        changes.last += connection.execute(
            """UPDATE main.problems SET metadata = p.metadata, source = p.source, line = p.line, change = :change
            FROM theirs.problems p WHERE p.id = problems.id AND p.change > :until
            AND (p.metadata, p.source, p.line) IS NOT (problems.metadata, problems.source, problems.line)""",
            {"change": change, "until": until},
        ).rowcount
        (shares,) = connection.execute(
            """SELECT json_group_array(json(value)) FROM (
                SELECT json_each.value FROM (SELECT value FROM theirs.meta WHERE name = 'share'
                    UNION ALL SELECT shares FROM theirs.sources) AS each, json_each(each.value))"""
        ).fetchone()
        changes.last += connection.execute(
            """UPDATE main.sources SET directory = :directory, shares = :shares, change = now.value
            FROM theirs.meta AS now WHERE now.name = 'change' AND number = :source
            AND (directory, shares, change) IS NOT (:directory, :shares, now.value)""",
            {"directory": columns.text_in(str(self._directory)), "shares": shares, "source": source},
        ).rowcount


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns that are copied as they are."""
    names = [name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})")]
    return [name for name in names if name not in ("number", "trace", "change")]


def _of(table: str, names: str) -> str:
    return ", ".join(f"{table}.{name}" for name in names.split(", "))


def _last(table: str) -> str:
    """The last number there that is mapped."""
    return f"(SELECT coalesce(max(theirs), 0) FROM temp.{table})"


def _numbered(order: str) -> str:
    """A change number of its own for each row, from `:change` on."""
    return f":change + row_number() OVER (ORDER BY {order})"


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[Changes]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        changes = Changes(connection)
        before = changes.last
        yield changes
        if changes.last != before:
            changes.save()
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _require_none_else(directory: Path) -> None:
    """Refuses a folder with anything in it and no run."""
    if (directory / DATABASE).exists():
        return
    others = sorted(path.name for path in directory.iterdir() if path.name != "writer.lock")
    if others:
        raise StoreUnfit(f"{directory} is not empty (there is {others[0]}); merge into a new directory")


def _require_merged(connection: sqlite3.Connection, directory: Path) -> None:
    """Refuses a run that was made otherwise; one that has nothing in it yet will do."""
    (merged, begun) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM sources), EXISTS (SELECT 1 FROM problems) OR EXISTS (SELECT 1 FROM variants)"
    ).fetchone()
    if begun and not merged:
        raise StoreUnfit(f"{directory} holds a run that was not made by merging; merge into a new directory")
