"""The viewer's own index of a run directory: what lists are filtered and sorted by, and the words of all texts.

It is a SQLite file in the user's cache folder, brought up to date from the run's change numbers, and can be deleted at
any time. One process writes it (`indexing`), any number read it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

from antiphon.errors import UsageError
from antiphon.store import Reader
from antiphon.store.columns import text_in, text_out
from antiphon.trace import Key, Status
from antiphon.verify.result import Result
from antiphon.view.chosen import Chosen, spaced
from antiphon.view.facts import Facts, facts_of

IN_MEMORY = ":memory:"

_VERSION = 1
_AT_ONCE = 500  # traces in one transaction
_OPENING = 280  # characters of a question that lists show
_TABLES = f"""
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    INSERT OR IGNORE INTO meta VALUES ('change', 0), ('documents', 0);
    CREATE TABLE IF NOT EXISTS problems (number INTEGER PRIMARY KEY, id NOT NULL UNIQUE, opening NOT NULL);
    CREATE TABLE IF NOT EXISTS traces (
        problem INTEGER NOT NULL, variant NOT NULL, sample INTEGER NOT NULL, status TEXT, result TEXT NOT NULL,
        tokens INTEGER NOT NULL, spans INTEGER NOT NULL, student REAL NOT NULL, teacher REAL NOT NULL,
        unknown REAL NOT NULL, finished REAL, document INTEGER,
        PRIMARY KEY (problem, variant, sample)) WITHOUT ROWID;
    CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5(text, content='', tokenize='unicode61 remove_diacritics 2');
    PRAGMA user_version = {_VERSION};
    COMMIT;
"""
# A document of `texts` is never changed: a trace that was written anew gets another, and the old one is no trace's.
# Questions are documents too, under the negative of their problem's number.


@dataclass(frozen=True, slots=True)
class Entry:
    """A problem of a list, with those of its traces that were chosen."""

    id: str
    opening: str
    traces: tuple[Facts, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list: its problems, how many problems and traces there are on all pages."""

    entries: tuple[Entry, ...]
    problems: int
    traces: int


@dataclass(frozen=True, slots=True)
class Totals:
    """All of a run, counted when the index was whole: the run's change number then, traces by status ("" if pending),
    problems that have traces."""

    change: int
    counts: Mapping[str, int]
    problems: int

    @property
    def traces(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


def place_of(directory: Path) -> Path:
    """Where the index of a run directory is kept.

    Raises:
        UsageError: there is no place for it.
    """
    from antiphon.store.place import DATABASE

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon" / "view"
    run = (directory / DATABASE).resolve()
    about = run.stat()
    name = hashlib.sha256(os.fsencode(run) + f"|{about.st_dev}|{about.st_ino}|{_VERSION}".encode()).hexdigest()[:24]
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(
            f"{cache}: the index of the run cannot be kept there: {error.strerror}; let XDG_CACHE_HOME name a folder"
        ) from None
    return cache / f"{name}.sqlite"


class Index:
    """An open index. A context manager; used by one thread at a time.

    Args:
        place: its file, made if it is not there, or `IN_MEMORY`.

    Raises:
        UsageError: the file cannot be made.
    """

    def __init__(self, place: Path | str):
        self._place = place
        try:
            self._connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False, timeout=30)
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                self._connection.executescript(_TABLES)
        except sqlite3.Error as error:
            raise UsageError(f"{place}: cannot be the index of the run: {error}; delete it, or make room") from None

    def update(self, reader: Reader) -> bool:
        """Takes up some of what changed in the run. Says whether there may be more."""
        since, change = self._meta("change"), reader.change()
        if since > change:  # another run of the same name
            self._connection.executescript("DROP TABLE texts; DROP TABLE traces; DROP TABLE problems; DROP TABLE meta;")
            self._connection.executescript(_TABLES)
            since = 0
        traces = list(islice(reader.traces(since=since), _AT_ONCE))
        self._take_problems(reader)  # after the traces: none of them is of a later problem
        if not traces:
            self._count(change)
            return False
        with self._transaction() as run:
            document = self._meta("documents")
            for trace in traces:
                facts = facts_of(trace)
                if facts.status is not None:
                    document += 1
                    run("INSERT INTO texts (rowid, text) VALUES (?, ?)", (document, _words(trace.response)))
                run(
                    f"""INSERT OR REPLACE INTO traces VALUES (
                    (SELECT number FROM problems WHERE id = ?), {", ".join("?" * 11)})""",
                    (*_row(facts), None if facts.status is None else document),
                )
            run("UPDATE meta SET value = ? WHERE name = 'change'", (traces[-1].change,))
            run("UPDATE meta SET value = ? WHERE name = 'documents'", (document,))
            run("DELETE FROM meta WHERE name = 'totals'")
        return True

    def totals(self) -> Totals | None:
        """What it all comes to, None while the index is not whole: counting 100,000 traces takes longer than a page."""
        found = self._connection.execute("SELECT value FROM meta WHERE name = 'totals'").fetchone()
        return None if found is None else Totals(*json.loads(found[0]))

    def count(self) -> int:
        """How many traces it knows."""
        (count,) = self._connection.execute("SELECT count(*) FROM traces").fetchone()
        return int(count)

    def variants(self) -> list[str]:
        """The names of the variants, as they come."""
        rows = self._connection.execute("SELECT DISTINCT variant FROM traces ORDER BY variant")
        return [text_out(name) for (name,) in rows]

    def listing(self, chosen: Chosen, per_page: int) -> Listing:
        """The problems that have chosen traces, one page of them, each with all its chosen traces."""
        condition, values = chosen.conditions()
        run = self._connection.execute
        run("DROP TABLE IF EXISTS temp.found")
        run("CREATE TEMP TABLE found (document INTEGER PRIMARY KEY)")
        if chosen.search.strip():
            run("INSERT INTO found SELECT rowid FROM texts WHERE texts MATCH ?", (chosen.match,))
        known = None if chosen.narrows else self.totals()
        problems, traces = (
            (known.problems, known.traces)
            if known
            else run(f"SELECT count(DISTINCT problem), count(*) FROM traces WHERE {condition}", values).fetchone()
        )
        numbers = run(
            f"""SELECT problem FROM traces WHERE {condition} GROUP BY problem ORDER BY {chosen.order}
            LIMIT ? OFFSET ?""",
            [*values, per_page, (chosen.page - 1) * per_page],
        ).fetchall()
        entries = []
        for (number,) in numbers:
            id, opening = run("SELECT id, opening FROM problems WHERE number = ?", (number,)).fetchone()
            found = self._facts(f"problem = ? AND {condition}", [number, *values])
            entries.append(Entry(text_out(id), text_out(opening), tuple(found)))
        return Listing(tuple(entries), problems, traces)

    def of_problem(self, id: str) -> list[Facts]:
        """All traces of a problem."""
        return self._facts("problem = (SELECT number FROM problems WHERE id = ?)", [text_in(id)])

    def beside(self, id: str) -> tuple[str | None, str | None]:
        """The problems with traces before and after one."""
        found = []
        for sign, order in (("<", "DESC"), (">", "ASC")):
            row = self._connection.execute(
                f"""SELECT id FROM problems WHERE number {sign} (SELECT number FROM problems WHERE id = ?)
                AND number IN (SELECT problem FROM traces) ORDER BY number {order} LIMIT 1""",
                (text_in(id),),
            ).fetchone()
            found.append(None if row is None else text_out(row[0]))
        return found[0], found[1]

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query of `traces` gives: for charts."""
        return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Lets go of the file. Safe to call twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_problems(self, reader: Reader) -> None:
        (known,) = self._connection.execute("SELECT count(*) FROM problems").fetchone()
        if known == reader.problem_count():
            return
        with self._transaction() as run:
            for number, problem in enumerate(islice(reader.problems(), known, None), known + 1):
                question = "\n".join(message["content"] for message in problem.messages)
                opening = " ".join(problem.messages[-1]["content"][: 4 * _OPENING].split())[:_OPENING]
                run("INSERT INTO problems VALUES (?, ?, ?)", (number, text_in(problem.id), text_in(opening)))
                run("INSERT INTO texts (rowid, text) VALUES (?, ?)", (-number, _words(f"{problem.id}\n{question}")))

    def _count(self, change: int) -> None:
        known = self.totals()
        if known is not None and known.change == change:
            return
        with self._transaction() as run:
            counts = dict(run("SELECT coalesce(status, ''), count(*) FROM traces GROUP BY 1").fetchall())
            (problems,) = run("SELECT count(DISTINCT problem) FROM traces").fetchone()
            totals = json.dumps([change, counts, problems])
            run("INSERT OR REPLACE INTO meta VALUES ('totals', ?)", (totals,))

    def _facts(self, condition: str, values: Sequence[Any]) -> list[Facts]:
        rows = self._connection.execute(
            f"""SELECT (SELECT id FROM problems WHERE number = problem), variant, sample, status, result, tokens, spans,
            student, teacher, unknown, finished FROM traces WHERE {condition} ORDER BY variant, sample""",
            values,
        )
        return [
            Facts(*Key(text_out(id), text_out(variant), sample), status and Status(status), Result(result), *rest)
            for id, variant, sample, status, result, *rest in rows
        ]

    def _meta(self, name: str) -> int:
        (value,) = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(value)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise


def _row(facts: Facts) -> tuple[Any, ...]:
    problem, variant, *rest = astuple(facts)
    return (text_in(problem), text_in(variant), *rest)


def _words(text: str) -> str:
    """A text for the index of words, which holds no NUL and no lone surrogates."""
    return spaced(text).replace("\0", " ").encode("utf-8", "replace").decode()
