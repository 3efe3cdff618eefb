"""Carries queries out in SQLite and compares their rows. It is for judging processes alone.

A query may read and nothing else: an authorizer refuses every other action and every function that touches files or
depends on chance, no database can be attached, strings and statements are bounded, and time is looked at while it runs.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import sqlglot
from sqlglot import expressions
from sqlglot.errors import ParseError

from antiphon.plural import many
from antiphon.trace import Label
from antiphon.verify.sql_rows import Row, blocks_of, same

MOST_ROWS = 100_000
"""Rows that a gold query may have."""

_KEYS = "__further_keys__"
_STEPS = 20_000  # of SQLite's virtual machine between two looks at the time
_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LENGTH: 50_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 2_000_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 1_000_000,
}
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_REFUSED = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "random", "randomblob"}
_ACTIONS = {
    code: name.removeprefix("SQLITE_").replace("_", " ")
    for name, code in vars(sqlite3).items()
    if re.fullmatch(
        "SQLITE_(INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|ATTACH|DETACH|PRAGMA|REINDEX|ANALYZE|TRANSACTION|SAVEPOINT)[A-Z_]*",
        name,
    )
}


class _Failed(Exception):
    """A query that gave no rows; `label` says why."""

    def __init__(self, label: Label, reason: str):
        super().__init__(reason)
        self.label = label


def judge(database: Mapping[str, Any], golds: list[str], query: str, seconds: float) -> tuple[str, str]:
    """A label and its detail; `broken` in place of a label where the gold queries or the database are at fault.

    Args:
        database: `statements` that make it, or the `path` of its file.
        golds: the accepted queries; the same rows as any of them are right.
        query: the answer's.
        seconds: of processor time that each may take.
    """
    try:
        with _opened(database) as connection:
            return _judge(_Reader(connection, seconds), golds, query)
    except (sqlite3.Error, sqlite3.Warning, UnicodeError, ValueError) as error:
        return "broken", f"its database cannot be made: {error}"


def _judge(reader: _Reader, golds: list[str], query: str) -> tuple[str, str]:
    accepted = []
    for gold in golds:
        try:
            accepted.append((gold, *reader.rows(gold, MOST_ROWS)))
        except _Failed as error:
            return "broken", f"the gold query fails: {error}"
        if len(accepted[-1][2]) > MOST_ROWS:
            return "broken", f"the gold query gives more than {MOST_ROWS:,} rows"
    most = max(len(rows) for _, _, rows in accepted)
    try:
        width, rows = reader.rows(query, most)
    except _Failed as error:
        return error.label, str(error)
    for gold, gold_width, gold_rows in accepted:
        if width != gold_width or len(rows) != len(gold_rows):
            continue
        blocks = _blocks(reader, gold, width, gold_rows)
        if same(gold_rows, rows, blocks):
            return Label.RIGHT, f"{many(len(rows), 'row')}, the same as the gold query's"
    return Label.WRONG, _difference(accepted, width, rows, most)


def _difference(accepted: list[tuple[str, int, list[Row]]], width: int, rows: list[Row], most: int) -> str:
    """How the result differs from the gold ones, in words."""
    for _, gold_width, gold_rows in accepted:
        if width == gold_width and len(rows) == len(gold_rows):
            if same(gold_rows, rows, None):
                return f"{many(len(rows), 'row')}, the right ones, but in another order"
            other = next(iter(Counter(rows) - Counter(gold_rows)))
            what = "there too often" if other in gold_rows else "not right"
            return f"{many(len(rows), 'row')}, as expected, but not the same: {other!r:.80} is {what}"
    count = f"more than {most:,} rows" if len(rows) > most else many(len(rows), "row")
    expected = sorted({(gold_width, len(gold_rows)) for _, gold_width, gold_rows in accepted})
    wanted = " or ".join(f"{many(number, 'row')} of {many(columns, 'column')}" for columns, number in expected)
    return f"{count} of {many(width, 'column')}, not {wanted}"


class _Reader:
    """Queries at one database, which it opens to reading alone."""

    def __init__(self, connection: sqlite3.Connection, seconds: float):
        self._connection, self._seconds = connection, seconds
        self._refused = ""
        connection.set_authorizer(self._authorize)

    def rows(self, query: str, most: int) -> tuple[int, list[Row]]:
        """The number of columns, and the rows: one more than `most` where there are more.

        Raises:
            _Failed: it is no query, may not be carried out, has an error, or takes too long.
        """
        until = time.process_time() + self._seconds
        self._connection.set_progress_handler(lambda: time.process_time() > until, _STEPS)
        self._refused = ""
        try:
            cursor = self._connection.execute(query)
            if cursor.description is None:
                raise _Failed(Label.WRONG, "it is no query")
            return len(cursor.description), cursor.fetchmany(most + 1)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if self._refused:
                raise _Failed(Label.WRONG, f"a query may only read: {self._refused} is not allowed") from None
            if str(error) == "interrupted":
                raise _Failed(Label.TIMED_OUT, f"the query takes more than {self._seconds:g} s") from None
            raise _Failed(Label.WRONG, f"SQLite says: {error}{_hint(query)}") from None
        finally:
            self._connection.set_progress_handler(None, 0)

    def _authorize(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action in _READING or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _REFUSED):
            return sqlite3.SQLITE_OK
        self._refused = f"{second}()" if action == sqlite3.SQLITE_FUNCTION else _ACTIONS.get(action, f"action {action}")
        return sqlite3.SQLITE_DENY


@contextmanager
def _opened(database: Mapping[str, Any]) -> Iterator[sqlite3.Connection]:
    if "path" in database:
        connection = sqlite3.connect(f"file:{quote(database['path'])}?mode=ro&immutable=1", uri=True)
    else:
        connection = sqlite3.connect(":memory:")
        connection.deserialize(_made(database["statements"]))
    try:
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()  # a file that is no database says so here
        connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")  # made known by what looks like writing
        for what, most in _LIMITS.items():
            connection.setlimit(what, most)
        yield connection
    finally:
        connection.close()


@lru_cache(maxsize=16)
def _made(statements: str) -> bytes:
    """The image of a database that statements make. They come with the problem, and may not reach out of it either."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.executescript(statements)
        return connection.serialize()
    finally:
        connection.close()


def _blocks(reader: _Reader, gold: str, width: int, rows: list[Row]) -> list[int] | None:
    """Where the gold query orders its rows: the ends of the stretches within which its order leaves it open. None where
    it does not order them.

    It is asked again with the columns as further keys, once up and once down: within a stretch the two differ.
    """
    ordering = _ordered(gold)
    if ordering is None:
        return None
    every_row = list(range(1, len(rows) + 1))
    if ordering == "":
        return every_row
    try:
        up, down = (
            reader.rows(ordering.replace(_KEYS, ", ".join(f"{i} {way}" for i in range(1, width + 1))), len(rows))[1]
            for way in ("ASC", "DESC")
        )
    except _Failed:
        return every_row
    return blocks_of(rows, up, down) or every_row


def _ordered(gold: str) -> str | None:
    """None: the outermost query has no ORDER BY. Else the query with `_KEYS` where further keys may stand; "" where
    that cannot be told."""
    try:
        tree = sqlglot.parse_one(gold, read="sqlite")
    except Exception:  # of any kind, for text that it was not made for
        return "" if re.search(r"\border\s+by\b[^()]*\Z", gold, re.IGNORECASE) else None
    order = tree.args.get("order")
    if order is None:
        return None
    order.append("expressions", expressions.Var(this=_KEYS))
    try:
        return tree.sql(dialect="sqlite")
    except Exception:
        return ""


def _hint(query: str) -> str:
    """What sqlglot has to say of a query that SQLite does not take."""
    try:
        sqlglot.parse(query[:10_000], read="sqlite")
    except ParseError as error:
        told = error.errors[0] if error.errors else {}
        where = f"line {told['line']}, column {told['col']}" if told.get("line") else ""
        return f" ({where}: {told.get('description', '')})" if where else ""
    except Exception:  # of any kind, for text that it was not made for
        return ""
    return ""
